"""Undecoded text or bytes to a document. The input is an attacker's: every refusal is a ``PermanentError``."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable
from typing import Final, NoReturn

import msgspec

from connector.errors import PermanentError
from connector.events.masks import scrub
from connector.events.xml import event_from_xml
from connector.types import Document, Json

MAX_DEPTH: Final = 100
"""Deeper nesting is refused: no log is that deep, and every reader after us would have to guard against it."""

_MAX_BITS: Final = 13999
_BOMS: Final = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_JSON_BEGINNINGS: Final = frozenset('["-0123456789tfn')
_JSON = msgspec.json.Decoder()


def decode(data: bytes | str) -> Document:
    """A JSON object, a Windows event in XML (in the shape of the ``evtx`` package), or a line of text as ``message``.

    Raises:
        PermanentError: empty or undecodable bytes, malformed JSON or XML, JSON that is no object, nesting too deep.
    """
    if isinstance(data, bytes):
        if data[:1] == b"{" and (plain := _plain_object(data)) is not None:
            return plain
        data = _text(data)
    text = data.strip(" \t\r\n\ufeff")
    if not text:
        raise PermanentError("empty: the record holds no text")
    if text[0] == "{":
        return _object(text)
    if text.startswith(("<Event", "<?xml", "<!DOCTYPE")):
        return event_from_xml(text, MAX_DEPTH)
    if "\0" in text:
        raise PermanentError("binary: the record holds NUL characters and is neither JSON nor XML")
    if text[0] in _JSON_BEGINNINGS:
        _refuse_other_json(text)
    return dict(checked({"message": text}))


def _plain_object(data: bytes) -> Document | None:
    """What nearly every record is, by the shortest way: strict JSON with too few brackets to be deep."""
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH:
        return None
    try:
        value = _JSON.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return value if type(value) is dict else None


def _text(data: bytes) -> str:
    bom, encoding = next((row for row in _BOMS if data.startswith(row[0])), (b"", "utf-8"))
    try:
        return data[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        raise PermanentError(f"undecodable: not {encoding} at byte {error.start}") from error


def _object(text: str) -> Document:
    value, strict = _json(text)
    if type(value) is not dict:
        raise PermanentError(f"not an event: JSON {type(value).__name__} where an object is needed")
    if strict and text.count("{") + text.count("[") <= MAX_DEPTH:
        return value
    return checked(value)


def _json(text: str) -> tuple[Json, bool]:
    """The value, and whether it is strict JSON. What strict JSON refuses (lone surrogates) the standard library reads."""
    try:
        return _JSON.decode(text), True
    except RecursionError:
        raise PermanentError(f"nested deeper than {MAX_DEPTH} levels") from None
    except (msgspec.MsgspecError, UnicodeEncodeError):
        pass
    try:
        return json.loads(text, parse_constant=_not_json, parse_float=_finite), False
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
        value, _ = _json(text)
    except PermanentError:
        return
    name = {list: "array", str: "string", bool: "boolean", type(None): "null"}.get(type(value), "number")
    raise PermanentError(f"not an event: a JSON {name} where an object is needed")


def checked(document: Document) -> Document:
    """A document that somebody else decoded, fit to be encoded again: lone surrogates become U+FFFD.

    Raises:
        PermanentError: it is nested deeper than ``MAX_DEPTH``, or holds an integer of thousands of digits.
    """
    level: list[Json] = [document]
    lone = False
    for _ in range(MAX_DEPTH):
        inner: list[Json] = []
        for outer in level:
            values: Iterable[Json] = outer
            if isinstance(outer, dict):
                lone = lone or not all(map(_clean, outer))
                values = outer.values()
            for value in values:
                kind = type(value)
                if kind is str:
                    lone = lone or not _clean(value)
                elif kind is dict or kind is list:
                    inner.append(value)
                elif kind is int and value.bit_length() > _MAX_BITS:
                    raise PermanentError("an integer of thousands of digits")
        if not inner:
            return dict(_scrubbed(document)) if lone else document
        level = inner
    raise PermanentError(f"nested deeper than {MAX_DEPTH} levels")


def _clean(text: str) -> bool:
    return text.isascii() or scrub(text) is text


def _scrubbed(value: Json) -> Json:
    if type(value) is dict:
        return {scrub(key): _scrubbed(inner) for key, inner in value.items()}
    if type(value) is list:
        return [_scrubbed(inner) for inner in value]
    return scrub(value) if type(value) is str else value
