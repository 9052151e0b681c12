"""One condition of a rule, a field and a value, as a test of a view; and the text that an event must hold to pass it.

Source: https://sigmahq.io/sigma-specification/specification/sigma-appendix-modifiers.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from sigma.types import (
    CompareOperators,
    SigmaBool,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExists,
    SigmaFieldReference,
    SigmaNull,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SigmaType,
    SpecialChars,
)

from connector.models.rules.regex import compiled, literal
from connector.models.rules.views import View

Test = Callable[[View], bool]
Check = Callable[[str], bool]
Clause = frozenset[str]
"""Texts, case-folded, of which an event must hold at least one."""

KEYWORDS: Final = "*"
"""Among the fields that a condition reads: every field in which keywords are looked for, besides those that are named."""

_COMPARE: Final = {
    CompareOperators.LT: operator.lt,
    CompareOperators.LTE: operator.le,
    CompareOperators.GT: operator.gt,
    CompareOperators.GTE: operator.ge,
    CompareOperators.NEQ: operator.ne,
}
_ANYTHING: Final = SpecialChars.WILDCARD_MULTI
_LONGEST_NUMBER: Final = 40
_LONGEST_ADDRESS: Final = 64
_SHORTEST: Final = 2
"""A single letter occurs in every event: it tells nothing."""


class UnknownValueError(ValueError):
    """A kind of value that rules cannot be matched by; the message says which."""


class Leaf(NamedTuple):
    """A test, what an event must hold to pass it (None where nothing is sure), and the fields that it reads."""

    test: Test
    clause: Clause | None
    reads: frozenset[str]


def leaf(names: Sequence[str], value: SigmaType) -> Leaf:
    """The test that one of the fields has the value. Raises ``UnknownValueError`` and ``regex.UnsupportedError``."""
    if isinstance(value, SigmaNull):
        return Leaf(_absent(names), None, frozenset(names))
    if isinstance(value, SigmaExists):
        return Leaf(_present(names) if value.exists else _absent(names), None, frozenset(names))
    check, cased, needed = _check(value)
    clause = frozenset({needed}) if len(needed) >= _SHORTEST else None
    return Leaf(_any(names, check, cased=cased), clause, frozenset(names))


def same(names: Sequence[str], others: Sequence[str], reference: SigmaFieldReference) -> Leaf:
    """The test that one of the fields equals one of the others, starts with it, ends in it, or contains it."""

    def agrees(one: str, other: str) -> bool:
        if reference.starts_with and reference.ends_with:
            return other in one
        if reference.starts_with:
            return one.startswith(other)
        return one.endswith(other) if reference.ends_with else one == other

    def test(view: View) -> bool:
        texts = [text for name in others for text in view.folded(name)]
        return any(agrees(one, other) for name in names for one in view.folded(name) for other in texts)

    return Leaf(test, None, frozenset({*names, *others}))


def alternatives(names: Sequence[str], values: Sequence[SigmaType]) -> Leaf | None:
    """The test that one of the fields has one of the values, all texts that do not mind case; None for other values.

    Rules list hashes and paths by the thousand: they cost one look-up, not one test each.
    """
    texts = [value for value in values if isinstance(value, SigmaString) and not isinstance(value, SigmaCasedString)]
    if len(texts) < len(values):
        return None
    equal: set[str] = set()
    starts, ends, inside, others = [], [], [], []
    needed: list[str] = []
    for value in texts:
        parts = _parts(value, cased=False)
        needed.append(max((part for part in parts if isinstance(part, str)), key=len, default=""))
        match parts:
            case [str(plain)]:
                equal.add(plain)
            case [str(plain), stop] if stop is _ANYTHING:
                starts.append(plain)
            case [start, str(plain)] if start is _ANYTHING:
                ends.append(plain)
            case [start, str(plain), stop] if start is _ANYTHING and stop is _ANYTHING:
                inside.append(plain)
            case _:
                others.append(_glob(parts))
    first, last = tuple(starts), tuple(ends)

    def check(text: str) -> bool:
        return (
            text in equal
            or text.startswith(first)
            or text.endswith(last)
            or any(map(text.__contains__, inside))
            or any(other(text) for other in others)
        )

    sure = all(len(text) >= _SHORTEST for text in needed)
    return Leaf(_any(names, check, cased=False), frozenset(needed) if sure else None, frozenset(names))


def keyword(value: SigmaType) -> Leaf:
    """The test that any value of the event contains a text, or matches an expression."""
    if isinstance(value, SigmaString) and not isinstance(value, SigmaCasedString):
        value = SpecialChars.WILDCARD_MULTI + value + SpecialChars.WILDCARD_MULTI
    if isinstance(value, SigmaNumber):
        value = SpecialChars.WILDCARD_MULTI + SigmaString(str(value)) + SpecialChars.WILDCARD_MULTI
    check, cased, needed = _check(value)

    def test(view: View) -> bool:
        read = view.get if cased else view.folded
        return any(check(text) for name in view.names() for text in read(name))

    return Leaf(test, frozenset({needed}) if len(needed) >= _SHORTEST else None, frozenset({KEYWORDS}))


def _any(names: Sequence[str], check: Check, *, cased: bool) -> Test:
    if len(names) == 1 and not cased:
        (name,) = names

        def one(view: View) -> bool:
            return any(map(check, view.folded(name)))

        return one

    def test(view: View) -> bool:
        read = view.get if cased else view.folded
        return any(check(text) for name in names for text in read(name))

    return test


def _absent(names: Sequence[str]) -> Test:
    return lambda view: not any(map(view.get, names))


def _present(names: Sequence[str]) -> Test:
    return lambda view: any(map(view.get, names))


def _check(value: SigmaType) -> tuple[Check, bool, str]:
    """The check of one text, whether it minds case, and the longest text that must be in it, case-folded."""
    if isinstance(value, SigmaString):
        cased = isinstance(value, SigmaCasedString)
        parts = _parts(value, cased=cased)
        plain = [part for part in parts if isinstance(part, str)]
        return _glob(parts), cased, max(plain, key=len, default="").casefold()
    if isinstance(value, SigmaTimestampPart):
        raise UnknownValueError("compares a part of a time")
    if isinstance(value, SigmaNumber):
        number = str(value)
        return (lambda text: text == number), False, number
    if isinstance(value, SigmaBool):
        truth = "true" if value.boolean else "false"
        return (lambda text: text == truth), False, truth
    if isinstance(value, SigmaRegularExpression):
        pattern = value.escape(escape_escape_char=False)
        return compiled(pattern).search, True, literal(pattern)
    if isinstance(value, SigmaCIDRExpression):
        network = value.network
        return (lambda text: (found := _address(text)) is not None and found in network), False, ""
    if isinstance(value, SigmaCompareExpression):
        return _compared(value), False, ""
    raise UnknownValueError(f"a value of kind {type(value).__name__} is not known")


Part = str | SpecialChars


def _parts(value: SigmaString, *, cased: bool) -> list[Part]:
    """Plain texts and wildcards in turn. Raises ``UnknownValueError`` for a placeholder that nothing filled in."""
    parts: list[Part] = []
    for part in value.s:
        if isinstance(part, SpecialChars):
            parts.append(part)
        elif isinstance(part, str):
            parts.append(part if cased else part.casefold())
        else:
            raise UnknownValueError(f"the placeholder %{part.name}% is filled in nowhere")
    return parts


def _glob(parts: list[Part]) -> Check:
    """Whether a text is of the pattern. Plain patterns, which nearly all are, cost one call of ``str``."""
    match parts:
        case []:
            return lambda text: not text
        case [str(plain)]:
            return lambda text: text == plain
        case [start, str(plain), stop] if start is _ANYTHING and stop is _ANYTHING:
            return lambda text: plain in text
        case [start, str(plain)] if start is _ANYTHING:
            return lambda text: text.endswith(plain)
        case [str(plain), stop] if stop is _ANYTHING:
            return lambda text: text.startswith(plain)
    return _segments(parts)


def _segments(parts: list[Part]) -> Check:
    """A pattern by its stretches between ``*``: each is found leftmost after the one before, so no step is ever undone."""
    stretches: list[list[Part]] = [[]]
    for part in parts:
        if part is SpecialChars.WILDCARD_MULTI:
            stretches.append([])
        else:
            stretches[-1].append(part)
    # of letters and "." alone: nothing in them repeats, so nothing backtracks
    sources = ["".join("." if isinstance(p, SpecialChars) else re.escape(p) for p in part) for part in stretches]
    first = re.compile(sources[0], re.DOTALL)
    if len(sources) == 1:
        return lambda text: first.fullmatch(text) is not None
    middle = [re.compile(source, re.DOTALL) for source in sources[1:-1] if source]
    last = re.compile(sources[-1], re.DOTALL)
    width = sum(len(part) if isinstance(part, str) else 1 for part in stretches[-1])

    def check(text: str) -> bool:
        found = first.match(text)
        for stretch in middle:
            if found is None:
                return False
            found = stretch.search(text, found.end())
        return (
            found is not None
            and len(text) - width >= found.end()
            and last.fullmatch(text, len(text) - width) is not None
        )

    return check


def _compared(value: SigmaCompareExpression) -> Check:
    compare, number = _COMPARE[value.op], float(value.number.number)

    def check(text: str) -> bool:
        try:
            return bool(len(text) <= _LONGEST_NUMBER and compare(float(text), number))
        except ValueError:
            return False

    return check


@lru_cache(maxsize=4096)
def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text) if len(text) <= _LONGEST_ADDRESS else None
    except ValueError:
        return None
