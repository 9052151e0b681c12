"""Takes people out of a service's running text before it becomes a field that a model may see."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from connector.types import Json

LONGEST: Final = 4096
"""Longer texts are cut here."""

_WORD = re.compile(r"[^\s,;'\"()<>\[\]{}=|`]+")


def scrubbed(value: Json, names: Iterable[str]) -> Json:
    """A text, or the texts of a list, with ``<user>`` for mail addresses and for these names, longest first."""
    if type(value) is list:
        return [scrubbed(item, names) for item in value]
    if type(value) is not str:
        return value
    text = value[:LONGEST]
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, "<user>")
    return _WORD.sub(_unless_mail, text) if "@" in text else text


def _unless_mail(word: re.Match[str]) -> str:
    return "<user>" if "@" in word[0] else word[0]
