"""``python -m connector.learn.training.ensemble``: what ``triaged train ensemble`` starts as a subprocess."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.errors import ConfigError
from connector.learn.corpora.source import PINS
from connector.learn.training.sequence.__main__ import NETWORKS
from connector.resources import shipped

EXIT_CONFIG = 2
FOLDS = 5


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains the meta-classifier and writes a bundle; 0 done, 2 something must be changed first."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as every training does; read when torch loads
    options = parser().parse_args(arguments)
    try:
        folder = _trained(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    print(f"bundle written: {folder}")
    return 0


def _trained(options: argparse.Namespace) -> Path:
    from connector.learn.training.ensemble.renew import Incumbent, folds_of, renewed  # noqa: PLC0415 - imports torch
    from connector.learn.training.ensemble.train import Output, train  # noqa: PLC0415 - see above
    from connector.learn.training.members import read_member  # noqa: PLC0415 - see above
    from connector.models.store import Store  # noqa: PLC0415 - see above

    output = Output(store=options.output, name=options.name, version=options.version)
    given = [read_member(folder) for folder in options.member]
    if options.again is None:
        return train(order_of(options), given, output)
    if options.without_sequence or options.network is not None:
        raise ConfigError(
            "--again takes the sequence member as it is there: leave --network and --without-sequence out"
        )
    incumbent = Incumbent(Store(options.output), options.again)
    options.folds = options.folds or folds_of(incumbent.store.manifest(incumbent.ref))
    return renewed(order_of(options), incumbent, given, output)


def order_of(options: argparse.Namespace):  # type: ignore[no-untyped-def]  # noqa: ANN201 - torch is imported here alone
    """What the options ask to be read."""
    from connector.learn.training.ensemble.material import Order  # noqa: PLC0415 - imports torch

    return Order(
        corpora=options.corpora,
        rows=options.rows,
        store=options.store or shipped("model_store"),
        base=options.base,
        work=options.work,
        pins=options.pins or PINS,
        folds=options.folds or FOLDS,
        evaluated=options.evaluated,
        sequence=not options.without_sequence,
        network=options.network or NETWORKS[0],
    )


def arguments(made: argparse.ArgumentParser) -> None:
    """The options that training and evaluating the ensemble share."""
    made.add_argument("--base", required=True, help="name/version of the bundle whose text member is taken")
    made.add_argument("--store", type=Path, help="the model store of --base; default: the shipped one")
    made.add_argument("--corpora", type=Path, required=True, help="folder of corpora archives or unpacked trees")
    made.add_argument("--pins", type=Path, help="another table of sources than the shipped one")
    made.add_argument("--rows", type=Path, required=True, help="the dataset of --base, as `triaged dataset` writes it")
    made.add_argument(
        "--work",
        type=Path,
        default=Path("ensemble-work"),
        help="keeps recordings and the folds' networks; may be shared",
    )
    made.add_argument(
        "--evaluated",
        type=Path,
        help="the folder `fitted` of an evaluation of the same rows: no text network is fitted again",
    )
    made.add_argument("--network", choices=NETWORKS, help=f"the sequence member's; default: {NETWORKS[0]}")
    made.add_argument("--folds", type=int, help=f"default: {FOLDS}, or with --again those of that bundle")
    made.add_argument("--without-sequence", action="store_true", help="leave the sequence member out")


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="triaged train ensemble", description=__doc__)
    arguments(made)
    made.add_argument(
        "--member", type=Path, action="append", default=[], help="the folder of a trained member; may be repeated"
    )
    made.add_argument(
        "--again",
        metavar="NAME/VERSION",
        help="a bundle of --output whose other members stand in this one too; what reads text is trained anew",
    )
    made.add_argument("--output", type=Path, required=True, help="the model store that the bundle is written to")
    made.add_argument("--name", default="triaged")
    made.add_argument("--version", required=True)
    return made


if __name__ == "__main__":
    raise SystemExit(main())
