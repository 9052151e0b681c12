"""``python -m connector.learn.training text|dataset``: what ``triaged train text`` starts as a subprocess."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.learn.training.fit import Recipe
    from connector.learn.training.text import Order

EXIT_CONFIG = 2
FRACTIONS = (
    "epochs",
    "wide_epochs",
    "wide_rate",
    "letter_epochs",
    "letter_rate",
    "learning_rate",
    "group_power",
    "most_weight",
    "oversampled",
    "mutated",
    "refit",
    "pretrain",
)
WHOLE = (
    "vocabulary",
    "wide_evaluations",
    "evaluations",
    "patience",
    "batch_size",
    "max_length",
    "train_length",
    "parent_groups",
    "sub_groups",
    "window",
    "letter_window",
    "seed",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one order; 0 done, 2 something must be changed first."""
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # spinning threads starve each other on shared cores; read when torch loads
    options = _parser().parse_args(arguments)
    try:
        return _dataset(options) if options.command == "dataset" else _text(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _dataset(options: argparse.Namespace) -> int:
    from connector.learn import dataset, dataset_file, held_out  # noqa: PLC0415
    from connector.learn.corpora.source import Corpora  # noqa: PLC0415

    built = dataset.build(Corpora(options.corpora), seed=options.seed, only=options.only, held_out=held_out.scenario())
    dataset_file.write(built, options.output)
    print(f"{options.output}: {built.facts.rows}, digest {built.facts.digest}")
    return 0


def _text(options: argparse.Namespace) -> int:
    from connector.learn.training.text import train_text  # noqa: PLC0415

    print(f"bundle written: {train_text(order_of(options))}")
    return 0


def order_of(options: argparse.Namespace) -> Order:
    """What ``text`` with these options trains."""
    from connector.learn.training.text import Order  # noqa: PLC0415

    return Order(
        output=options.output,
        corpora=options.corpora,
        rows=options.rows,
        base=options.base,
        **({} if options.pins is None else {"pins": options.pins}),
        name=options.name,
        version=options.version,
        only=options.only,
        recipe=recipe_of(options),
        unlabelled=tuple(options.unlabelled),
        keep=options.keep,
        resume=options.resume,
        fitted=options.fitted,
        window=options.window,
        letter_window=options.letter_window,
        refit=options.refit,
        track=options.track,
    )


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The default recipe with what the options change. A base that the user named is trained, and keeps all its layers."""
    from connector.learn.training.fit import DEFAULT, NAMED_EPOCHS, Recipe  # noqa: PLC0415

    given = {
        name: getattr(options, name) for name in Recipe.__struct_fields__ if getattr(options, name, None) is not None
    }
    if options.layers is not None:
        given["layers"] = None if options.layers == "all" else tuple(int(part) for part in options.layers.split(","))
    elif options.base is not None:
        given["layers"] = None
    if options.base is not None:
        given.setdefault("epochs", NAMED_EPOCHS)
    return msgspec.structs.replace(DEFAULT, **given)


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged train", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    text = commands.add_parser("text", help="fine-tune the text member and write a bundle")
    text.add_argument("--corpora", type=Path, help="folder of corpora archives or unpacked trees")
    text.add_argument("--rows", type=Path, help="a dataset built before, instead of --corpora")
    text.add_argument("--pins", type=Path, help="another table of sources than the shipped one")
    text.add_argument("--base", type=Path, help="any Hugging Face model folder, whose encoder is trained too")
    text.add_argument("--output", type=Path, required=True, help="the model store that the bundle is written to")
    text.add_argument("--name", default="triaged")
    text.add_argument("--version", help="default: the one after the highest that --output has of --name, first 0.1.0")
    text.add_argument("--only", type=_names, help="names of sources, comma-separated")
    text.add_argument("--keep", type=Path, help="save the fitted network here, and what --resume needs")
    text.add_argument("--resume", action="store_true", help="go on from what a run that was broken off left in --keep")
    text.add_argument(
        "--track", nargs="?", const="", help="tell MLflow: a store's URI; default: a file beside --output"
    )
    text.add_argument("--balance", choices=("weights", "oversampling", "none"), help="how rare techniques are helped")
    text.add_argument("--fitted", type=Path, help="export and calibrate the network saved here, without training")
    text.add_argument(
        "--unlabelled",
        type=Path,
        action="append",
        default=[],
        help="a file or folder of events that --pretrain reads, beside the training rows; may be given several times",
    )
    text.add_argument("--layers", help="encoder layers to keep, such as 0,2,5, or all; default: all of --base")
    for name in FRACTIONS:
        text.add_argument(f"--{name.replace('_', '-')}", type=float)
    for name in WHOLE:
        text.add_argument(f"--{name.replace('_', '-')}", type=int)
    rows = commands.add_parser("dataset", help="build the dataset alone")
    rows.add_argument("--corpora", type=Path, required=True)
    rows.add_argument("--output", type=Path, required=True)
    rows.add_argument("--only", type=_names)
    rows.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
