"""Searches, as a source makes them: the server's clock, points in time, pages that fit into memory, counts, mappings."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import msgspec

from connector.errors import ConfigError, TransientError, TriagedError
from connector.siem.elastic.client import Cluster
from connector.siem.elastic.faults import GoneError, MissingError, UnreadableError
from connector.siem.elastic.flavour import HITS
from connector.siem.elastic.hits import Hits, SearchReply, Shards
from connector.siem.elastic.slices import Part, sliced, together

EMPTY: Final = "-"
"""The point in time of a pattern that matches no index, which not every server can make."""

_PAGE_BYTES: Final = 16 << 20
_FIRST_PAGE: Final = 100
_SMALLEST_PAGE: Final = 10
_KEPT_OPEN: Final = 64


class Reader:
    """Asks one cluster for what some indices hold. The size of its pages follows the size of their documents.

    With ``slices`` a page is asked for by so many searches at once.
    """

    def __init__(self, cluster: Cluster, index: Sequence[str], *, page: int, keep_alive: int, slices: int = 1) -> None:
        self._cluster = cluster
        self._index = ",".join(index)
        self._keep_alive = f"{keep_alive}s"
        self._most = page
        self._page = min(page, _FIRST_PAGE)
        self._spent: deque[str] = deque(maxlen=_KEPT_OPEN)
        self._slices = slices
        self._lanes = ThreadPoolExecutor(slices, "slice") if slices > 1 else None

    def now(self) -> int | None:
        """The server's clock in milliseconds; None while no index is there.

        It is the clock of the node that answers, as a date range resolves ``now``: that needs no right but to read.
        """
        ranges = {"field": "@timestamp", "format": "epoch_millis", "ranges": [{"to": "now"}]}
        reply = self._search(
            "asking for the time", {"query": {"match_none": {}}, "size": 0, "aggs": {"now": {"date_range": ranges}}}
        )
        if not reply.shards.total:
            return None
        if not reply.aggregations:
            raise TransientError(f"no shard of {self._index} answers: {reply.lacks()}", sent=True)
        return int(reply.aggregations["now"]["buckets"][0]["to"])

    def fields(self, *names: str) -> Mapping[str, Mapping[str, Any]]:
        """Capabilities of fields by name and type, over all indices."""
        told = self._cluster.request(
            f"reading mappings of {self._index}", "GET", f"/{self._index}/_field_caps", fields=",".join(names)
        )
        return {name: told["fields"].get(name, {}) for name in names}

    def count(self, query: Mapping[str, Any], **aggs: Any) -> SearchReply:
        """How many documents match, exactly, and aggregations of them."""
        body = {"query": query, "size": 0, "track_total_hits": True, **({"aggs": aggs} if aggs else {})}
        return self._search(f"counting in {self._index}", body)

    def open(self) -> tuple[str, str]:
        """A new point in time, and what it lacks from the start; those that were given up before are closed.

        Only this answer tells of a shard that is not there: OpenSearch's searches in the point in time do not.
        """
        while self._spent:
            self._close(self._spent.popleft())
        flavour = self._cluster.flavour
        options = {"keep_alive": self._keep_alive, **flavour.pit_options}
        what = f"opening a point in time of {self._index}"
        try:
            told = self._cluster.request(what, "POST", f"/{self._index}/{flavour.pit_path}", **options)
        except ConfigError:
            if self.now() is None:
                return EMPTY, ""
            raise
        return str(told[flavour.pit_id]), msgspec.convert(told.get("_shards", {}), Shards).lacks()

    def give_up(self, pit: str) -> None:
        """Closes a point in time when the next one is opened: until then its last page may be asked for again."""
        self._spent.append(pit)

    def close(self) -> None:
        """Closes what was given up."""
        while self._spent:
            self._close(self._spent.popleft())
        if self._lanes is not None:
            self._lanes.shutdown(cancel_futures=True)

    def page(self, pit: str, body: Mapping[str, Any], wanted: int) -> tuple[SearchReply, bool]:
        """One page of at most so many documents, and whether it is the last. After a failure the next pages are smaller, since what failed may have been their size.

        Raises ``GoneError`` where the point in time is no longer there.
        """
        if pit == EMPTY:
            return SearchReply(), True
        whole = {**body, "track_total_hits": False, "pit": {"id": pit, "keep_alive": self._keep_alive}}
        try:
            parts = self._parts(whole, max(1, min(self._page, wanted)))
        except MissingError as error:  # an index of the point in time was deleted
            raise GoneError(str(error), sent=True) from error
        except GoneError:
            raise
        except TransientError:
            self._page = max(_SMALLEST_PAGE, self._page // 2)
            raise
        sizes = [len(bytes(hit.source)) for part in parts for hit in part.reply.hits.hits]
        if sizes:
            each = max(1, sum(sizes) // len(sizes))
            self._page = max(_SMALLEST_PAGE, min(self._most, 2 * self._page, _PAGE_BYTES // each))
        return together(parts, pit, wanted)

    def _parts(self, body: Mapping[str, Any], size: int) -> list[Part]:
        if self._lanes is None:
            return [self._readable(body, size)]
        each = -(-size // self._slices)
        return list(self._lanes.map(lambda one: self._readable(one, each), sliced(body, self._slices)))

    def _readable(self, body: Mapping[str, Any], size: int) -> Part:
        """A page of so many, and how many that were; fewer where one cannot be decoded, which then comes without itself."""
        what = f"searching {self._index}"
        while True:
            try:
                return Part(self._ask(what, "/_search", {**body, "size": size}), size)
            except UnreadableError as error:
                if size == 1:
                    reply = self._ask(what, "/_search", {**body, "size": 1, "_source": False})
                    hits = tuple(msgspec.structs.replace(hit, fault=str(error)) for hit in reply.hits.hits)
                    return Part(msgspec.structs.replace(reply, hits=Hits(hits=hits)), 1)
                size //= 2

    def _search(self, what: str, body: Mapping[str, Any]) -> SearchReply:
        return self._ask(what, f"/{self._index}/_search", body)

    def _ask(self, what: str, path: str, body: Mapping[str, Any]) -> SearchReply:
        headers = {"accept": HITS, "content-type": "application/json"}
        params = {"allow_partial_search_results": "true"}
        answer = self._cluster.ask(
            what, lambda client: client.perform_request("POST", path, params=params, headers=headers, body=body)
        )
        reply: SearchReply = answer.body
        return reply

    def _close(self, pit: str) -> None:
        flavour = self._cluster.flavour
        if pit != EMPTY:
            with suppress(TriagedError):  # it ends by itself, in a while
                self._cluster.request("closing a point in time", "DELETE", flavour.close_path, flavour.close_body(pit))
