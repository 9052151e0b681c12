"""``python -m connector.learn.evaluation.studies``: what ``triaged learn study`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.resources import shipped

EXIT_CONFIG = 2
QUICK_ROWS = 4
"""A quick run takes one base row in so many."""

ABOUT = {
    "intrusion": "How many labels an intrusion detector needs on NSL-KDD: chosen ones, and random ones.",
    "flows": "Benchmarks of flow classification beside scikit-learn's baselines: NSL-KDD, UNSW-NB15, a CICIDS2017 sample.",
    "lanl": "The red team's logons in LANL's auth, proc, flows and redteam files, which --corpora holds.",
    "distillation": "A network taught by the averaged answers of several, and one with its heads fitted once more.",
    "heads": "Other heads over the features of a bundle's text member, and shares of them mixed in, on rare techniques too.",
    "length": "What the text member gains by reading further: each of its caps shorter and longer, on unseen rows.",
    "pretraining": "A network whose encoder first guessed masked tokens of events, one that did not, and the bag alone.",
    "new-site": "False alarms on a site that no model has seen, before, while and after analysts answer.",
}
"""The studies. Each loads only what it needs: only the last five need torch."""

ROWS_ALONE = ("distillation", "heads", "length", "pretraining")
"""Those that read a built dataset, and no corpora."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one study; 0 done, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    try:
        return {
            "intrusion": _intrusion,
            "flows": _flows,
            "lanl": _lanl,
            "distillation": _distillation,
            "heads": _heads,
            "length": _length,
            "pretraining": _pretraining,
            "new-site": _new_site,
        }[options.study](options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _intrusion(options: argparse.Namespace) -> int:
    from connector.learn.evaluation.studies import intrusion, told_intrusion as told  # noqa: PLC0415

    fast = {"seeds": 2, "trees": 20} if options.quick else {}
    found = intrusion.study(intrusion.Plan(corpora=_corpora(options), **fast))
    return _say(options, found, told.lines(found))


def _flows(options: argparse.Namespace) -> int:
    from connector.learn.evaluation.studies import flows, told_flows as told  # noqa: PLC0415

    fast = {"trees": 5} if options.quick else {}
    plan = flows.Plan(corpora=_corpora(options), data=tuple(options.data or flows.DATA), **fast)
    found = flows.study(plan)
    return _say(options, found, told.lines(found))


def _lanl(options: argparse.Namespace) -> int:
    from connector.learn.evaluation.studies import lanl  # noqa: PLC0415

    found = lanl.study(options.corpora, every=options.every, **({"trees": 5} if options.quick else {}))
    return _say(options, found, lanl.lines(found))


def _distillation(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation.studies import distillation  # noqa: PLC0415
    from connector.learn.training.fit import DEFAULT  # noqa: PLC0415

    recipe = msgspec.structs.replace(DEFAULT, **distillation.FEW)
    found = distillation.study(dataset_file.read(options.rows), recipe, QUICK_ROWS if options.quick else 1)
    return _say(options, found, distillation.lines(found))


def _heads(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation import shipped as bundles  # noqa: PLC0415
    from connector.learn.evaluation.studies import heads  # noqa: PLC0415
    from connector.models.store import Store  # noqa: PLC0415

    bundle = bundles.opened(Store(options.store or shipped("model_store")), options.bundle)
    found = heads.study(bundle, dataset_file.read(options.rows), QUICK_ROWS if options.quick else 1)
    return _say(options, found, heads.lines(found))


def _length(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation import shipped as bundles  # noqa: PLC0415
    from connector.learn.evaluation.studies import length  # noqa: PLC0415
    from connector.models.store import Store  # noqa: PLC0415

    bundle = bundles.opened(Store(options.store or shipped("model_store")), options.bundle)
    found = length.study(bundle, dataset_file.read(options.rows), QUICK_ROWS if options.quick else 1)
    return _say(options, found, length.lines(found))


def _pretraining(options: argparse.Namespace) -> int:
    from connector.learn import dataset_file  # noqa: PLC0415
    from connector.learn.evaluation.studies import pretraining  # noqa: PLC0415

    fast = {"step": pretraining.QUICK, "seen": pretraining.QUICK_SEEN} if options.quick else {}
    own = pretraining.SHORT if options.base is None else msgspec.structs.replace(pretraining.SHORT, layers=None)
    found = pretraining.study(dataset_file.read(options.rows), own, options.base, **fast)
    return _say(options, found, pretraining.lines(found))


def _new_site(options: argparse.Namespace) -> int:
    from connector.learn import dataset, dataset_file, held_out  # noqa: PLC0415
    from connector.learn.evaluation import shipped as bundles  # noqa: PLC0415
    from connector.learn.evaluation.studies import new_site, site, told_new_site as told  # noqa: PLC0415
    from connector.models.store import Store  # noqa: PLC0415

    bundle = bundles.opened(Store(options.store or shipped("model_store")), options.bundle)
    here = site.read(options.corpora)
    if options.rows is None:
        rows = dataset.build(_corpora(options), held_out=held_out.scenario())
    else:
        rows = dataset_file.read(options.rows)
    fast, step = ({"seeds": 1}, QUICK_ROWS) if options.quick else ({}, 1)
    elsewhere = [row for row in bundle.unseen(rows) if row.split == "dev"]  # calibration rows set the thresholds
    plan = new_site.Plan(bundle=bundle, site=here, base=rows.of("train")[::step], elsewhere=elsewhere, **fast)
    found = new_site.study(plan)
    return _say(options, found, told.lines(found))


def _corpora(options: argparse.Namespace) -> Corpora:
    return Corpora(options.corpora, pinned(options.pins))


def _say(options: argparse.Namespace, found: msgspec.Struct, lines: Iterable[str]) -> int:
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / f"{options.study}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    print("\n".join(lines))
    print(f"written: {path}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="triaged learn study", description="A study: how labels are best chosen, or how flows are told apart."
    )
    studies = parser.add_subparsers(dest="study", required=True)
    parsers = {name: studies.add_parser(name, description=about, help=about) for name, about in ABOUT.items()}
    for name in ROWS_ALONE:
        parsers[name].add_argument("--rows", type=Path, required=True, help="a dataset built before")
    for name, added in parsers.items():
        if name not in ROWS_ALONE:
            added.add_argument(
                "--corpora", type=Path, required=True, help="folder of corpora archives or unpacked trees"
            )
        added.add_argument("--pins", type=Path, default=PINS, help="another table of sources than the shipped one")
        added.add_argument("--output", type=Path, default=Path("study"), help="folder for the results")
        added.add_argument(
            "--quick", action="store_true", help="fewer seeds, smaller forests, and one row in four or fewer"
        )
    parsers["flows"].add_argument("--data", action="append", choices=("cicids", "unsw", "nsl"), help="default: all")
    parsers["lanl"].add_argument("--every", type=int, default=100, help="keep one ordinary logon in so many")
    parsers["new-site"].add_argument(
        "--rows", type=Path, help="a dataset built before; else it is built from --corpora"
    )
    parsers["pretraining"].add_argument("--base", type=Path, help="another encoder than the packaged one, all layers")
    for name in ("heads", "length", "new-site"):
        parsers[name].add_argument("--store", type=Path, help="a model store; default: the shipped one")
        parsers[name].add_argument("--bundle", help="name/version; default: the one in production")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
