"""The answer to a search, as far as a source reads it. A document stays the bytes that the server sent.

One document that nothing can decode must not take the others of its page with it, and what normalises events decodes bytes
as it decodes those of a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Shards(msgspec.Struct, frozen=True):
    """How many shards were asked, and what became of them."""

    total: int = 0
    successful: int = 0
    skipped: int = 0
    failed: int = 0
    failures: tuple[Mapping[str, Any], ...] = ()

    def lacks(self) -> str:
        """What did not answer. OpenSearch counts a shard that is nowhere as neither successful nor failed."""
        missing = max(self.failed, self.total - self.successful)
        return f"{missing} of {self.total} shards did not answer" if missing else ""


class Hit(msgspec.Struct, frozen=True, rename={"index": "_index", "id": "_id", "source": "_source", "fault": "_fault"}):
    """One document; ``sort`` are the values that a search goes on after, ``fault`` is ours: why it is not here."""

    index: str
    id: str
    sort: tuple[Any, ...] = ()
    source: msgspec.Raw = msgspec.Raw()
    fields: Mapping[str, tuple[Any, ...]] = {}
    fault: str = ""


class Total(msgspec.Struct, frozen=True):
    """How many documents match."""

    value: int = 0
    relation: str = "eq"


class Hits(msgspec.Struct, frozen=True):
    """The documents of a page."""

    hits: tuple[Hit, ...] = ()
    total: Total | None = None


class SearchReply(msgspec.Struct, frozen=True, rename={"shards": "_shards"}):
    """A whole answer. ``pit_id`` is the newest name of the point in time, and the one to use from then on."""

    took: int = 0
    timed_out: bool = False
    terminated_early: bool = False
    shards: Shards = Shards()
    hits: Hits = Hits()
    pit_id: str | None = None
    aggregations: Mapping[str, Any] = {}

    def lacks(self) -> str:
        """What keeps the answer from being all that the server has; empty where nothing does."""
        if self.timed_out:
            return "the search timed out on the server"
        if missing := self.shards.lacks():
            return missing + self._why()
        if self.terminated_early:
            return "the search was ended early on the server"
        return ""

    def _why(self) -> str:
        for failure in self.shards.failures:
            reason = failure.get("reason")
            if isinstance(reason, Mapping):
                return f": {reason.get('type')}: {str(reason.get('reason'))[:300]}"
        return ""


_REPLY: Final = msgspec.json.Decoder(SearchReply)
"""Made once, while the module is imported: two threads that decode a type for the first time at once end the process."""


def decoded(data: bytes) -> SearchReply:
    """The reply. Raises ``ValueError`` or ``RecursionError`` where it is none."""
    try:
        return _REPLY.decode(data)
    except msgspec.DecodeError:
        return msgspec.convert(_leniently(data), SearchReply)


def _leniently(data: bytes) -> Any:
    """By the standard library, which reads lone surrogates; each document is written again, as what it was."""
    reply = json.loads(data)
    for hit in reply["hits"]["hits"]:
        if "_source" in hit:
            hit["_source"] = msgspec.Raw(json.dumps(hit["_source"]).encode())
    return reply
