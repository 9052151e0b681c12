"""Windows event logs (EVTX), by the ``evtx`` package: one JSON document a record, as that package shapes it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from connector.errors import ConfigError
from connector.siem.formats.streams import DamagedError

WinRecord: TypeAlias = tuple[int, bytes, str | None]
"""(record id, 0 where it is unknown; its JSON; error)."""

_HEADER = 4096
_CHUNK = 65_536
_CHUNKS_AT = 42


def win_records(stream: BinaryIO) -> Iterator[WinRecord]:
    """Every record of a seekable event log, broken ones as errors. ``ConfigError`` without the package ``evtx``."""
    try:
        from evtx import PyEvtxParser  # noqa: PLC0415 - an extra: paid for by those who read event logs
    except ImportError as error:
        raise ConfigError(
            "reading Windows event logs needs the package evtx: install it with `pip install triaged[evtx]`"
        ) from error
    missing = _missing(stream)
    try:
        parsed = PyEvtxParser(stream, number_of_threads=1).records_json()
    except (OSError, RuntimeError, ValueError) as error:
        raise DamagedError(f"is not a readable event log: {error}") from error
    while True:
        try:
            record = next(parsed)
        except StopIteration:
            break
        except (OSError, RuntimeError, ValueError) as error:
            yield 0, b"", f"unreadable record or chunk: {error}"
        else:
            yield record["event_record_id"], record["data"].encode(), None  # type: ignore[index]
    if missing:
        yield 0, b"", missing


def _missing(stream: BinaryIO) -> str | None:
    """What the file's header promises and its size does not keep: the parser itself is silent about a cut end."""
    header = stream.read(_HEADER)
    size = stream.seek(0, 2)
    stream.seek(0)
    if len(header) < _HEADER:
        return None
    (promised,) = struct.unpack_from("<H", header, _CHUNKS_AT)
    held, rest = divmod(size - _HEADER, _CHUNK)
    if held < promised:
        return f"the event log ends early: it holds {held} of {promised} chunks"
    return f"the event log ends in the middle of a chunk, {rest} bytes into it" if rest else None
