"""What a rule says where it matches, and why a rule was left out."""

from __future__ import annotations

from typing import Final, NamedTuple

LEVELS: Final = ("informational", "low", "medium", "high", "critical")
"""Sigma's levels, from the least to the most severe."""

SOURCE: Final = "sigma"
"""The basis of a label that comes of a rule's match."""


class Match(NamedTuple):
    """A rule that matched an event.

    ``techniques`` are ATT&CK ids (sub-techniques too) in the catalogue's version, sorted. ``author`` is to be named with
    every use of the rule's output: the Detection Rule License 1.1 asks for it.
    """

    id: str
    title: str
    level: str
    techniques: tuple[str, ...]
    author: str


class LeftOut(NamedTuple):
    """A rule that takes no part: where it stands, and the reason in words."""

    path: str
    reason: str
