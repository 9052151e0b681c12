"""Writes records to Elasticsearch or OpenSearch: each a document whose ``_id`` is the record's id.

Delivery is at least once, storage exactly once: a document is *created* in the one index that the record itself fixes
(:mod:`connector.siem.elastic.records`), so that a second delivery meets the first and is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from connector.errors import ConfigError, TransientError
from connector.ports import Clock
from connector.settings import TargetSettings
from connector.siem.elastic import bulk
from connector.siem.elastic.bulk import Item, Operation
from connector.siem.elastic.client import Cluster, Connection
from connector.siem.elastic.in_place import FIELDS, InPlace
from connector.siem.elastic.kibana import Kibana, KibanaSettings
from connector.siem.elastic.lookup import Lookup, LookupSettings
from connector.siem.elastic.outcomes import delivery_of, fate_of, reason_of
from connector.siem.elastic.records import FAMILIES, index_of, source_of
from connector.siem.elastic.server import ClusterServer
from connector.types import AlertUpdate, Delivery, LookupEntry, Record, Verdict

_DELIVERED = Delivery(outcome="delivered")
_ANSWER = "items.*.status,items.*.error"
_NOBODY = Delivery(outcome="rejected", reason="the settings of this target take no records of this kind")


class ElasticWriterConfig(TargetSettings, Connection):
    """Where records go, and what else is changed there."""

    type: Literal["elastic"] = "elastic"
    index_prefix: str = Field(
        "triaged", pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$", description="begins the names of all indices written to"
    )
    max_bytes: int = Field(5 << 20, ge=1024, le=100 << 20, description="size of one bulk request")
    update_source: bool = Field(
        default=False, description="write `threat` and `triaged` onto the event's own document too"
    )
    deployment: str | None = Field(None, description="of the sources whose events are updated; needs update_source")
    kibana: KibanaSettings | None = Field(None, description="a table, see below; absent: alerts are never changed")
    lookup: LookupSettings = Field(LookupSettings(), description="a table, see below")

    @model_validator(mode="after")
    def _events_have_a_deployment(self) -> ElasticWriterConfig:
        if self.update_source != (self.deployment is not None):
            raise ValueError("update_source and deployment belong together: only events of that deployment are updated")
        return self


class ElasticWriter:
    """Writes documents by bulk, alerts through Kibana, and look-up entries to their index. Safe to use from threads."""

    Config: ClassVar[type[TargetSettings]] = ElasticWriterConfig

    def __init__(self, name: str, config: ElasticWriterConfig, clock: Clock) -> None:
        self.name = name
        self._prefix = config.index_prefix
        self._max_bytes = config.max_bytes
        self._cluster = Cluster(config)
        self._in_place = self._updater(config)
        self._kibana = Kibana(config.kibana) if config.kibana else None
        self._lookup = self._look_up(config, clock)
        kinds: set[type[Record]] = set(FAMILIES)
        kinds |= {AlertUpdate} if self._kibana else set()
        kinds |= {LookupEntry} if self._lookup else set()
        self.accepts = frozenset(kinds)

    def _updater(self, config: ElasticWriterConfig) -> InPlace | None:
        if config.deployment is None:
            return None
        return InPlace(self.name, config.deployment, self._fetch, self._send, config.max_bytes)

    def _look_up(self, config: ElasticWriterConfig, clock: Clock) -> Lookup | None:
        if config.lookup.mode == "off":
            return None
        server = ClusterServer(self._cluster, "publishing look-up entries")
        return Lookup(
            self.name, server, flavour=config.flavour, prefix=self._prefix, settings=config.lookup, clock=clock
        )

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        """One outcome a record.

        Raises:
            TransientError: nothing of the first request was answered; the target is out as a whole.
            ConfigError: the server refuses us, or Kibana does.
        """
        outcomes = dict.fromkeys(range(len(records)), _NOBODY)
        by_kind: dict[type[Record], list[int]] = {}
        for place, record in enumerate(records):
            by_kind.setdefault(type(record), []).append(place)
        documents = [place for kind in FAMILIES for place in by_kind.get(kind, ())]
        outcomes |= self._create(records, sorted(documents))
        if self._lookup is not None:
            outcomes |= self._beside(self._lookup.write, LookupEntry, records, by_kind.get(LookupEntry, ()))
            self._lookup.publish()
        if self._kibana is not None:
            outcomes |= self._beside(self._kibana.apply_all, AlertUpdate, records, by_kind.get(AlertUpdate, ()))
        if self._in_place is not None:
            written = [place for place in by_kind.get(Verdict, ()) if outcomes[place] == _DELIVERED]
            outcomes |= self._beside(self._in_place.update, Verdict, records, written)
        return [outcomes[place] for place in range(len(records))]

    def close(self) -> None:
        """Closes the connections."""
        self._cluster.close()
        if self._kibana is not None:
            self._kibana.close()

    def _beside(
        self,
        work: Callable[[Any], Sequence[Delivery]],
        kind: type[Any],
        records: Sequence[Record],
        places: Sequence[int],
    ) -> dict[int, Delivery]:
        """Outcomes of what is done beside writing. Its failure holds up no other record that is written already."""
        try:
            done = work([record for record in map(records.__getitem__, places) if isinstance(record, kind)])
            return dict(zip(places, done, strict=True))
        except (TransientError, ConfigError) as error:
            if len(places) == len(records):
                raise
            unknown = isinstance(error, TransientError) and error.sent
            return dict.fromkeys(places, Delivery(outcome="unknown" if unknown else "retry", reason=str(error)))

    def _create(self, records: Sequence[Record], places: Sequence[int]) -> dict[int, Delivery]:
        outcomes: dict[int, Delivery] = {}
        operations: dict[int, Operation] = {}
        for place in places:
            record = records[place]
            try:
                operations[place] = bulk.create(index_of(self._prefix, record), record.record_id, source_of(record))
            except (TypeError, ValueError) as error:
                outcomes[place] = Delivery(outcome="rejected", reason=f"cannot be written as JSON: {error}")
        items = bulk.run(list(operations.values()), self._send, self._max_bytes)
        if items and all(fate_of(item) == "refused" for item in items):
            raise ConfigError(
                f"writing records on {self._cluster.address}: {reason_of(items[0])}. "
                f"The role needs `create_doc` and `auto_configure` on `{self._prefix}-*` (deploy/elastic/roles)"
            )
        return outcomes | {place: delivery_of(item) for place, item in zip(operations, items, strict=True)}

    def _send(self, body: bytes) -> Sequence[Mapping[str, Item]]:
        answer = self._cluster.request("writing records", "POST", "/_bulk", body, filter_path=_ANSWER)
        return answer["items"] if isinstance(answer, Mapping) and "items" in answer else []

    def _fetch(self, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        docs = [{**row, "_source": list(FIELDS)} for row in rows]
        answer = self._cluster.request("reading events", "POST", "/_mget", {"docs": docs})
        found: Sequence[Mapping[str, Any]] = answer["docs"]
        return found
