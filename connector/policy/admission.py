"""The nouns of admission: what admit reads, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

from connector.types import Noun


class Silenced(Protocol):
    """A silence: no playbook for ``scope``, as :mod:`connector.policy.silences` reads it."""

    @property
    def scope(self) -> str:
        """What is silenced."""
        ...


class Approved(Protocol):
    """A person's decision; it counts until ``expires_at``."""

    @property
    def state(self) -> str:
        """``pending``, ``approved`` or ``rejected``."""
        ...

    @property
    def expires_at(self) -> datetime | None:
        """None: it does not expire before the action does."""
        ...


class Run(Noun, frozen=True, kw_only=True):
    """Start it now."""


class Wait(Noun, frozen=True, kw_only=True):
    """Look again then."""

    until: datetime
    reason: str


class Refuse(Noun, frozen=True, kw_only=True):
    """Never; the reason is recorded."""

    reason: str


Admitted: TypeAlias = Run | Wait | Refuse


class Scope(Noun, frozen=True, kw_only=True):
    """What an admitted action is counted under, and how far back that count matters."""

    name: str
    window: timedelta


class AdmissionContext(Noun, frozen=True, kw_only=True):
    """What admit needs to know, read under lock. The defaults fail closed.

    ``switches``: names of the switches that are on; ``silences``: the :class:`Silenced` in force; ``approval``: the
    :class:`Approved` of this action, if any; ``counted``: by scope name, when an action was last admitted there, and
    how many were admitted within the scope's window, this action itself left out; every scope that ``scopes`` names must
    be there, since what was not counted cannot be capped. ``resolved``: by which lists of ``[protected]`` the site's
    tables can tell whether the entity's agent is protected.
    """

    switches: frozenset[str] = frozenset()
    silences: tuple[Silenced, ...] = ()
    approval: Approved | None = None
    counted: Mapping[str, tuple[datetime | None, int]] = {}
    bundle_ready: bool = False
    drifting: bool = True
    uniqueness: Literal["key", "search", "none"] = "none"
    resolved: frozenset[str] = frozenset()
    aliases: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
