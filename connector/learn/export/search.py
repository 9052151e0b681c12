"""Looks for many names in a text at once: what it costs follows the text, and not the text times the names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from connector.learn.export.pseudonyms import Kind

_HEAD: Final = 3
"""The first letters that a word is looked up by: names have at least as many."""

_INSIDE: Final = 6
"""From this length on a word is found in the middle of another one too."""

_MOST: Final = 1 << 15
"""Letters that may be compared at one place of a text."""

_LABELS: Final = re.compile(r"(?<![\w.-])(?:[\w-]{1,63}\.){1,8}")


class Hit(NamedTuple):
    """Where a word stands; ``name``: where it begins itself, behind the host's name before a domain. A secret has no kind."""

    start: int
    name: int
    end: int
    kind: Kind | None


class Search:
    """Finds the leftmost words of a text, of those at one place the longest; upper and lower case are one.

    Before a host's name with a dot in it, which is a site's own domain, stands a host's name.
    """

    def __init__(self, words: Mapping[str, Kind | None]) -> None:
        self._words = {_folded(word): kind for word, kind in words.items() if len(word) >= _HEAD}
        self._domains = any(kind == "host" and "." in word for word, kind in self._words.items())
        lengths: dict[str, set[int]] = defaultdict(set)
        for word in self._words:
            lengths[word[:_HEAD]].add(len(word))
        self._lengths = {head: sorted(found, reverse=True) for head, found in lengths.items()}

    @property
    def is_dear(self) -> bool:
        """Whether so many words of different lengths begin alike that looking for them would take long."""
        return any(sum(found) > _MOST for found in self._lengths.values())

    def hits(self, text: str) -> Iterator[Hit]:
        """What is found, from left to right; no two overlap."""
        low, at = _folded(text), 0
        lengths = self._lengths
        while lengths and at < len(low):
            hit = self._word(low, at) if low[at : at + _HEAD] in lengths else None
            if self._domains and (before := _LABELS.match(low, at)):
                hit = self._behind(low, before, hit)
            if hit is None:
                at += 1
            else:
                yield hit
                at = hit.end

    def _word(self, low: str, at: int, *, domain: bool = False) -> Hit | None:
        """The longest word at a place; ``domain``: of the sites' own domains."""
        for length in self._lengths.get(low[at : at + _HEAD], ()):
            word, end = low[at : at + length], at + length
            if len(word) < length or word not in self._words:
                continue
            kind = self._words[word]
            is_domain = kind == "host" and "." in word
            if is_domain or (not domain and (length >= _INSIDE or _is_alone(low, at, end))):
                return Hit(at, at, end, kind)
        return None

    def _behind(self, low: str, before: re.Match[str], best: Hit | None) -> Hit | None:
        """The longest domain behind one of the labels, unless a longer word stands where they begin."""
        start = before.start()
        for place in (start + dot + 1 for dot, letter in enumerate(before[0]) if letter == "."):
            found = self._word(low, place, domain=True)
            if found and (best is None or found.end - place >= best.end - best.name):
                best = found._replace(start=start)
        return best


def _is_alone(low: str, start: int, end: int) -> bool:
    return not (low[start - 1 : start].isalnum() or low[end : end + 1].isalnum())


def _folded(text: str) -> str:
    """In lower case, letter for letter: no place moves."""
    return text.lower() if text.isascii() else "".join(map(_lower, text)).replace("\u0131", "i")


def _lower(letter: str) -> str:
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter.lower()[0]
