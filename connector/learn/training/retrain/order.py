"""What a retraining is asked for, and the base rows that it starts from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.dataset import Dataset, Row
from connector.learn.training.provenance import check_rows
from connector.models import neighbours
from connector.models.ensemble import TEXT
from connector.models.manifest import Manifest
from connector.models.store import Store

CARRIED: Final = "examples that the bundle carries"
_ROUND: Final = re.compile(r"(.+)-r(\d{1,6})", re.ASCII)


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to retrain, on what, and as which version.

    Base rows are a built dataset (``rows``), ``corpora`` to build one from, or, for a phishing bundle, labelled ``mails``.
    The quick path of a text bundle needs none: it falls back on the examples that the bundle carries. ``excluded`` names
    labels that are not to be used.
    """

    store: Path
    bundle: str
    export: Path
    version: str
    newest: float
    full: bool = False
    rows: Path | None = None
    corpora: Path | None = None
    mails: Sequence[Path] = ()
    pins: Path = PINS
    base: Path | None = None
    excluded: Path | None = None
    cache: Path | None = None
    track: str | None = None


class Base(msgspec.Struct, frozen=True):
    """Base rows, what they are called on the card, and the dataset that they are; None for examples."""

    rows: Sequence[Row]
    name: str
    dataset: Dataset | None = None


def next_version(store: Store, name: str, version: str) -> str:
    """The next free ``<version>-rN``; a bundle that was retrained already keeps the version that it began with."""
    began = _ROUND.fullmatch(version)
    root = version if began is None else began[1]
    found = (_ROUND.fullmatch(ref.removeprefix(f"{name}/")) for ref in store.list())
    return f"{root}-r{max((int(one[2]) for one in found if one is not None and one[1] == root), default=0) + 1}"


def base_of(order: Order, manifest: Manifest) -> Base:
    """The base rows. Those that train are checked: from sources that may, and none of the demo's scenario.

    Raises ``ConfigError`` where none are named and none can stand in.
    """
    if any(spec.kind == TEXT for spec in manifest.members):
        return _of_events(order, manifest)
    if not order.mails:
        raise ConfigError(f"bundle {manifest.ref} reads mails: name labelled ones with --mails")
    from connector.learn.training.retrain.mails import read  # noqa: PLC0415 - imports torch, which only mails need here

    found = read(order.mails, manifest.dataset.seed)
    return Base(found.rows, "the mails given", found)


def _of_events(order: Order, manifest: Manifest) -> Base:
    pins = pinned(order.pins)
    if order.rows is not None:
        found = dataset_file.read(order.rows)
    elif order.corpora is not None:
        seed = manifest.dataset.seed
        found = dataset.build(Corpora(order.corpora, pins), seed=seed, held_out=held_out.scenario())
    elif order.full:
        raise ConfigError("--full trains anew: name the corpora folder with --corpora, or a built dataset with --rows")
    else:
        return Base(carried(Store(order.store), manifest.ref), CARRIED)
    trained = tuple(row for row in found.rows if row.split == "train")
    check_rows(Dataset(trained, found.facts), pins)
    return Base(found.rows, f"dataset {found.facts.digest[:12]}", found)


def carried(store: Store, ref: str) -> list[Row]:
    """The examples of a bundle as rows: training rows of its own, shortened, which hold what it knows in place.

    Raises ``ConfigError`` where it carries none.
    """
    examples = neighbours.read(store.directory(ref))
    if examples is None:
        raise ConfigError(f"bundle {ref} carries no examples: name base rows with --rows or --corpora")
    return [
        Row(
            text=example.text,
            kind="generic",
            fingerprint=hashlib.sha256(example.text.encode("utf-8", "replace")).hexdigest(),
            techniques=example.techniques,
            malicious=example.malicious,
            basis="rule-match",
            source=example.source,
            group=example.record.rpartition("#")[0],
            record=example.record,
            licence="",
            split="train",
        )
        for example in examples.rows
    ]
