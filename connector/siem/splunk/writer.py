"""Writes records to Splunk: events through the HTTP event collector, rows to the KV store, comments onto notables.

Delivery is at least once. Rows have keys of ours and stand once; events have none in Splunk, so one that comes twice
stands there twice, under one ``triaged.record_id``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from connector.errors import ConfigError, TransientError
from connector.ports import Clock
from connector.settings import Every, Section, TargetSettings
from connector.siem.splunk.alerts import Notables
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.collectors import DELIVERED, Collectors, Patience
from connector.siem.splunk.connection import Connection
from connector.siem.splunk.hec import Collector, collector_address
from connector.siem.splunk.kv import KvStore
from connector.siem.splunk.packing import HecEvent
from connector.siem.splunk.records import EVENTS, event_of
from connector.transport import Transport, for_header
from connector.types import AlertUpdate, Delivery, LookupEntry, Record, RunStatus

_INDEX: Final = r"^[a-z0-9_][a-z0-9_-]{0,79}$"
_NOBODY: Final = Delivery(outcome="rejected", reason="the settings of this target take no records of this kind")


class ServerSettings(Section, Connection):
    """A search head, for what the event collector cannot do."""

    kv_store: bool = Field(default=True, description="keep look-up entries and playbook runs in the app's KV store")
    notables: str | None = Field(
        None, description="the deployment whose notables get comments; absent: notables are never changed"
    )


class SplunkWriterConfig(TargetSettings):
    """Where records go, and what else is changed there."""

    type: Literal["splunk"] = "splunk"
    hec: tuple[str, ...] = Field(
        min_length=1, description="addresses of event collectors (`https://collector:8088`) of one site"
    )
    hec_token: SecretStr = Field(description="the token of the event collector")
    ca_certs: Path | None = Field(
        None, description="a file of the authorities that are trusted; absent: the usual ones"
    )
    batch: int = Field(2000, ge=1, description="records a call; each call waits for its acknowledgements")
    timeout: Every = Field(timedelta(seconds=15), description="how long a request may take")
    index: str = Field("triaged", pattern=_INDEX, description="the index of all events but risk events")
    risk_index: str = Field("risk", pattern=_INDEX, description="the index of risk events")
    ack: Literal["auto", "required"] = Field(
        "auto", description="required: refuse a token without indexer acknowledgement; auto: do without, and say so"
    )
    ack_wait: Every = Field(timedelta(seconds=10), description="how long one call waits for acknowledgements")
    ack_lost: Every = Field(timedelta(minutes=5), description="what is not acknowledged after this is sent again")
    ack_sends: int = Field(5, ge=1, description="sends without an acknowledgement before a record is a dead letter")
    max_bytes: int = Field(1_000_000, ge=1024, le=100_000_000, description="size of one request before compression")
    compress: bool = Field(default=True, description="send requests compressed (gzip)")
    server: ServerSettings | None = Field(None, description="a table, see below; absent: events alone are written")

    @field_validator("hec")
    @classmethod
    def _hec_are_addresses(cls, hec: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(collector_address(url) for url in hec)

    @field_validator("hec_token")
    @classmethod
    def _token_fits_into_a_header(cls, token: SecretStr) -> SecretStr:
        return for_header(token)

    @model_validator(mode="after")
    def _waiting_ends_before_it_is_given_up(self) -> SplunkWriterConfig:
        if self.ack_lost < self.ack_wait:
            raise ValueError("ack_lost must be at least ack_wait, or what is still waited for would be sent again")
        return self


class SplunkWriter:
    """Writes events, rows and comments. Safe to use from threads."""

    Config: ClassVar[type[TargetSettings]] = SplunkWriterConfig

    def __init__(self, name: str, config: SplunkWriterConfig, clock: Clock) -> None:
        self.name = name
        self._index = config.index
        self._risk_index = config.risk_index
        self._collectors = _collectors(name, config, clock)
        server = config.server
        self._splunk = Splunk(server) if server else None
        self._rows = KvStore(self._splunk) if server and server.kv_store and self._splunk else None
        self._notables = (
            Notables(self._splunk, server.notables) if self._splunk and server and server.notables else None
        )
        kinds = set(EVENTS)
        kinds |= {LookupEntry} if self._rows else set()
        kinds |= {AlertUpdate} if self._notables else set()
        self.accepts = frozenset(kinds)

    def write(self, records: Sequence[Record]) -> Sequence[Delivery]:
        """One outcome a record. A call without records proves that everything needed may be done, as far as that goes.

        A run's row is written before its event, so that a search head that is down sends no event twice.

        Raises:
            TransientError: nothing was answered; the target is out as a whole.
            ConfigError: the collector refuses us, or the search head does.
        """
        if not records:
            self._prove()
        outcomes = dict.fromkeys(range(len(records)), _NOBODY)
        if self._rows is not None:
            outcomes |= self._beside(self._rows.upsert, (RunStatus, LookupEntry), records)
        events = [
            place
            for place, record in enumerate(records)
            if type(record) in EVENTS and outcomes[place] in (_NOBODY, DELIVERED)
        ]
        outcomes |= self._send(records, events)
        if self._notables is not None:
            outcomes |= self._beside(self._notables.apply_all, (AlertUpdate,), records)
        return [outcomes[place] for place in range(len(records))]

    def close(self) -> None:
        """Ends a call that waits, and the connections."""
        self._collectors.close()
        if self._splunk is not None:
            self._splunk.close()

    def _prove(self) -> None:
        self._collectors.prove()
        for part in (self._rows, self._notables):
            if part is not None:
                part.prove()

    def _send(self, records: Sequence[Record], places: Sequence[int]) -> dict[int, Delivery]:
        outcomes: dict[int, Delivery] = {}
        events: dict[int, HecEvent] = {}
        for place in places:
            try:
                events[place] = event_of(records[place], index=self._index, risk_index=self._risk_index)
            except (TypeError, ValueError) as error:
                outcomes[place] = Delivery(outcome="rejected", reason=f"cannot be an event of Splunk: {error}")
        return outcomes | dict(zip(events, self._collectors.deliver(list(events.values())), strict=True))

    def _beside(
        self, work: Callable[[Any], Sequence[Delivery]], kinds: tuple[type[Any], ...], records: Sequence[Record]
    ) -> Mapping[int, Delivery]:
        """Outcomes of what goes to the search head. Its failure holds up no record that needs none."""
        places = [place for place, record in enumerate(records) if isinstance(record, kinds)]
        if not places:
            return {}
        try:
            return dict(zip(places, work([records[place] for place in places]), strict=True))
        except (TransientError, ConfigError) as error:
            if len(places) == len(records):
                raise
            unknown = isinstance(error, TransientError) and error.sent
            return dict.fromkeys(places, Delivery(outcome="unknown" if unknown else "retry", reason=str(error)))


def _collectors(name: str, config: SplunkWriterConfig, clock: Clock) -> Collectors:
    transport = Transport(timeout=config.timeout.total_seconds(), ca_certs=config.ca_certs)
    patience = Patience(
        wait=config.ack_wait, lost=config.ack_lost, sends=config.ack_sends, required=config.ack == "required"
    )
    made = [Collector(address, config.hec_token, transport, compress=config.compress) for address in config.hec]
    return Collectors(name, made, patience=patience, max_bytes=config.max_bytes, clock=clock)
