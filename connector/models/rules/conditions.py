"""A rule's condition, as pySigma parsed it, as one test of a view; and what an event must show to be worth testing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import SigmaExpansion, SigmaFieldReference, SigmaNumber, SigmaString, SigmaType

from connector.models.rules.values import Clause, Leaf, Test, UnknownValueError, alternatives, keyword, leaf, same
from connector.models.rules.views import View

Names = Callable[[str], Sequence[str]]
"""The names under which a view may hold a field of a rule."""


class Condition(NamedTuple):
    """A test, clauses of which an event must meet every one to pass it, and the fields that it reads."""

    test: Test
    clauses: tuple[Clause, ...]
    reads: frozenset[str]


def compiled(parsed: Any, names: Names) -> Condition:
    """A parsed condition as a test. Raises ``UnknownValueError`` and ``regex.UnsupportedError``."""
    match parsed:
        case ConditionAND():
            return _all([compiled(arg, names) for arg in parsed.args])
        case ConditionOR():
            return _one_field(parsed.args, names) or _any([compiled(arg, names) for arg in parsed.args])
        case ConditionNOT():
            inner = compiled(parsed.args[0], names)
            return Condition(partial(_not, inner.test), (), inner.reads)
        case ConditionFieldEqualsValueExpression(value=SigmaFieldReference() as reference):
            return _of_leaf(same(names(parsed.field), names(reference.field), reference))
        case ConditionFieldEqualsValueExpression():
            return _leaves(parsed.value, partial(leaf, names(parsed.field)))
        case ConditionValueExpression():
            return _leaves(parsed.value, keyword)
    raise UnknownValueError("the condition is empty")


def fixed(parsed: Any, field: str) -> frozenset[str] | None:
    """The values, case-folded, of which the field must have one; None where the condition leaves it open."""
    match parsed:
        case ConditionAND():
            known = [values for arg in parsed.args if (values := fixed(arg, field)) is not None]
            return frozenset.intersection(*known) if known else None
        case ConditionOR():
            each = [fixed(arg, field) for arg in parsed.args]
            return frozenset().union(*(values or () for values in each)) if None not in each else None
        case ConditionFieldEqualsValueExpression() if parsed.field == field:
            return _plain(parsed.value)
    return None


def both(one: Condition, other: Condition) -> Condition:
    """The condition that both hold."""
    return _all([one, other])


def fields(parsed: Any) -> frozenset[str]:
    """The names of the fields that a condition reads."""
    match parsed:
        case ConditionAND() | ConditionOR() | ConditionNOT():
            return frozenset().union(*map(fields, parsed.args))
        case ConditionFieldEqualsValueExpression(value=SigmaFieldReference() as reference):
            return frozenset({parsed.field, reference.field})
        case ConditionFieldEqualsValueExpression():
            return frozenset({parsed.field})
    return frozenset()


def all_read(parts: Iterable[Condition]) -> frozenset[str]:
    """The fields that any of them reads."""
    return frozenset().union(*(part.reads for part in parts))


def rarity(clause: Clause) -> float:
    """How seldom a clause is met, by guess: the more texts, and the shorter, the more often."""
    return -sum(2.0 ** -min(len(text), 24) for text in clause)


def _plain(value: SigmaType) -> frozenset[str] | None:
    if isinstance(value, SigmaNumber):
        return frozenset({str(value)})
    if isinstance(value, SigmaString) and all(isinstance(part, str) for part in value.s):
        return frozenset({"".join(str(part) for part in value.s).casefold()})
    return None


def _one_field(parts: Sequence[Any], names: Names) -> Condition | None:
    """Alternatives of one field, as one test; None where they are of several."""
    if not all(isinstance(part, ConditionFieldEqualsValueExpression) for part in parts):
        return None
    if len({part.field for part in parts}) != 1:
        return None
    found = alternatives(names(parts[0].field), [part.value for part in parts])
    return None if found is None else _of_leaf(found)


def _leaves(value: SigmaType, make: Callable[[SigmaType], Leaf]) -> Condition:
    """A value, or any of those that a modifier made of it."""
    if isinstance(value, SigmaExpansion):
        return _any([_leaves(inner, make) for inner in value.values])
    return _of_leaf(make(value))


def _of_leaf(found: Leaf) -> Condition:
    return Condition(found.test, () if found.clause is None else (found.clause,), found.reads)


def _all(parts: Sequence[Condition]) -> Condition:
    tests = tuple(part.test for part in parts)

    def test(view: View) -> bool:
        return all(test(view) for test in tests)

    return Condition(test, tuple(clause for part in parts for clause in part.clauses), all_read(parts))


def _any(parts: Sequence[Condition]) -> Condition:
    tests = tuple(part.test for part in parts)

    def test(view: View) -> bool:
        return any(test(view) for test in tests)

    return Condition(test, _joined(part.clauses for part in parts), all_read(parts))


def _joined(each: Iterable[tuple[Clause, ...]]) -> tuple[Clause, ...]:
    """One clause that holds whichever alternative does: the rarest of each. None where one of them has none."""
    rarest: list[Clause] = []
    for clauses in each:
        if not clauses:
            return ()
        rarest.append(max(clauses, key=rarity))
    return (frozenset().union(*rarest),)


def _not(test: Test, view: View) -> bool:
    return not test(view)
