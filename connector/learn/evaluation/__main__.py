"""``python -m connector.learn.evaluation``: what ``triaged evaluate`` starts as a subprocess."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.resources import shipped

EXIT_FOUND, EXIT_CONFIG = 1, 2
RESULT, PAGE = "evaluation.json", "evaluation.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one order; 0 done, 1 the self-test failed, 2 something must be changed first."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as training does; read when torch loads
    options = _parser().parse_args(arguments)
    try:
        return _evaluate(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _evaluate(options: argparse.Namespace) -> int:
    from connector.learn.evaluation import page, run  # noqa: PLC0415

    if options.corpora is None:
        raise ConfigError("name the corpora folder with --corpora")
    plan = run.Plan(
        corpora=options.corpora,
        store=options.store or shipped("model_store"),
        output=options.output,
        bundle=options.bundle,
        rows=options.rows,
        folds=options.folds,
        quick=options.quick,
        workers=options.workers,
    )
    found = run.evaluate(plan)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    (options.output / PAGE).write_text(page.written(found), "utf-8")
    for target in found.targets:
        print(f"{'met   ' if target.met else 'MISSED'}  {target.name}: {target.measured}, wanted {target.wanted}")
    print(f"written: {options.output / RESULT} and {PAGE}, {found.seconds:.0f} s")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged evaluate", description=__doc__)
    parser.add_argument("--corpora", type=Path, help="folder of corpora archives or unpacked trees")
    parser.add_argument("--rows", type=Path, help="a dataset built before; else it is built from --corpora")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    parser.add_argument("--bundle", help="name/version; default: the one in production")
    parser.add_argument("--output", type=Path, default=Path("evaluation"), help="folder for the report")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fit a smaller recipe: to see that it works")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="models fitted at a time")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
