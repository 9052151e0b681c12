"""One page of a point in time, asked for in slices side by side and put together in the order of the whole.

A slice is a part of the documents, and all slices of one point in time are all of them. Each is asked for what comes
after the same place in the same order, so a page is known as far as every slice of it reaches, and no further: beyond
that, a slice that was cut off may hold what comes first. What was read beyond is left, and read again with the next page.
So slices exist within one page alone, and where reading stands is told by the last document, as ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import merge
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from connector.siem.elastic.hits import Hit, Hits, SearchReply
from connector.siem.elastic.query import MISSING

_EVENLY: Final = "_seq_no"
"""By what documents are told apart: a number that each has in both products. By default Elasticsearch cuts by the place in
the index, where neighbours came together, and OpenSearch by all ids of the index, which it reads anew for each search."""

SortKey: TypeAlias = tuple[int | str, ...]


class Part(NamedTuple):
    """The answer to one search, and how many documents it was asked for."""

    reply: SearchReply
    size: int

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return len(self.reply.hits.hits) < self.size


def sliced(body: Mapping[str, Any], slices: int) -> list[dict[str, Any]]:
    """The searches that together find what one would."""
    return [{**body, "slice": {"field": _EVENLY, "id": number, "max": slices}} for number in range(slices)]


def together(parts: Sequence[Part], pit: str, wanted: int) -> tuple[SearchReply, bool]:
    """The page that the parts of one point in time make, of at most so many documents, and whether it is the last.

    What any part lacks, the page lacks.
    """
    found = parts[0].reply if len(parts) == 1 else _joined([part.reply for part in parts], pit)
    hits = found.hits.hits
    reach = min((place(part.reply.hits.hits[-1]) for part in parts if not part.ended), default=None)
    if reach is not None and len(parts) > 1:
        hits = tuple(hit for hit in hits if place(hit) <= reach)
    kept = hits[:wanted]
    if len(kept) < len(found.hits.hits):
        found = msgspec.structs.replace(found, hits=Hits(hits=kept))
    return found, reach is None and len(kept) == len(hits)


def place(hit: Hit) -> SortKey:
    """Where a document stands in the order of a search; what has no value comes last."""
    return tuple(MISSING if value is None else value for value in hit.sort)


def _joined(replies: Sequence[SearchReply], pit: str) -> SearchReply:
    """All documents in their order; the rest is of the part that lacks something, if one does."""
    worst = next((reply for reply in replies if reply.lacks()), replies[0])
    newest = next((reply.pit_id for reply in replies if reply.pit_id not in {None, pit}), worst.pit_id)
    hits = tuple(merge(*(reply.hits.hits for reply in replies), key=place))
    return msgspec.structs.replace(worst, hits=Hits(hits=hits), pit_id=newest)
