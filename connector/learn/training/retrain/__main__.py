"""``python -m connector.learn.training.retrain``: what ``triaged retrain`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connector.errors import ConfigError
from connector.learn.export import training
from connector.learn.training import registry, tracking
from connector.learn.training.retrain import closures, quick, replay
from connector.learn.training.retrain.closures import Closures
from connector.learn.training.retrain.order import Base, Order, base_of, next_version
from connector.learn.training.served import reader
from connector.models.ensemble import TEXT
from connector.models.store import Store

EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one order; 0 done, 2 something must be changed first."""
    try:
        ref = retrain(_order(_parser().parse_args(arguments)))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    print(f"bundle written: {ref}")
    return 0


def retrain(order: Order) -> str:
    """Retrains a bundle on an export's closures and returns the new one's name. Nothing is promoted. Raises ``ConfigError``."""
    store = Store(order.store)
    manifest = store.manifest(order.bundle)
    mails = reader(manifest).kind != TEXT
    excluded = frozenset() if order.excluded is None else training.excluded(order.excluded)
    found = closures.read(order.export, share=order.newest, excluded=excluded, mails=mails)
    print(_said(found), flush=True)
    base = base_of(order, manifest)
    print(f"base: {len(base.rows)} rows, {base.name}", flush=True)
    about = _about(order, found, base)
    if order.full:
        from connector.learn.training.retrain import full  # noqa: PLC0415 - imports torch, which the quick path does not need

        assert base.dataset is not None  # noqa: S101 - the full path has no other
        ref = full.train(order, base.dataset, found, about)
    else:
        rows = [*found.learnt, *base.rows]
        weights = replay.weights(rows)
        ref = quick.refit(
            order.bundle, store, rows, weights, order.version, cache=order.cache, newest=found.newest, about=about
        )
    if order.track is not None:
        uri = order.track or tracking.beside(order.store)
        tracking.record(uri, store.directory(ref))
        registry.mirror(uri, store, order.store)
    return ref


def _about(order: Order, found: Closures, base: Base) -> dict[str, Any]:
    return {
        "export": found.export,
        "closures_digest": found.digest,
        "newest_share": order.newest,
        "newest_left_out": len(found.newest),
        "newest_since": "none" if found.since is None else found.since.isoformat(),
        "left_out": dict(found.left_out),
        "base_rows": f"{len(base.rows)}, {base.name}",
        **({} if base.dataset is None else {"base_dataset": base.dataset.facts.digest}),
    }


def _said(found: Closures) -> str:
    dropped = "".join(f"; {count} left out: {reason}" for reason, count in found.left_out.items())
    return f"closures: {len(found.learnt)} to learn from, {len(found.newest)} newest left out{dropped}"


def _order(options: argparse.Namespace) -> Order:
    store = Store(options.store)
    bundle = options.bundle or store.production()
    if bundle is None:
        raise ConfigError(f"no bundle is in production in {options.store}: name one with --bundle")
    name, _, version = bundle.partition("/")
    given = {key: value for key, value in vars(options).items() if value is not None}
    return Order(**{**given, "bundle": bundle, "version": options.version or next_version(store, name, version)})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged retrain", description=__doc__)
    say = parser.add_argument
    say("--store", type=Path, required=True)
    say("--export", type=Path, required=True)
    say("--bundle")
    say("--version")
    say("--newest", type=float, default=closures.NEWEST)
    say("--full", action="store_true")
    for name in ("rows", "corpora", "pins", "base", "excluded", "cache"):
        say(f"--{name}", type=Path)
    say("--mails", type=Path, action="append", default=[])
    say("--track", nargs="?", const="")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
