"""The ``search`` command: which events a search expression matches. ``OR`` binds closer than the silent ``AND``, as in Splunk."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.splunkd.spl.text import SearchError, Token, tokenise

Match = Callable[[Mapping[str, Any]], bool]

TIME_WORDS = ("earliest", "latest", "_index_earliest", "_index_latest")
_COMPARISONS = ("=", "==", "!=", "<", "<=", ">", ">=")


@dataclass(slots=True)
class Filter:
    """A search expression: its test of one event, its time modifiers, and the patterns of indexes that it names."""

    matches: Match
    times: dict[str, str] = field(default_factory=dict)
    indexes: list[str] = field(default_factory=list)


def parse(text: str) -> Filter:
    """The expression of a ``search`` command. Raises :class:`SearchError`."""
    parser = _Parser(list(tokenise(text)))
    matches = parser.conjunction() if parser.tokens else lambda _: True
    if parser.tokens:
        raise SearchError(
            f"Error in 'search' command: Unable to parse the search: unexpected '{parser.tokens[0].text}'."
        )
    return Filter(matches, parser.times, parser.indexes)


def values(row: Mapping[str, Any], name: str) -> Sequence[str]:
    """The values of a field: none where it is missing, several where it is multivalue."""
    value = row.get(name)
    if value is None:
        return ()
    return value if isinstance(value, list) else (str(value),)


def wildcard(pattern: str) -> re.Pattern[str]:
    """A pattern with ``*``, without regard to case; a backslash takes a star's meaning away."""
    pieces = re.findall(r"\\(?:[\\*])|.", pattern, re.DOTALL)
    return re.compile(
        "".join(".*" if piece == "*" else re.escape(piece[-1]) for piece in pieces), re.IGNORECASE | re.DOTALL
    )


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.times: dict[str, str] = {}
        self.indexes: list[str] = []

    def conjunction(self) -> Match:
        parts = [self._disjunction()]
        while self.tokens and not self.tokens[0].is_sign(")"):
            if self.tokens[0].is_word("AND"):
                self.tokens.pop(0)
            parts.append(self._disjunction())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _disjunction(self) -> Match:
        parts = [self._term()]
        while self.tokens and self.tokens[0].is_word("OR"):
            self.tokens.pop(0)
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _term(self) -> Match:
        token = self._next()
        if token.is_word("NOT"):
            inner = self._term()
            return lambda row: not inner(row)
        if token.is_sign("("):
            inner = self.conjunction()
            self._expect(")")
            return inner
        if token.kind == "sign" or token.is_word("AND", "OR"):
            raise SearchError(f"Error in 'search' command: Unable to parse the search: unexpected '{token.text}'.")
        if self.tokens and self.tokens[0].kind == "sign" and self.tokens[0].text in _COMPARISONS:
            return self._comparison(token.text, self._next().text, self._value())
        if self.tokens and token.kind != "quoted" and self.tokens[0].is_word("IN") and self._opens(1):
            return self._among(token.text)
        return _keyword(token.text)

    def _comparison(self, name: str, sign: str, value: Token) -> Match:
        if name in TIME_WORDS:
            self.times[name] = value.text
            return lambda _: True
        if name == "index" and sign in {"=", "=="}:
            self.indexes.append(value.text)
        return _compare(name, sign, value.text)

    def _among(self, name: str) -> Match:
        self._next()
        self._expect("(")
        chosen = [self._value().text]
        while self.tokens and not self.tokens[0].is_sign(")"):
            if self.tokens[0].is_sign(","):
                self._next()
            chosen.append(self._value().text)
        self._expect(")")
        if name == "index":
            self.indexes += chosen
        tests = [_compare(name, "=", one) for one in chosen]
        return lambda row: any(test(row) for test in tests)

    def _opens(self, at: int) -> bool:
        return len(self.tokens) > at and self.tokens[at].is_sign("(")

    def _value(self) -> Token:
        token = self._next()
        if token.kind == "sign":
            raise SearchError(
                f"Error in 'search' command: Unable to parse the search: a value is missing before '{token.text}'."
            )
        return token

    def _expect(self, sign: str) -> None:
        if not self.tokens or not self._next().is_sign(sign):
            raise SearchError("Error in 'search' command: Unable to parse the search: unbalanced parentheses.")

    def _next(self) -> Token:
        if not self.tokens:
            raise SearchError("Error in 'search' command: Unable to parse the search: it ends too early.")
        return self.tokens.pop(0)


def _compare(name: str, sign: str, text: str) -> Match:
    if sign in {"=", "==", "!="}:
        pattern = wildcard(text)
        if sign == "!=":
            return lambda row: (found := values(row, name)) != () and not any(pattern.fullmatch(one) for one in found)
        return lambda row: any(pattern.fullmatch(one) for one in values(row, name))
    bound = number(text)
    if bound is None:
        raise SearchError(f"Error in 'search' command: the comparison {name}{sign}{text} needs a number here.")
    return lambda row: any(_ordered(number(one), sign, bound) for one in values(row, name))


def _ordered(value: float | None, sign: str, bound: float) -> bool:
    if value is None:
        return False
    return {"<": value < bound, "<=": value <= bound, ">": value > bound, ">=": value >= bound}[sign]


def number(text: str) -> float | None:
    """A text as a number, or ``None``."""
    try:
        return float(text)
    except ValueError:
        return None


def _keyword(text: str) -> Match:
    pattern = re.compile(rf"(?<!\w){wildcard(text).pattern}(?!\w)", re.IGNORECASE | re.DOTALL)
    return lambda row: pattern.search(str(row.get("_raw", ""))) is not None


def named(patterns: Sequence[str], names: Sequence[str], default: Sequence[str]) -> Iterator[str]:
    """The indexes that a search looks into: those named, the default ones where none is; ``*`` names no internal one."""
    for name in names:
        if not patterns:
            chosen = name in default
        else:
            fits = [pattern for pattern in patterns if wildcard(pattern).fullmatch(name)]
            chosen = any(pattern.startswith("_") or not name.startswith("_") for pattern in fits)
        if chosen:
            yield name
