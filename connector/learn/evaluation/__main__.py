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
        run = _self_test if options.self_test else _variants if options.variants else _evaluate
        return run(options)
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
        **({} if options.pins is None else {"pins": options.pins}),
        folds=options.folds,
        quick=options.quick,
        workers=options.workers,
    )
    found = run.evaluate(plan)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / RESULT).write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    (options.output / PAGE).write_text(page.written(found), "utf-8")
    for target in found.targets:
        beside = f"; random rows {target.at_random}" if target.at_random else ""
        print(
            f"{'met   ' if target.met else 'MISSED'}  {target.name}: {target.measured}, wanted {target.wanted}{beside}"
        )
    print(f"written: {options.output / RESULT} and {PAGE}, {found.seconds:.0f} s")
    return 0


def _self_test(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation import selftest  # noqa: PLC0415

    rows = selftest.made() if options.rows is None else dataset_file.read(options.rows).rows
    found = selftest.checks(rows)
    for check in found:
        print(f"{'ok    ' if check.passed else 'FAILED'}  {check.name}: {check.seen}")
    return 0 if all(check.passed for check in found) else EXIT_FOUND


def _variants(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation import shipped as bundles, variants  # noqa: PLC0415
    from connector.models.store import Store  # noqa: PLC0415

    if options.rows is None:
        raise ConfigError("name a built dataset with --rows")
    bundle = bundles.opened(Store(options.store or shipped("model_store")), options.bundle)
    found = variants.table(bundle, dataset_file.read(options.rows), quick=options.quick)
    print("| variant | fitted on | parameters | MB | time an event | file hit@1 | file hit@3 | AUC |")
    print("|---|---|---|---|---|---|---|---|")
    for line in found:
        print(
            f"| {line.name} | {line.trained} | {line.parameters / 1e6:.1f} M | {line.megabytes:.1f} | {line.ratio:.2f} "
            f"| {line.hit1:.2f} | {line.hit3:.2f} | {line.auc:.2f} |"
        )
    print(f"\ntime an event: of {variants.BASELINE} in the same run, one event at a time on one thread")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged evaluate", description=__doc__)
    parser.add_argument("--corpora", type=Path, help="folder of corpora archives or unpacked trees")
    parser.add_argument("--rows", type=Path, help="a dataset built before; else it is built from --corpora")
    parser.add_argument("--pins", type=Path, help="another table of sources than the shipped one")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    parser.add_argument("--bundle", help="name/version; default: the one in production")
    parser.add_argument("--output", type=Path, default=Path("evaluation"), help="folder for the report")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="three passes, and no linear baseline on left-out groups: a third of the time",
    )
    parser.add_argument(
        "--self-test", action="store_true", help="shuffle labels and plant leaks, in --rows or in rows made for it"
    )
    parser.add_argument("--variants", action="store_true", help="complexity, latency and accuracy of models by size")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="models fitted at a time")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
