"""Where values begin and end in JSON text, told by brackets alone: flat, however deep the text is nested.

A body may hold an event that an attacker wrote. One that no decoder takes must fail alone, so it has to be found without
decoding it. And bodies of the HTTP Event Collector are values one after another, without anything between them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from connector.api.refusal import Refusal

Span = tuple[int, int]

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]|[^\s"{}\[\],:]++', re.DOTALL)
"""A string, a bracket, or a run of anything else. Possessive: no text makes it go back."""

_CLOSES = {ord("{"): ord("}"), ord("["): ord("]")}
_BETWEEN = re.compile(rb"[\s,:]*+")
_ASIDE = re.compile(rb'(?:"(?:[^"\\]++|\\.)*+"|[^"{}\[\]]++)*+', re.DOTALL)
"""What may stand before the next bracket where nothing is looked for: skipped at once."""

MOST_STEPS = 1_000_000
"""Brackets, and values at the depth that is looked at, that a body may have: each takes about a microsecond."""


def values(body: bytes, depth: int = 0) -> Iterator[Span]:
    """The (start, stop) of each value, and each key, that stands ``depth`` brackets deep.

    Raises ``Refusal``: 400 where brackets or quotes do not match, 413 for more of them than :data:`MOST_STEPS`.
    """
    open_ = bytearray()
    start = place = 0
    for _ in range(MOST_STEPS):
        skipped = (_BETWEEN if len(open_) == depth else _ASIDE).match(body, place)
        begin = skipped.end() if skipped else place
        if begin == len(body):
            break
        found = _TOKEN.match(body, begin)
        if found is None:
            raise Refusal(400, f"malformed JSON: the string at byte {begin} is not closed")
        place, first = found.end(), body[begin]
        if first in _CLOSES:
            if len(open_) == depth:
                start = begin
            open_.append(_CLOSES[first])
        elif first in b"}]":
            if not open_ or open_.pop() != first:
                raise Refusal(400, f"malformed JSON: the bracket at byte {begin} closes nothing")
            if len(open_) == depth:
                yield start, place
        else:
            yield begin, place
    else:
        raise Refusal(413, f"the body has more than {MOST_STEPS} brackets and values", code=27)
    if open_:
        raise Refusal(400, "malformed JSON: the body ends inside a value")


def lifted(body: bytes, depth: int, names: Collection[bytes]) -> tuple[bytes, list[bytes]]:
    """The body with every value under one of these names, ``depth`` brackets deep, replaced by 0; and those values."""
    spans = values(body, depth)
    skeleton: list[bytes] = []
    taken: list[bytes] = []
    place = 0
    for (key, stop), (start, end) in zip(spans, spans, strict=False):
        if body[key + 1 : stop - 1] in names:
            skeleton.append(body[place:start])
            taken.append(body[start:end])
            place = end
    return b"0".join([*skeleton, body[place:]]), taken
