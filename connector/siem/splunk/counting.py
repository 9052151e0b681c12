"""The server's own count of a window, for ``gaps --verify``."""

from __future__ import annotations

from collections.abc import Sequence

from connector.siem.splunk import rows as stream
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.faults import RAISED, CutError, Fault, failed, fault
from connector.siem.splunk.messages import Message, meaning, told
from connector.siem.splunk.window import ALL_TIME


def counted(splunk: Splunk, search: str, first: int, until: int, harmless: Sequence[str]) -> int | None:
    """How many places the events of a window have; None where the answer was partial, or an event has no place.

    Raises what ended the search as a whole.
    """
    times = {**ALL_TIME, "index_earliest": str(first), "index_latest": str(until)}
    body = splunk.export("counting", search, search_mode="normal", **times)
    found: list[bytes] = []
    try:
        for item in stream.read(body.lines()):
            if not isinstance(item, Message):
                found.append(item)
                continue
            means = meaning(item, harmless)
            if isinstance(means, Fault):
                raise failed(means, f"counting on {splunk.address}: {told(item)}")
            if means == "partial":
                return None
    except CutError:
        return None
    except RAISED as error:
        raise fault(error, f"counting on {splunk.address}") from error
    finally:
        body.close()
    return _places(found)


def _places(found: Sequence[bytes]) -> int | None:
    if len(found) != 1:
        return None
    row = stream.fields(found[0])
    try:
        rows, placed, places = (int(row[name]) for name in ("rows", "placed", "places"))
    except (KeyError, TypeError, ValueError):
        return None
    return places if rows == placed else None
