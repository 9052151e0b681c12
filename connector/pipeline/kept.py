"""Raw events as dead letters keep them: what is needed to push them again, cut at a limit and compressed.

Keeping is total: whatever an event holds, it gives a letter. What cannot be written as it came is kept as a sketch for
people, and what was cut or sketched is never pushed again: it would be another event.
"""

from __future__ import annotations

import json
import reprlib
import zlib
from typing import Final

import msgspec

from connector.types import Json, Noun, RawEvent, SourceRef

LIMIT = 1 << 20
"""Bytes of an event's text that are kept."""


class Header(Noun, frozen=True):
    """A raw event without its data. ``truncated``: the data that follows is not the event's whole data."""

    deployment: str
    native_id: str
    ref: SourceRef
    place: str
    error: str | None
    truncated: bool = False
    native_id_bytes: bytes | None = None
    """The native id as it came, where UTF-8 cannot hold it: the event's id is derived from it."""


class Kept(Noun, frozen=True):
    """An event as its letter kept it. ``obstacle`` says why pushing it again cannot give the right verdict."""

    raw: RawEvent
    obstacle: str | None = None


_HEADER: Final = msgspec.json.Decoder(Header)


def scrub(text: str) -> str:
    """The text with what no database and no JSON holds (lone surrogates, NUL) written as escapes."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def scrubbed(raw: RawEvent) -> RawEvent:
    """The event with texts that can be stored; its native id stays, since its id is derived from it."""
    ref = msgspec.structs.asdict(raw.ref)
    texts = {name: text for name, text in (("place", raw.place), *ref.items()) if text is not None}
    whole = "".join(texts.values())
    if whole.isascii() and "\0" not in whole:
        return raw
    clean = {name: scrub(text) for name, text in texts.items()}
    place = clean.pop("place")
    return msgspec.structs.replace(raw, place=place, ref=msgspec.structs.replace(raw.ref, **clean))


def preserved(raw: RawEvent) -> bytes:
    """The event as bytes: a header line, then the data as it came, or as JSON where it came decoded."""
    data, whole = _written(raw.data)
    clean, native_id = scrubbed(raw), scrub(raw.native_id)
    header = Header(
        deployment=scrub(raw.deployment),
        native_id=native_id,
        ref=clean.ref,
        place=clean.place,
        error=None if raw.error is None else scrub(raw.error),
        truncated=not whole or len(data) > LIMIT,
        native_id_bytes=None if native_id == raw.native_id else raw.native_id.encode("utf-8", "surrogatepass"),
    )
    return zlib.compress(msgspec.json.encode(header) + b"\n" + data[:LIMIT])


def restored(payload: bytes) -> Kept:
    """The event that :func:`preserved` kept; it has no position, as any pushed event."""
    line, _, data = zlib.decompress(payload).partition(b"\n")
    header = _HEADER.decode(line)
    native = header.native_id_bytes
    raw = RawEvent(
        deployment=header.deployment,
        native_id=header.native_id if native is None else native.decode("utf-8", "surrogatepass"),
        ref=header.ref,
        place=header.place,
        error=header.error,
        data=data,
    )
    if header.error is not None:
        return Kept(raw=raw, obstacle=f"the source itself could not read it: {header.error}")
    return Kept(raw=raw, obstacle="only a part of it was kept" if header.truncated else None)


def _written(data: Json) -> tuple[bytes, bool]:
    """The data as bytes, and whether they are all of it."""
    if isinstance(data, bytes):
        return data, True
    if isinstance(data, str):
        return data.encode("utf-8", "surrogatepass"), True
    try:
        return msgspec.json.encode(data), True
    except (RecursionError, TypeError, ValueError, OverflowError):
        pass  # a lone surrogate can still be written as an escape
    try:
        return json.dumps(data).encode(), True
    except (RecursionError, TypeError, ValueError, OverflowError):
        return scrub(_SKETCH.repr(data)).encode(), False


class _Sketch(reprlib.Repr):
    """A representation for people, of bounded depth and length, that no value makes fail."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 8
        self.maxdict = self.maxlist = self.maxtuple = 50
        self.maxstring = self.maxother = 2_000

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 - reprlib calls it so
        """Integers past the limit of decimal digits, by their size."""
        return repr(x) if x.bit_length() < 10_000 else f"<integer of {x.bit_length()} bits>"


_SKETCH = _Sketch()
