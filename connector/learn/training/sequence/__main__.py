"""``python -m connector.learn.training.sequence``: what ``triaged train sequence`` starts as a subprocess."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from connector.errors import ConfigError

EXIT_CONFIG = 2
RECORDED = "recorded.npz"
NETWORKS: Final = ("lstm", "gru", "transformer")
"""As ``network.KINDS`` has them, which imports torch; the first is the one that is written."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains one member; 0 done, 2 something must be changed first."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as every training does; read when torch loads
    options = _parser().parse_args(arguments)
    try:
        print(_trained(options))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    print(f"member written: {options.output}")
    return 0


def _trained(options: argparse.Namespace) -> str:
    import msgspec  # noqa: PLC0415

    from connector.learn import dataset, dataset_file, held_out  # noqa: PLC0415
    from connector.learn.corpora.source import PINS, Corpora, pinned  # noqa: PLC0415
    from connector.learn.training.fit import Recipe as TextRecipe  # noqa: PLC0415
    from connector.learn.training.sequence import recorded, train  # noqa: PLC0415
    from connector.learn.training.sequence.fit import Recipe  # noqa: PLC0415
    from connector.learn.training.sequence.texts import Kept, texts  # noqa: PLC0415
    from connector.models.ensemble import TEXT  # noqa: PLC0415
    from connector.models.store import Store  # noqa: PLC0415
    from connector.resources import shipped  # noqa: PLC0415

    corpora = Corpora(options.corpora, pinned(options.pins or PINS))
    store = Store(options.store or shipped("model_store"))
    bundle = options.bundle or store.production()
    if bundle is None:
        raise ConfigError("the store has no bundle in production: name one with --bundle")
    manifest = store.manifest(bundle)
    labels = next((member.labels for member in manifest.members if member.name == TEXT), None)
    if labels is None:
        raise ConfigError(f"bundle {bundle} has no text member, whose scores the sequence member reads")
    read = recorded.kept(corpora, options.keep / RECORDED)
    if options.rows is None:
        rows = dataset.build(corpora, held_out=held_out.scenario())
    else:
        rows = dataset_file.read(options.rows)
    quick = msgspec.convert(manifest.metrics.get("training", {}).get("recipe", {}), TextRecipe)
    kept = Kept(quick, options.keep, options.evaluated)
    spoken = texts(read, rows, kept, labels=labels, count=options.folds)
    recipe = Recipe(epochs=options.epochs, seed=options.seed)
    return train.trained(
        read,
        spoken,
        options.output,
        pins=corpora.sources,
        recipe=recipe,
        split_seed=rows.facts.seed,
        ship=options.network,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged train sequence", description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True, help="folder of corpora archives or unpacked trees")
    parser.add_argument("--output", type=Path, required=True, help="the folder that the member is written to")
    parser.add_argument("--rows", type=Path, help="a dataset built before, for the text networks of the folds")
    parser.add_argument("--pins", type=Path, help="another table of sources than the shipped one")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    parser.add_argument("--bundle", help="name/version whose text member will serve; default: the one in production")
    parser.add_argument(
        "--keep", type=Path, default=Path("sequence-work"), help="where recordings and text networks are kept"
    )
    parser.add_argument(
        "--evaluated",
        type=Path,
        help="the folder `fitted` of an evaluation of the same rows, whose text networks serve",
    )
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help="which of those compared is written")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
