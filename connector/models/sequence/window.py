"""A host's window: the newest things that it did, each once, in the order in which they took place.

A window holds behaviours, not events: what is of one kind, family, parent and process as a token that stands there, and
looks no worse to the text member, is scored against the window and leaves it as it is. So a window reaches as far back on a
busy host as on a quiet one.

An event up to :data:`LATENESS` late takes its place in order. What is older still, or has no time, stands last, as it came:
so neither a backfill nor a clock that was set forward blinds a window. Each keeps its own time, so a false one is gone with
the event that told it; an event without one takes that of the event before it.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

LENGTH: Final = 32
"""The tokens that a window holds, and that a score is made of, the event's own among them."""

LATENESS: Final = 600_000
"""How late an event may be to be put in order, in milliseconds: ten minutes."""

TOP: Final = 3
"""The likeliest techniques that a token keeps."""

UNSCORED: Final = -128
"""The score of an event of which the text member has no view."""

_FORMAT: Final = 1
_HEAD: Final = struct.Struct("<B4sB")
_TOKEN: Final = struct.Struct("<qQHHHbHHHBBBII")
_CHECK: Final = 4

MOST_BYTES: Final = _HEAD.size + LENGTH * _TOKEN.size + _CHECK
"""The longest that a host's row can be."""


Three: TypeAlias = tuple[int, int, int]


class Token(NamedTuple):
    """One event as a window keeps it: numbers alone.

    ``at`` is in milliseconds since the epoch; ``tag`` tells the same event again. ``kind``, ``image`` and ``parent`` are
    places in the vocabulary. ``score`` is the text member's logit of malice in eighths; ``top`` the places and ``weights``
    (of 255) of its likeliest techniques. ``process`` and ``above`` are hashes, only ever compared within one window: is
    this the same process, or its parent?
    """

    at: int
    tag: int
    kind: int
    image: int
    parent: int
    score: int
    top: Three
    weights: Three
    process: int
    above: int


Context: TypeAlias = tuple[tuple[Token, ...], Token]
"""An event's own token, and what stands before it, oldest first."""

Behaviour: TypeAlias = tuple[int, int, int, int]
"""Kind, family, parent's family and process: of what is alike in these a window holds only what looks worse."""

_behaviour: Final[Callable[[Token], Behaviour]] = itemgetter(
    *map(Token._fields.index, ("kind", "image", "parent", "process"))
)


class Window:
    """The tokens of one host, oldest first; what came too late to be put in order stands where it came."""

    __slots__ = ("_before", "_scores", "_tags", "changed", "tokens")

    def __init__(self, tokens: Sequence[Token] = ()) -> None:
        self.tokens = list(tokens)
        self.changed = False
        self._tags = {token.tag for token in tokens}
        self._before: dict[int, tuple[Token, ...]] = {}
        self._scores: dict[Behaviour, list[int]] = defaultdict(list)
        for token in sorted(tokens, key=lambda token: token.score):
            self._scores[_behaviour(token)].append(token.score)

    def enter(self, token: Token, *, timed: bool = True) -> Context:
        """What stands before an event, and the event itself; afterwards the window holds it where it is new.

        An event that the window holds changes nothing. While the window stays as it is, what stands before is one object.
        """
        if token.tag in self._tags:
            place = next(place for place, one in enumerate(self.tokens) if one.tag == token.tag)
            return self._standing(place), self.tokens[place]
        if not timed and self.tokens:
            token = token._replace(at=self.tokens[-1].at)
        place = self._place(token.at)
        before = self._standing(place)
        scores = self._scores[_behaviour(token)]  # of those that stand: each looked worse than the one before it
        if not scores or scores[-1] < token.score:
            scores.append(token.score)
            self._insert(place, token)
        return before, token

    def _standing(self, place: int) -> tuple[Token, ...]:
        """What stands before a place, as far as a score looks back."""
        before = self._before.get(place)
        if before is None:
            before = self._before[place] = tuple(self.tokens[max(0, place + 1 - LENGTH) : place])
        return before

    def _place(self, at: int) -> int:
        """How many tokens stand before what took place then."""
        place = len(self.tokens)
        if not place or at < self.tokens[-1].at - LATENESS:
            return place
        while place and self.tokens[place - 1].at > at:
            place -= 1
        return place

    def _insert(self, place: int, token: Token) -> None:
        self.tokens.insert(place, token)
        self._tags.add(token.tag)
        self._before.clear()
        self.changed = True
        if len(self.tokens) > LENGTH:
            self._leave(self.tokens.pop(0))

    def _leave(self, oldest: Token) -> None:
        self._tags.discard(oldest.tag)
        scores = self._scores[_behaviour(oldest)]
        scores.remove(oldest.score)
        if not scores:
            del self._scores[_behaviour(oldest)]


def packed(window: Window, vocabulary: bytes) -> bytes:
    """A window as a row of the ledger, at most :data:`MOST_BYTES` long; ``vocabulary`` is its digest."""
    body = b"".join(
        _TOKEN.pack(*token[:6], *token.top, *token.weights, token.process, token.above) for token in window.tokens
    )
    row = _HEAD.pack(_FORMAT, vocabulary, len(window.tokens)) + body
    return row + _checksum(row)


def unpacked(row: bytes, vocabulary: bytes) -> Window | None:
    """The window of a row; None where the row is damaged. One of another format or vocabulary is empty: another model's."""
    if not _HEAD.size + _CHECK <= len(row) <= MOST_BYTES or _checksum(row[:-_CHECK]) != row[-_CHECK:]:
        return None
    version, digest, count = _HEAD.unpack_from(row)
    if version != _FORMAT or digest != vocabulary:
        return Window()
    if len(row) != _HEAD.size + count * _TOKEN.size + _CHECK:
        return None
    values = _TOKEN.iter_unpack(row[_HEAD.size : -_CHECK])
    return Window([_token(value) for value in values])


def _token(value: tuple[int, ...]) -> Token:
    at, tag, kind, image, parent, score, *rest = value
    top, weights, (process, above) = rest[:TOP], rest[TOP : 2 * TOP], rest[2 * TOP :]
    return Token(at, tag, kind, image, parent, score, three(top), three(weights), process, above)


def three(values: Sequence[int]) -> Three:
    """Three numbers, as a token keeps them."""
    first, second, third = values
    return first, second, third


def _checksum(row: bytes) -> bytes:
    return zlib.crc32(row).to_bytes(_CHECK, "little")
