"""How a document is known: the identity that the cluster gives it, of which every event id is derived."""

from __future__ import annotations

import re
from typing import Final

_MOVED: Final = re.compile(r"^(?:partial-|restored-|shrink-[^-]{4}-)+(?=\.ds-)")
"""What lifecycle management puts before the name of a data stream's index when it moves it to another tier."""


def native_id(index: str, number: str) -> str:
    """A document's identity by the concrete index that holds it and its id there. No index's name has a slash.

    An index of a data stream keeps its name here when it is moved to another tier, and its documents stay the same.
    """
    return f"{_MOVED.sub('', index)}/{number}"
