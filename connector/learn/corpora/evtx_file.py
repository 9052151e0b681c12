"""EVTX content as decoded records, through the parser that the files source uses."""

from __future__ import annotations

import io
from collections.abc import Iterator

from evtx import PyEvtxParser


def records(content: bytes) -> Iterator[tuple[int, str]]:
    """(record id, JSON text) of each readable record; what a broken chunk holds is left out."""
    parser = PyEvtxParser(io.BytesIO(content))
    iterator = parser.records_json()
    while True:
        try:
            record = next(iterator)
        except StopIteration:
            return
        except RuntimeError:
            continue
        if record is not None:
            yield int(record["event_record_id"]), str(record["data"])
