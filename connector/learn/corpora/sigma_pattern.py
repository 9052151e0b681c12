"""A Sigma rule's pattern turned round: field values that the rule would match.

Only what can be filled by example is: plain, ``contains``, ``startswith``, ``endswith`` and ``all`` with wildcards.
Regular expressions, networks and encodings make a selection unfillable, and a condition that needs it yields nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from random import Random
from typing import Any

import msgspec

_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_FILLABLE = frozenset({"contains", "startswith", "endswith", "all", "windash", "cased"})
_EXTENSION = re.compile(r"\.\w{1,10}")
_NO_SELECTION = frozenset({"condition", "timeframe"})
_TEXTS = frozenset({"CommandLine", "ParentCommandLine", "ScriptBlockText"})
_WORDS = ("update", "report", "data", "setup", "agent", "sync", "app", "output", "cache", "service")


class Piece(msgspec.Struct, frozen=True):
    """One wanted value: ``text`` at the ``start``, the ``end``, ``inside``, or as the ``whole`` value."""

    text: str
    place: str


Wanted = dict[str, list[Piece]]


def fill(detection: Mapping[str, Any], draw: Random) -> dict[str, str] | None:
    """Values for the fields that one way through the condition asks for, or None where that way cannot be filled."""
    condition = detection.get("condition")
    names = [name for name in detection if name not in _NO_SELECTION]
    if not isinstance(condition, str) or "|" in condition:
        return None
    chosen = _chosen(_TOKEN.findall(condition), names, draw)
    wanted: Wanted = {}
    for name in chosen:
        if not _want(detection[name], wanted, draw):
            return None
    return {field: assembled(pieces, draw) for field, pieces in wanted.items()} or None


def fill_filtered(
    detection: Mapping[str, Any], name: str, draw: Random
) -> tuple[dict[str, str], dict[str, str]] | None:
    """Values that the positive selections and one filter ask for, and the filter's own; None where either cannot be filled.

    Where both ask for one field, a command line holds both wants, and any other field is the filter's.
    """
    condition = detection.get("condition")
    if not isinstance(condition, str) or "|" in condition:
        return None
    positive: Wanted = {}
    for chosen in _chosen(_TOKEN.findall(condition), [key for key in detection if key not in _NO_SELECTION], draw):
        if not _want(detection[chosen], positive, draw):
            return None
    harmless: Wanted = {}
    if not _want(detection[name], harmless, draw) or not harmless:
        return None
    both = {**positive, **harmless}
    for field in _TEXTS & set(positive) & set(harmless):
        if not any(piece.place == "whole" for piece in harmless[field]):
            both[field] = [piece for piece in positive[field] if piece.place != "whole"] + harmless[field]
    wanted = {field: assembled(pieces, draw) for field, pieces in both.items()}
    return wanted, {field: wanted[field] for field in harmless}


def _chosen(tokens: Sequence[str], names: Sequence[str], draw: Random) -> list[str]:
    """The selections of one way through a condition: everything positive of an ``and``, one side of an ``or``."""
    reader = _Reader(list(tokens), names, draw)
    return reader.either()


class _Reader:
    """Recursive descent over ``or`` < ``and`` < ``not`` < group."""

    def __init__(self, tokens: list[str], names: Sequence[str], draw: Random) -> None:
        self.tokens, self.names, self.draw = tokens, names, draw

    def _next(self) -> str:
        return self.tokens.pop(0) if self.tokens else ""

    def either(self) -> list[str]:
        sides = [self.both()]
        while self.tokens and self.tokens[0].lower() == "or":
            self._next()
            sides.append(self.both())
        return self.draw.choice([side for side in sides if side] or [[]])

    def both(self) -> list[str]:
        found = self.one()
        while self.tokens and self.tokens[0].lower() == "and":
            self._next()
            found = found + self.one()
        return found

    def one(self) -> list[str]:
        word = self._next()
        if word.lower() == "not":
            self.one()
            return []
        if word == "(":
            found = self.either()
            self._next()
            return found
        if word.lower() in {"all", "1", "any"} and self.tokens and self.tokens[0].lower() == "of":
            self._next()
            pattern = self._next()
            matching = [name for name in self.names if pattern == "them" or fnmatchcase(name, pattern)]
            return matching if word.lower() == "all" or not matching else [self.draw.choice(matching)]
        return [word] if word in self.names else []


def _want(selection: Any, wanted: Wanted, draw: Random) -> bool:
    if isinstance(selection, list):
        maps = [item for item in selection if isinstance(item, dict)]
        return bool(maps) and _want(draw.choice(maps), wanted, draw)
    if not isinstance(selection, dict):
        return False
    return all(_want_field(str(key), value, wanted, draw) for key, value in selection.items())


def _want_field(key: str, value: Any, wanted: Wanted, draw: Random) -> bool:
    field, *modifiers = key.split("|")
    if not field or not set(modifiers) <= _FILLABLE:
        return False
    values = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str | int)]
    if not values:
        return value is None
    place = next((name for name in ("startswith", "endswith", "contains") if name in modifiers), "whole")
    taken = values if "all" in modifiers else [draw.choice(values)]
    wanted.setdefault(field, []).extend(Piece(str(item), place) for item in taken)
    return True


def assembled(pieces: Sequence[Piece], draw: Random) -> str:
    """One value that holds every piece: starts first, then what is anywhere, then ends."""
    whole = [piece for piece in pieces if piece.place == "whole"]
    if whole:
        return _plain(whole[0].text, draw)
    starts = [_plain(piece.text, draw) for piece in pieces if piece.place == "startswith"]
    inside = [_plain(piece.text, draw) for piece in pieces if piece.place == "contains"]
    ends = [_plain(piece.text, draw) for piece in pieces if piece.place == "endswith"]
    text = starts[0] if starts else ""
    for part in inside:
        text = joined(text, part if part.startswith((" ", "\\", ".", ",")) else f" {part}")
    if ends and _EXTENSION.fullmatch(ends[0]) and not text.rpartition("\\")[2]:
        text += draw.choice(_WORDS)
    return joined(text, ends[0] if ends else "").strip(" ") or draw.choice(_WORDS)


def joined(left: str, right: str) -> str:
    """Two pieces side by side, without the doubled backslash of a path cut at its separator."""
    return left[:-1] + right if left.endswith("\\") and right.startswith("\\") else left + right


def _plain(text: str, draw: Random) -> str:
    """A pattern's text with wildcards replaced by words and escapes undone."""
    text = re.sub(r"(?<!\\)\*", lambda _: draw.choice(_WORDS), text)
    text = re.sub(r"(?<!\\)\?", lambda _: draw.choice("abcx1"), text)
    return text.replace("\\*", "*").replace("\\?", "?").replace("\\\\", "\\")
