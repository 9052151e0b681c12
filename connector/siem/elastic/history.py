"""What analysts did with detection alerts, read from the alerts themselves.

An alert keeps its present status only, so it is read by ``kibana.alert.workflow_status_updated_at``, whatever the status
is: a re-open is a change like a close. What was changed twice between two polls is seen once, as it ended; what was known
at a time T is what was *observed* by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field

from connector.errors import TransientError
from connector.ports import Clock
from connector.settings import HistorySettings, Stretch
from connector.siem.elastic.alerts import TAG_REASONS, Reading, change_of
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.identity import native_id
from connector.telemetry import Signal, emit
from connector.types import Batch, Cursor, DispositionChange, Json

CHANGED: Final = "kibana.alert.workflow_status_updated_at"
UUID: Final = "kibana.alert.uuid"
FIELDS: Final = (
    UUID,
    "kibana.alert.workflow_*",
    "kibana.alert.ancestors",
    "kibana.alert.original_event.id",
    "kibana.alert.threshold_result",
    "kibana.alert.group.id",
    "kibana.alert.rule.type",
    "kibana.alert.rule.threat",
    "kibana.alert.suppression.docs_count",
    "event.id",
)
"""What is asked of an alert; its event, which may be a megabyte, is not."""

_LONGEST_PAGE: Final = 10_000


class ElasticHistoryConfig(HistorySettings, Connection):
    """Which alerts, and what in them is no person's decision."""

    type: Literal["elastic"] = "elastic"
    deployment: str = Field(description="of the sources whose events the alerts are about")
    index: str = Field(".alerts-security.alerts-*", min_length=1, description="the alerts' index or pattern")
    settle: Stretch = Field(timedelta(seconds=10), description="how far behind the clock to stay")
    identity: Literal["document", "event.id"] = Field(
        "document", description="as the sources of this deployment have it"
    )
    own_indices: str = Field("triaged-*", description="pattern of indices that only Triaged's role may write")
    service_users: tuple[str, ...] = Field((), description="users whose changes are no person's: profile ids or names")
    tag_reasons: dict[str, str] = Field(
        dict(TAG_REASONS), description="before 9.2: alert tags (in lower case) and the reasons that they stand for"
    )


class ElasticHistory:
    """Reads status changes in the order in which they were made. The cursor is the last one's time and alert."""

    Config: ClassVar[type[HistorySettings]] = ElasticHistoryConfig

    def __init__(self, name: str, config: ElasticHistoryConfig, clock: Clock) -> None:
        self.name = name
        self._cluster = Cluster(config)
        self._index = config.index
        self._settle = config.settle
        self._clock = clock
        self._reading = Reading(
            deployment=config.deployment,
            own_indices=config.own_indices,
            native=native_id,
            by_event_id=config.identity == "event.id",
            service_users=frozenset(config.service_users),
            tag_reasons={tag.lower(): reason for tag, reason in config.tag_reasons.items()},
        )

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        """The next changes. Incomplete where an alert cannot be read, or was closed before Kibana kept the time."""
        now = self._clock()
        size = min(limit, _LONGEST_PAGE)
        place = _place(after)
        hits = self._search(_millis(now - self._settle), place, size)
        items: list[DispositionChange] = []
        reasons: list[str] = []
        for hit in hits:
            try:
                change = change_of(hit["_index"], hit["_id"], hit["_source"], self._reading, now)
            except ValueError as error:
                reasons.append(f"alert {hit['_index']}/{hit['_id']} cannot be read: {error}")
                continue
            if not change.event_ids:
                emit(Signal.ALERT_UNJOINED, self.name, alert=change.alert_id)
            items.append(change)
        if place is None and (untimed := self._untimed()):
            reasons.append(
                f"{untimed} alerts changed their status at a time that Kibana did not keep: they are left out"
            )
        return Batch(
            items=tuple(items),
            cursor=Cursor(token=msgspec.json.encode(hits[-1]["sort"]).decode()) if hits else after,
            done=len(hits) < size,
            complete=not reasons,
            reason="; ".join(reasons[:3]),
        )

    def close(self) -> None:
        """Closes the connections."""
        self._cluster.close()

    def _search(self, until: int, place: list[Json] | None, size: int) -> list[Mapping[str, Any]]:
        query: dict[str, Any] = {
            "size": size,
            "query": {"range": {CHANGED: {"lte": until, "format": "epoch_millis"}}},
            "sort": [
                {CHANGED: {"order": "asc", "unmapped_type": "date"}},
                {UUID: {"order": "asc", "unmapped_type": "keyword", "missing": ""}},
            ],
            "_source": list(FIELDS),
            "track_total_hits": False,
        }
        if place is not None:
            query["search_after"] = place
        answer = self._ask("_search", query, allow_partial_search_results="false")
        if answer.get("timed_out") or answer["_shards"]["failed"]:
            raise TransientError(f"reading alerts on {self._cluster.address}: not every shard answered", sent=True)
        hits: list[Mapping[str, Any]] = answer["hits"]["hits"]
        return hits

    def _untimed(self) -> int:
        changed = {"terms": {"kibana.alert.workflow_status": ["acknowledged", "closed"]}}
        query = {"query": {"bool": {"filter": [changed], "must_not": [{"exists": {"field": CHANGED}}]}}}
        return int(self._ask("_count", query)["count"])

    def _ask(self, what: str, body: Json, **more: str) -> Any:
        return self._cluster.request(
            "reading alerts",
            "POST",
            f"/{self._index}/{what}",
            body,
            ignore_unavailable="true",
            allow_no_indices="true",
            expand_wildcards="open,hidden",
            **more,
        )


def _millis(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _place(after: Cursor | None) -> list[Json] | None:
    """The sort values of our own cursors; with another the history is read from its start, and the ledger knows it."""
    if after is None:
        return None
    try:
        place = msgspec.json.decode(after.token, type=tuple[int, str])
    except msgspec.MsgspecError:
        return None
    return list(place)
