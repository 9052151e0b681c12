"""Expressions of ``eval`` and ``where``: values are text, numbers, truth, several texts, or nothing at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tests.splunkd.spl.text import SearchError, Token, tokenise_eval

Row = Mapping[str, Any]
Expression = Callable[[Row], Any]

_COMPARE = ("=", "==", "!=", "<", "<=", ">", ">=")


class Assignment(NamedTuple):
    """``name = expression`` of an ``eval``."""

    name: str
    value: Expression


def assignments(text: str, now: float) -> list[Assignment]:
    """The assignments of an ``eval``. Raises :class:`SearchError`."""
    parser = _Parser(list(tokenise_eval(text)), now)
    found = [parser.assignment()]
    while parser.tokens:
        parser.expect(",")
        found.append(parser.assignment())
    return found


def condition(text: str, now: float) -> Expression:
    """The expression of a ``where``; a row stays where it is true. Raises :class:`SearchError`."""
    parser = _Parser(list(tokenise_eval(text)), now)
    found = parser.expression()
    if parser.tokens:
        raise SearchError(
            f"Error in 'where' command: The expression is malformed: unexpected '{parser.tokens[0].text}'."
        )
    return found


class _Parser:
    def __init__(self, tokens: list[Token], now: float) -> None:
        self.tokens, self._now = tokens, now

    def assignment(self) -> Assignment:
        name = self._next()
        if name.kind not in {"word", "field", "quoted"}:
            raise SearchError(f"Error in 'eval' command: the field name is missing before '{name.text}'.")
        self.expect("=")
        return Assignment(name.text, self.expression())

    def expression(self) -> Expression:
        left = self._xor()
        while self._word("OR") or self._sign("||"):
            left = _either(left, self._xor())
        return left

    def _xor(self) -> Expression:
        left = self._both()
        while self._word("XOR"):
            first, second = left, self._both()
            left = lambda row, a=first, b=second: _true(a(row)) != _true(b(row))
        return left

    def _both(self) -> Expression:
        left = self._not()
        while self._word("AND") or self._sign("&&"):
            first, second = left, self._not()
            left = lambda row, a=first, b=second: _true(a(row)) and _true(b(row))
        return left

    def _not(self) -> Expression:
        if self._word("NOT") or self._sign("!"):
            inner = self._not()
            return lambda row: None if (value := inner(row)) is None else not _true(value)
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        if self._word("LIKE"):
            return _call("like", [left, self._sum()], self._now)
        if self._word("IN"):
            self.expect("(")
            return _call("in", [left, *self._list()], self._now)
        for sign in _COMPARE:
            if self._sign(sign):
                right = self._sum()
                return lambda row: _compare(left(row), sign, right(row))
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while self.tokens and self.tokens[0].is_sign("+", "-", "."):
            left = _arithmetic(left, self._next().text, self._product())
        return left

    def _product(self) -> Expression:
        left = self._primary()
        while self.tokens and self.tokens[0].is_sign("*", "/", "%"):
            left = _arithmetic(left, self._next().text, self._primary())
        return left

    def _primary(self) -> Expression:
        token = self._next()
        if token.is_sign("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if token.is_sign("-"):
            return _arithmetic(lambda _: 0.0, "-", self._primary())
        if token.kind == "word" and self._sign("("):
            return _call(token.text.lower(), self._list(), self._now)
        return _operand(token)

    def _list(self) -> list[Expression]:
        if self._sign(")"):
            return []
        found = [self.expression()]
        while self._sign(","):
            found.append(self.expression())
        self.expect(")")
        return found

    def _word(self, word: str) -> bool:
        return self._take(bool(self.tokens) and self.tokens[0].is_word(word))

    def _sign(self, sign: str) -> bool:
        return self._take(bool(self.tokens) and self.tokens[0].is_sign(sign))

    def _take(self, fits: bool) -> bool:
        if fits:
            self.tokens.pop(0)
        return fits

    def expect(self, sign: str) -> None:
        if not self._sign(sign):
            raise SearchError(f"Error in 'eval' command: The expression is malformed: '{sign}' is missing.")

    def _next(self) -> Token:
        if not self.tokens:
            raise SearchError("Error in 'eval' command: The expression is malformed: it ends too early.")
        return self.tokens.pop(0)


def _operand(token: Token) -> Expression:
    if token.kind == "quoted":
        return lambda _: token.text
    if token.kind == "number":
        return lambda _: float(token.text)
    if token.is_word("TRUE", "FALSE"):
        return lambda _: token.is_word("TRUE")
    if token.kind == "sign":
        raise SearchError(f"Error in 'eval' command: The expression is malformed: unexpected '{token.text}'.")
    return lambda row: _field(row, token.text)


def _either(first: Expression, second: Expression) -> Expression:
    return lambda row: _true(first(row)) or _true(second(row))


def _field(row: Row, name: str) -> Any:
    value = row.get(name)
    if name == "_time" and isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return value


def _true(value: Any) -> bool:
    return value is True


def number(value: Any) -> float | None:
    """A value as a number, where it is one or looks like one."""
    if isinstance(value, bool) or value is None or isinstance(value, list):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def text(value: Any) -> str | list[str] | None:
    """A value as a result shows it: whole numbers without a point, truth as ``1`` and ``0``."""
    if value is None or isinstance(value, list):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{value:.6f}".rstrip("0")
    return str(value)


def _compare(left: Any, sign: str, right: Any) -> bool | None:
    if left is None or right is None:
        return None
    if isinstance(left, list):
        return any(_compare(one, sign, right) for one in left)
    if isinstance(right, list):
        return any(_compare(left, sign, one) for one in right)
    first, second = number(left), number(right)
    a, b = (text(left), text(right)) if first is None or second is None else (first, second)
    return {"=": a == b, "==": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[sign]


def _arithmetic(left: Expression, sign: str, right: Expression) -> Expression:
    def joined(row: Row) -> Any:
        a, b = left(row), right(row)
        if a is None or b is None:
            return None
        first, second = number(a), number(b)
        if sign == "." or (sign == "+" and None in {first, second}):
            return f"{text(a)}{text(b)}"
        if first is None or second is None or (sign in "/%" and second == 0):
            return None
        return {"+": first + second, "-": first - second, "*": first * second}.get(
            sign, first / second if sign == "/" else first % second if sign == "%" else None
        )

    return joined


def _call(name: str, arguments: Sequence[Expression], now: float) -> Expression:
    if name in _LAZY:
        return lambda row: _LAZY[name](row, arguments)
    if name in {"now", "time"}:
        return lambda _: now if name == "time" else float(int(now))
    if name not in _FUNCTIONS:
        raise SearchError(f"Error in 'eval' command: The '{name}' function is unsupported or undefined.")
    function = _FUNCTIONS[name]
    return lambda row: function(*(argument(row) for argument in arguments))


def _if(row: Row, arguments: Sequence[Expression]) -> Any:
    test, then, other = arguments
    return (then if _true(test(row)) else other)(row)


def _case(row: Row, arguments: Sequence[Expression]) -> Any:
    pairs = zip(arguments[::2], arguments[1::2], strict=True)
    return next((value(row) for test, value in pairs if _true(test(row))), None)


def _coalesce(row: Row, arguments: Sequence[Expression]) -> Any:
    return next((value for one in arguments if (value := one(row)) is not None), None)


_LAZY: dict[str, Callable[[Row, Sequence[Expression]], Any]] = {"if": _if, "case": _case, "coalesce": _coalesce}


def _digest(algorithm: str) -> Callable[[Any], Any]:
    return lambda value: None if value is None else hashlib.new(algorithm, str(text(value)).encode()).hexdigest()


def _many(value: Any) -> list[str]:
    return [] if value is None else value if isinstance(value, list) else [str(text(value))]


def _append(*parts: Any) -> Any:
    joined = [one for part in parts for one in _many(part)]
    return joined or None


def _index(value: Any, first: float, last: float | None = None) -> Any:
    held, begin = _many(value), int(first)
    end = begin if last is None else int(last)
    chosen = held[begin:] if end == -1 else held[begin : end + 1]
    return None if not chosen else chosen[0] if last is None else chosen


def _substr(value: Any, first: float, length: float | None = None) -> Any:
    if value is None:
        return None
    begin = int(first) - 1 if first > 0 else int(first)
    rest = str(text(value))[begin:]
    return rest if length is None else rest[: int(length)]


def _strftime(value: Any, shape: str) -> Any:
    seconds = number(value)
    return (
        None
        if seconds is None
        else datetime.fromtimestamp(seconds, UTC).strftime(shape.replace("%s", str(int(seconds))))
    )


def _like(value: Any, pattern: str) -> Any:
    shape = "".join({"%": ".*", "_": "."}.get(char, re.escape(char)) for char in pattern)
    return None if value is None else re.fullmatch(shape, str(text(value)), re.DOTALL) is not None


def _replace(value: Any, pattern: str, by: str) -> Any:
    return None if value is None else re.sub(pattern, by, str(text(value)))


def _rounded(value: Any, digits: float = 0) -> Any:
    return None if number(value) is None else float(round(number(value), int(digits)))


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "null": lambda: None,
    "true": lambda: True,
    "false": lambda: False,
    "isnull": lambda value: value is None,
    "isnotnull": lambda value: value is not None,
    "in": lambda value, *chosen: any(_compare(value, "=", one) for one in chosen),
    "like": _like,
    "match": lambda value, pattern: None if value is None else re.search(pattern, str(text(value))) is not None,
    "replace": _replace,
    "lower": lambda value: None if value is None else str(text(value)).lower(),
    "upper": lambda value: None if value is None else str(text(value)).upper(),
    "trim": lambda value: None if value is None else str(text(value)).strip(),
    "len": lambda value: None if value is None else float(len(str(text(value)))),
    "substr": _substr,
    "tonumber": number,
    "tostring": text,
    "round": _rounded,
    "floor": lambda value: None if number(value) is None else float(number(value) // 1),
    "ceiling": lambda value: None if number(value) is None else float(-(-number(value) // 1)),
    "max": lambda *several: max((number(one) for one in several if number(one) is not None), default=None),
    "min": lambda *several: min((number(one) for one in several if number(one) is not None), default=None),
    "strftime": _strftime,
    "md5": _digest("md5"),
    "sha1": _digest("sha1"),
    "sha256": _digest("sha256"),
    "mvcount": lambda value: float(len(_many(value))) if _many(value) else None,
    "mvindex": _index,
    "mvappend": _append,
    "mvjoin": lambda value, by: None if value is None else by.join(_many(value)),
    "mvdedup": lambda value: list(dict.fromkeys(_many(value))) or None,
    "split": lambda value, by: None if value is None else str(text(value)).split(by),
}
