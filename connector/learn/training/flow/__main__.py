"""``python -m connector.learn.training.flow``: what ``triaged train flow`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.errors import ConfigError
from connector.learn.corpora.source import PINS, Corpora, pinned

EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains the member; 0 done, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    from connector.learn.training.flow.fit import Recipe  # noqa: PLC0415 - --help needs no scikit-learn
    from connector.learn.training.flow.train import trained  # noqa: PLC0415

    try:
        member = trained(
            Corpora(options.corpora, pinned(options.pins)),
            options.output,
            Recipe(trees=options.trees, leaves=options.leaves, seed=options.seed),
        )
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    for name, figures in member.report.metrics.items():
        malicious = figures.get("p_malicious")
        if malicious is not None:
            print(f"{name}: {figures['rows']} flows, p_malicious {malicious}")
    print(f"member written: {options.output}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged train flow", description="Train the flow member.")
    parser.add_argument("--corpora", type=Path, required=True, help="folder of corpora archives or unpacked trees")
    parser.add_argument("--pins", type=Path, default=PINS, help="another table of sources than the shipped one")
    parser.add_argument("--output", type=Path, required=True, help="the folder that the member is written to")
    parser.add_argument("--trees", type=int, default=40, help="iterations; each grows one tree a class")
    parser.add_argument("--leaves", type=int, default=8, help="leaves of a tree at most")
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
