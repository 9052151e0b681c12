"""``python -m connector.learn.training.payload``: what ``triaged train payload`` runs in a process of its own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from connector.errors import ConfigError
from connector.learn.training.members import read_member
from connector.learn.training.payload.fit import Recipe
from connector.learn.training.payload.report import lines
from connector.learn.training.payload.rows import FOLDS
from connector.learn.training.payload.train import Order, train

EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = Recipe(epochs=options.epochs, seed=options.seed)
    try:
        folder = train(
            Order(corpora=options.corpora, output=options.output, recipe=recipe, folds=options.folds, keep=options.keep)
        )
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    print("\n".join(lines(read_member(folder).report.metrics)))
    print(f"member written: {folder}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged train payload", description=__doc__)
    say = parser.add_argument
    say("--corpora", type=Path, required=True, help="folder of corpora archives or unpacked trees")
    say("--output", type=Path, required=True, help="the folder that the member is written to; it must not exist")
    say("--epochs", type=int, default=Recipe().epochs)
    say("--folds", type=int, default=FOLDS, choices=range(1, FOLDS + 1), help="folds that are measured")
    say("--keep", type=Path, help="a folder for what was measured: the same command goes on from there")
    say("--threads", type=int, default=0, help="processor threads; default: all")
    say("--seed", type=int, default=Recipe().seed)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
