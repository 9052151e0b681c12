"""Records of ours that come back on read, so that Triaged does not read its own output.

A mark proves that some record has that id, and anyone who reads the output can copy it. So a mark alone hides nothing:
the event that carries it must also say nothing but what a record of ours says, which no model sees anything in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from connector import identity
from connector.types import Event, Record

_ACTIONS = frozenset(str(kind.__struct_config__.tag) for kind in get_args(Record))
_CLASSES = frozenset({"source.class", "user.class"})
"""Classes of the entity that a verdict names: words from closed lists."""


def marked(event: Event) -> object:
    """What stands at ``triaged.origin``; None where nothing does."""
    marks = event.ecs.get("triaged")
    return marks.get("origin") if isinstance(marks, Mapping) else None


def is_own(event: Event, mark: object, key: bytes) -> bool:
    """Whether this is a record of ours: its mark verifies, and it holds nothing that a classifier would look at."""
    return event.kind == "generic" and all(map(_is_ours, event.canonical)) and identity.is_ours(key, mark)


def _is_ours(pair: tuple[str, str]) -> bool:
    """Whether a pair of a canonical form is one that the document of a record itself yields."""
    name, value = pair
    return name == "kind" or name in _CLASSES or (name == "event.action" and value in _ACTIONS)
