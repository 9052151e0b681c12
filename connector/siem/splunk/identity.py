"""How an event of Splunk is known: the address at which an indexer keeps it, or a digest of the event itself.

``_bkt`` names a bucket (``index~number~GUID of the indexer that made it``, and so the index), ``_cd`` the place in it.
Both stay as they are when a bucket rolls, is replicated, or is thawed. Whoever reaches the same event by another way (the
search command, an inlet) derives the same id from these two. A leading ``_`` keeps the event itself from claiming them:
fields that Splunk extracts from an event's text never begin with one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FALLBACK: Final = ("host", "source", "sourcetype", "_raw")


def native_id(row: Mapping[str, Any]) -> str:
    """``<_bkt>:<_cd>``; ``hash:<SHA-256>`` of time, host, source, sourcetype and text where a row lacks either.

    Two events that are the same in all of these are one by the hash: nothing tells them apart.
    """
    bucket, place = row.get("_bkt"), row.get("_cd")
    if bucket and place and isinstance(bucket, str) and isinstance(place, str):
        return f"{bucket}:{place}"
    parts = (_milliseconds(row.get("_time")), *(_text(row.get(name)) for name in _FALLBACK))
    return f"hash:{hashlib.sha256(b''.join(map(_prefixed, parts))).hexdigest()}"


def is_placed(number: str) -> bool:
    """Whether a native id is an address, and not a digest."""
    return not number.startswith("hash:")


def index_of(row: Mapping[str, Any]) -> str:
    """The index that holds the event: by its bucket, since an event's own text may claim any ``index``."""
    bucket = row.get("_bkt")
    if isinstance(bucket, str) and "~" in bucket:
        return bucket.partition("~")[0]
    return _text(row.get("index"))


def _milliseconds(time: Any) -> str:
    """A time as whole milliseconds since the epoch, so that it says the same in every time zone of a user."""
    try:
        if isinstance(time, int | float):
            return str(round(time * 1000))
        text = _text(time)
        if text.replace(".", "", 1).isdigit():
            return str(round(float(text) * 1000))
        moment = datetime.fromisoformat(text)
    except (OverflowError, ValueError):
        return _text(time)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return str((moment - _EPOCH) // timedelta(milliseconds=1))


def _text(value: Any) -> str:
    """A field with several values is its first: what the indexer says comes before what the event says."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)


def _prefixed(part: str) -> bytes:
    data = part.encode("utf-8", "surrogatepass")
    return b"%d:%b" % (len(data), data)
