"""Takes labels out of event text: an attack collection writes technique ids into its own paths and script names."""

from __future__ import annotations

import re

from connector.types import Json

_ID = re.compile(
    r"(?i:(?<![a-z0-9])t1\d{3}(?:[._]\d{3})?(?![0-9]))"
    r"|(?<=[a-z])T1\d{3}(?:[._]\d{3})?(?![0-9])"  # runT1059
    r"|(?i:(?<=[a-z])t1\d{3}[._]\d{3}(?![0-9]))"  # runt1059.001; a bare port1080 is no id
)
_COLLECTION = re.compile(r"(?i)atomic[-_ ]?red[-_ ]?team|redcanaryco?|atomicsfolder|invoke-atomic\w*")
_NEUTRAL = "item"


def scrub(value: Json) -> Json:
    """The value with ATT&CK ids and the collections' own names replaced, at any depth."""
    if isinstance(value, str):
        return _COLLECTION.sub(_NEUTRAL, _ID.sub(_NEUTRAL, value))
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrub(item) for item in value]
    return value


def leaks(text: str) -> bool:
    """Whether a text still names a technique by id."""
    return _ID.search(text) is not None
