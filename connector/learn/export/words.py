"""What of an analyst's words stays as it is: labels follow from it, whatever an event's accounts and passwords are called."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from connector.learn.export.labels import SAID, LabelMap, slug
from connector.learn.export.machine import AUTOMATED, CLOSED, OURS

LONGEST_COMMENT: Final = 4096

_KEPT: Final = re.compile(f"{OURS.pattern}|{SAID.pattern}", re.IGNORECASE)


def shortened(comment: str) -> str:
    """The beginning of a comment; our own mark is not cut off."""
    mark = OURS.search(comment)
    begin = comment[:LONGEST_COMMENT]
    return begin if mark is None or mark.end() <= LONGEST_COMMENT else f"{begin} {mark[0]}"


def prose(comment: str, write: Callable[[str], str]) -> str:
    """A comment as ``write`` gives it, but for our own mark and the techniques that it names."""
    written: list[str] = []
    end = 0
    for match in _KEPT.finditer(comment):
        written += write(comment[end : match.start()]), match[0]
        end = match.end()
    return "".join((*written, write(comment[end:])))


def word(text: str, labels: LabelMap, write: Callable[[str], str]) -> str:
    """A status, disposition or tag as ``write`` gives it, unless it is one that means something to the export."""
    is_known = text in CLOSED or (text.isascii() and (slug(text) in AUTOMATED or labels.knows(text)))
    return text if is_known else write(text)
