"""The step between normalise and decide: what the site's own tables say of an event. Nothing of it reaches a model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from connector.policy.assets import Assets, read_assets
from connector.policy.decide import DecisionContext
from connector.policy.entity import entity_of
from connector.policy.lists import Lists, read_lists
from connector.types import Entity, Event


class Known(msgspec.Struct, frozen=True):
    """What is known of an entity: its tags, every name that it goes by, and a line about each row for people.

    ``resolved``: by which lists of ``[protected]`` the rows about its agent can tell whether it is protected, by names
    that are proven, and not only claimed.
    """

    tags: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    about: tuple[str, ...] = ()
    resolved: frozenset[str] = frozenset()


NOTHING = Known()


class Enrichment:
    """Assets and lists. Without any, asking costs nothing."""

    def __init__(self, assets: Assets | None = None, lists: Lists | None = None) -> None:
        self.assets = assets or Assets()
        self.lists = lists or Lists()

    @classmethod
    def load(cls, assets: Iterable[Path], lists: Iterable[Path]) -> Enrichment:
        """Reads all files. Raises ``ConfigError`` with the place of what is wrong."""
        return cls(Assets(read_assets(assets)), Lists(read_lists(lists)))

    def known(self, entity: Entity) -> Known:
        """What the tables of assets say of an entity."""
        found = self.assets.of(entity) if self.assets.size else ()
        if not found:
            return NOTHING
        return Known(
            tags=frozenset().union(*(asset.tags for asset in found)),
            aliases=frozenset(name for asset in found for name in asset.names),
            about=tuple(asset.about for asset in found),
            resolved=self.assets.told(entity.agent_id),
        )

    def context(self, event: Event, batch: DecisionContext) -> DecisionContext:
        """The batch's context with what is known of this event; the same one where nothing is."""
        known = self.known(entity_of(event.ecs)) if self.assets.size else NOTHING
        listed = self.lists.match(event.ecs, batch.now) if self.lists.size else None
        if listed is None and known is NOTHING:
            return batch
        return msgspec.structs.replace(batch, tags=known.tags, aliases=known.aliases, about=known.about, listed=listed)
