"""What a family of events brings: how its records are read, and what ECS says of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from connector.events.fields import Meta
from connector.types import Document

Node = dict[str, Any]


class Log(NamedTuple):
    """A Windows log, for its events that have no kind of their own.

    ``providers`` and ``channels`` are in lower case; a channel counts where a record names no provider. ``events`` is by
    event code.
    """

    providers: frozenset[str]
    channels: frozenset[str]
    events: Mapping[str, Meta]


class Family(NamedTuple):
    """A family of events, one file each.

    ``kinds`` are canonical kinds whose events stand in Windows' shape, with their ECS fields; ``logs`` are Windows logs.
    ``read`` turns a record in the vendor's own schema into an ECS document with its ``event.dataset``, ``read_text`` a
    record that is text; both give None for what is not of the family, never raise, and leave the record unchanged.
    ``datasets`` are the values of ``event.dataset`` that are the family's, in lower case. ``keys`` are root keys that tell
    a document in ECS to be the family's to read all the same (``kibana.alert.uuid``).
    """

    name: str
    kinds: Mapping[str, Meta] = {}
    logs: tuple[Log, ...] = ()
    datasets: frozenset[str] = frozenset()
    read: Callable[[Document], Node | None] | None = None
    read_text: Callable[[str], Node | None] | None = None
    keys: tuple[str, ...] = ()
