"""What a site calls its statuses and dispositions, and what they mean.

Both lists are conf entries of Enterprise Security (``reviewstatuses.conf``) that a site may change, so they are looked up.
The words that come out are those that every alert history uses: ``closed`` for whatever ends a review, and ``true_positive``,
``benign_positive``, ``false_positive`` for what was decided, by the number where it is one of those that are shipped, else
by how the label begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

SHIPPED_STATUSES: Final[Mapping[str, str]] = {
    "0": "unassigned",
    "1": "new",
    "2": "in_progress",
    "3": "pending",
    "4": "resolved",
    "5": "closed",
}
SHIPPED_DISPOSITIONS: Final[Mapping[str, str | None]] = {
    "disposition:0": None,
    "disposition:1": "true_positive",
    "disposition:2": "benign_positive",
    "disposition:3": "false_positive",
    "disposition:4": "false_positive",
    "disposition:5": "other",
    "disposition:6": None,
}
"""None: nothing was decided."""

_ENDS: Final = frozenset({"4", "5"})
_KINDS: Final = ("true_positive", "benign_positive", "false_positive")
_UNDECIDED: Final = frozenset({"", "undetermined", "unassigned"})
_TRUE: Final = frozenset({"1", "true", "t", "yes"})


class Statuses(msgspec.Struct, frozen=True):
    """A site's lists: words by number, and the statuses that end a review."""

    statuses: Mapping[str, str]
    dispositions: Mapping[str, str | None]
    ends: frozenset[str]

    def status(self, number: str) -> str:
        """The word for a status; its number where the site has no such status (any more)."""
        return "closed" if number in self.ends and number != "4" else self.statuses.get(number, number)

    def disposition(self, number: str, status: str) -> str | None:
        """What was decided; None where nothing was, or where the review goes on."""
        if status not in self.ends or not number:
            return None
        return self.dispositions[number] if number in self.dispositions else word(number)


SHIPPED: Final = Statuses(SHIPPED_STATUSES, SHIPPED_DISPOSITIONS, _ENDS)
"""The lists as they come."""


def of_site(entries: Iterable[Mapping[str, Any]]) -> Statuses:
    """The lists of a site from its conf entries (``{name, content: {label, end, status_type, …}}``).

    A shipped entry whose label was changed means what the new label says.
    """
    statuses: dict[str, str] = dict(SHIPPED_STATUSES)
    dispositions: dict[str, str | None] = dict(SHIPPED_DISPOSITIONS)
    ends = set(_ENDS)
    for entry in entries:
        name, content = str(entry.get("name") or ""), entry.get("content")
        if not isinstance(content, Mapping) or not isinstance(content.get("label"), str):
            continue
        label = content["label"]
        if name.startswith("disposition:"):
            dispositions[name] = decided(label)
        elif content.get("status_type", "notable") == "notable":
            statuses[name] = word(label)
            if str(content.get("end", "0")).lower() in _TRUE:
                ends.add(name)
    return Statuses(statuses, dispositions, frozenset(ends))


def decided(label: str) -> str | None:
    """What a disposition's label says was decided."""
    text = word(label)
    if text in _UNDECIDED:
        return None
    return next((kind for kind in _KINDS if text.startswith(kind)), text)


def word(label: str) -> str:
    """A label as one word: lower case, with ``_`` for what is no letter or digit."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
