"""Undecoded text or bytes to a document. The input is an attacker's: every refusal is a ``PermanentError``."""

from __future__ import annotations

import codecs
import json
from typing import Final, NoReturn

import msgspec

from connector.errors import PermanentError
from connector.events.xml import event_from_xml
from connector.types import Document, Json

MAX_DEPTH: Final = 100
"""Deeper nesting is refused: no log is that deep, and every reader after us would have to guard against it."""

_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_JSON = msgspec.json.Decoder()


def decode(data: bytes | str) -> Document:
    """A JSON object, a Windows event in XML (in the shape of the ``evtx`` package), or a line of text as ``message``.

    Raises:
        PermanentError: empty or undecodable bytes, malformed JSON or XML, JSON that is no object, nesting too deep.
    """
    text = (_text(data) if isinstance(data, bytes) else data).strip(" \t\r\n\ufeff")
    if not text:
        raise PermanentError("empty: the record holds no text")
    if text[0] == "{":
        return _object(text)
    if text.startswith(("<Event", "<?xml", "<!DOCTYPE")):
        return event_from_xml(text, MAX_DEPTH)
    if "\0" in text:
        raise PermanentError("binary: the record holds NUL characters and is neither JSON nor XML")
    _refuse_other_json(text)
    return {"message": text}


def _text(data: bytes) -> str:
    bom, encoding = next((row for row in _BOMS if data.startswith(row[0])), (b"", "utf-8"))
    try:
        return data[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise PermanentError(f"undecodable: not {encoding} at byte {error.start}") from error


def _object(text: str) -> Document:
    value = _json(text)
    if type(value) is not dict:
        raise PermanentError(f"not an event: JSON {type(value).__name__} where an object is needed")
    if text.count("{") + text.count("[") > MAX_DEPTH:
        check_depth(value)
    return value


def _json(text: str) -> Json:
    """The fast decoder reads strict JSON; what it refuses (lone surrogates) the standard library gets to read."""
    try:
        return _JSON.decode(text)
    except RecursionError:
        raise PermanentError(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.MsgspecError, UnicodeEncodeError):
        pass
    try:
        return json.loads(text, parse_constant=_not_json, parse_float=_finite)
    except RecursionError:
        raise PermanentError(f"nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:
        raise PermanentError(f"malformed JSON: {error}") from error


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in {float("inf"), float("-inf")}:
        raise ValueError(f"{digits[:20]} is out of range")
    return value


def _refuse_other_json(text: str) -> None:
    """A whole record that is a JSON array or scalar is no event; text that merely begins like one is a log line."""
    try:
        value = _JSON.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return
    name = {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")
    raise PermanentError(f"not an event: a JSON {name} where an object is needed")


def check_depth(value: Json) -> None:
    """Refuses a value nested deeper than ``MAX_DEPTH``."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return
    raise PermanentError(f"nested deeper than {MAX_DEPTH} levels")
