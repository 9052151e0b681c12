"""Seconds since 1970, as the sources write them, in ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from connector.types import Json

_LAST: Final = 253402300799


def iso(value: Json) -> str | None:
    """A number of seconds, or its text, in ISO 8601 with milliseconds; text that is no number as it is; else None."""
    if type(value) is str:
        whole, _, part = value.partition(".")
        if not (
            whole.isascii()
            and whole.isdigit()
            and len(whole) < 13
            and (not part or (part.isascii() and part.isdigit()))
        ):
            return value or None
        milliseconds = int(whole) * 1000 + int(f"{part[:3]:0<3}")
    elif type(value) is int or type(value) is float:
        if not 0 <= value <= _LAST:
            return None
        milliseconds = int(value * 1000)
    else:
        return None
    seconds, rest = divmod(milliseconds, 1000)
    if seconds > _LAST:
        return None
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:03}Z"
