"""``python -m connector.learn.evaluation.gate``: what ``triaged promote`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation.gate import report
from connector.learn.evaluation.gate.judge import Material, judge
from connector.learn.export import training
from connector.learn.training.retrain import closures
from connector.models import fingerprints
from connector.models.store import Store

EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges and writes the report; 0 whatever it says, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    store = Store(options.store)
    try:
        material = gathered(store, options)
        found = judge(store, options.challenger, options.incumbent, material)
        print(f"gate: {report.write(store, found)}", flush=True)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return 0


def gathered(store: Store, options: argparse.Namespace) -> Material:
    """The rows of the base dataset that no weights were fitted on, and the closures by whether the challenger saw them.

    A closure that either bundle knows is not left out; it was shown where the challenger knows it. Raises
    ``ConfigError`` for a dataset that was split otherwise than the bundles' own.
    """
    both = (options.challenger, options.incumbent)
    base = _base(options, store.manifest(options.incumbent).dataset.seed)
    for ref in both:
        if (seed := store.manifest(ref).dataset.seed) != base.facts.seed:
            raise ConfigError(
                f"the base dataset was split with seed {base.facts.seed}, that of {ref} with {seed}: what one left out, "
                "the other was trained on"
            )
    found = _closures(options)
    known = [_known(store, ref) for ref in both]
    return Material(
        left_out=[row for row in base.rows if row.split != "train"],
        newest=[row for row in found if not any(row.fingerprint in seen for seen in known)],
        shown=[row for row in found if row.fingerprint in known[0]],
    )


def _base(options: argparse.Namespace, seed: int) -> Dataset:
    if options.mails:
        from connector.learn.training.retrain.mails import read  # noqa: PLC0415 - imports torch, which only mails need here

        return read(options.mails, seed)
    if options.rows is None:
        raise ConfigError(
            "name the base dataset with --rows, or, for a bundle that reads mails, labelled ones with --mails"
        )
    return dataset_file.read(options.rows)


def _closures(options: argparse.Namespace) -> Sequence[Row]:
    if options.export is None:
        return ()
    excluded = frozenset() if options.excluded is None else training.excluded(options.excluded)
    return closures.read(options.export, share=0.0, excluded=excluded, mails=bool(options.mails)).learnt


def _known(store: Store, ref: str) -> fingerprints.TrainFingerprints:
    seen = store.manifest(ref).train_fingerprints
    if seen is None:
        raise ConfigError(f"bundle {ref} does not say what it was trained on: nothing can be called unseen")
    return fingerprints.read(store.directory(ref) / seen)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged promote", description=__doc__)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--challenger", required=True)
    parser.add_argument("--incumbent", required=True)
    parser.add_argument("--mails", type=Path, action="append", default=[])
    for name in ("rows", "export", "excluded"):
        parser.add_argument(f"--{name}", type=Path)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
