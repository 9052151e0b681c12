"""The members of a bundle once more, beside a new text member.

What reads the text member, or is weighed beside it, is trained anew: the sequence member, the rules' weights, and how members
are combined. What reads neither is carried over byte for byte.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.corpora.source import Source
from connector.learn.training.ensemble.assemble import SEQUENCE, carried, may_ship
from connector.learn.training.ensemble.material import READ, Order
from connector.learn.training.ensemble.opinions import RULES
from connector.learn.training.ensemble.train import Output, train
from connector.learn.training.fit import Recipe as TextRecipe
from connector.learn.training.members import Report, TrainedMember, read_member
from connector.learn.training.sequence import fit, recorded, train as sequence
from connector.learn.training.sequence.texts import Kept, texts
from connector.models.ensemble import META, TEXT
from connector.models.manifest import Manifest
from connector.models.store import Store

MADE_HERE: Final = frozenset({TEXT, RULES, META})
"""The kinds that ``triaged train ensemble`` takes from its base, or makes itself."""


class Incumbent(NamedTuple):
    """A bundle of several members, and the store that it stands in."""

    store: Store
    ref: str


def others(incumbent: Incumbent, pins: Mapping[str, Source], named: Container[str] = ()) -> list[TrainedMember]:
    """The incumbent's members beside text, rules and meta, but for those ``named``.

    Raises ``ConfigError`` for an incumbent that is damaged, or whose members read what may not train by these ``pins``.
    """
    store, ref = incumbent
    if problems := store.verify(ref):
        raise ConfigError(f"bundle {ref} is refused: {'; '.join(problems)}")
    specs = store.manifest(ref).members
    found = [carried(store, ref, spec.name) for spec in specs if spec.kind not in MADE_HERE and spec.name not in named]
    may_ship(found, pins)
    return found


def renewed(order: Order, incumbent: Incumbent, given: Sequence[TrainedMember], output: Output) -> Path:
    """Writes the bundle of ``order``'s base and the incumbent's other members, and returns its folder.

    A member ``given`` takes the place of the incumbent's of that name. Raises ``ConfigError`` as :func:`others` does, and as
    training does.
    """
    kept = others(incumbent, order.read().sources, {member.spec.name for member in given})
    members = [*given, *(_sequence(order, one.report) if one.spec.kind == SEQUENCE else one for one in kept)]
    networks = [member.report.recipe["network"] for member in members if member.spec.kind == SEQUENCE]
    network = networks[0] if networks else order.network
    return train(msgspec.structs.replace(order, sequence=bool(networks), network=network), members, output)


def folds_of(manifest: Manifest) -> int:
    """By how many folds a bundle of several members was made."""
    return len(manifest.metrics["ensemble"]["folds"])


def _sequence(order: Order, earlier: Report) -> TrainedMember:
    """A sequence member as the earlier one was made, over the scores of the base's text member."""
    corpora, rows = order.read(), dataset_file.read(order.rows)
    base = Store(order.store).manifest(order.base)
    text = next(spec for spec in base.members if spec.name == TEXT)
    folder = order.work / SEQUENCE
    read = recorded.kept(corpora, order.work / READ)
    recipe = msgspec.convert(base.metrics.get("training", {}).get("recipe", {}), TextRecipe)
    spoken = texts(read, rows, Kept(recipe, order.work, order.evaluated), labels=text.labels, count=order.folds)
    told = sequence.trained(
        read,
        spoken,
        folder,
        pins=corpora.sources,
        recipe=msgspec.convert(earlier.recipe, fit.Recipe),
        split_seed=rows.facts.seed,
        ship=earlier.recipe["network"],
    )
    print(told, flush=True)
    return read_member(folder)
