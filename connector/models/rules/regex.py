"""Regular expressions in time linear in the text, whatever the pattern: RE2, as onnxruntime carries it.

Event text is an attacker's, and a backtracking engine can be made to run for hours by a line of it. ONNX's operator
``RegexFullMatch`` is RE2, and onnxruntime is there anyway; a pattern is a graph of that one node. RE2 knows no look-around
and no back-references: rules with those are refused.
Sources: https://onnx.ai/onnx/operators/onnx__RegexFullMatch.html, https://github.com/google/re2/wiki/Syntax,
Cox, Regular expression matching can be simple and fast, 2007.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants as ops, _parser as parser  # type: ignore[attr-defined]
from typing import Any, Final

import numpy as np
import onnxruntime

_MOST_REPEATS: Final = 1000
_OPSET: Final = 20
_STRING: Final = 8
_BOOL: Final = 9

_REFUSED: Final = {
    ops.ASSERT: "looks ahead or behind",
    ops.ASSERT_NOT: "looks ahead or behind",
    ops.GROUPREF: "refers back to a group",
    ops.GROUPREF_EXISTS: "refers back to a group",
    ops.ATOMIC_GROUP: "has an atomic group",
    ops.POSSESSIVE_REPEAT: "has a possessive repeat",
}


class UnsupportedError(ValueError):
    """A pattern that cannot be matched in linear time, or is none."""


class Pattern:
    """A compiled pattern. Threads may share it."""

    def __init__(self, pattern: str) -> None:
        self._session = _session(f"(?s:.*)(?:{pattern})(?s:.*)")

    def search(self, text: str) -> bool:
        """Whether the pattern occurs anywhere in the text."""
        (found,) = self._session.run(None, {"x": np.array([text], object)})
        return bool(found[0])


@lru_cache(maxsize=2048)
def compiled(pattern: str) -> Pattern:
    """A pattern in Python's syntax, as Sigma's rules are checked by, compiled for RE2. Raises :class:`UnsupportedError`."""
    try:
        _refuse(parser.parse(pattern))
    except (re.error, RecursionError, OverflowError) as error:
        raise UnsupportedError(f"{pattern!r} is no regular expression: {error}") from error
    try:
        return Pattern(pattern)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        raise UnsupportedError(f"RE2 does not know a part of {pattern!r}") from error


def literal(pattern: str) -> str:
    """The longest text that every match of the pattern holds, case-folded; empty where there is none to be sure of."""
    best, run = "", ""
    for op, value in parser.parse(pattern):
        run = run + chr(value) if op is ops.LITERAL else ""
        best = max(best, run, key=len)
    return best.casefold()


def _refuse(parsed: Any) -> None:
    for op, value in parsed:
        if op in _REFUSED:
            raise UnsupportedError(f"a regular expression {_REFUSED[op]}: not linear")
        if op in {ops.MAX_REPEAT, ops.MIN_REPEAT}:
            low, high, _ = value
            if low > _MOST_REPEATS or (high is not ops.MAXREPEAT and high > _MOST_REPEATS):
                raise UnsupportedError(f"a regular expression repeats more than {_MOST_REPEATS} times")
        for inner in _inner(value):
            _refuse(inner)


def _inner(value: Any) -> list[Any]:
    """The sub-patterns of a parsed node's operand."""
    if isinstance(value, parser.SubPattern):
        return [value]
    if isinstance(value, tuple | list):
        return [found for item in value for found in _inner(item)]
    return []


def _session(pattern: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(_graph(pattern), options, providers=["CPUExecutionProvider"])


def _graph(pattern: str) -> bytes:
    """The ONNX model ``y = RegexFullMatch(x)`` in protobuf's wire format: serving does without the ``onnx`` package.

    The field numbers are those of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
    """
    attribute = _text(1, b"pattern") + _text(4, pattern.encode()) + _number(20, 3)
    node = _text(1, b"x") + _text(2, b"y") + _text(4, b"RegexFullMatch") + _text(5, attribute)
    graph = _text(1, node) + _text(2, b"regex") + _text(11, _tensor(b"x", _STRING)) + _text(12, _tensor(b"y", _BOOL))
    return _number(1, 9) + _text(7, graph) + _text(8, _number(2, _OPSET))


def _tensor(name: bytes, kind: int) -> bytes:
    shape = _text(1, _text(2, b"n"))
    return _text(1, name) + _text(2, _text(1, _number(1, kind) + _text(2, shape)))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
