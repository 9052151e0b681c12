"""A Splunk to write to: the stand-in with a writer on it, and what of it has arrived."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec

from connector.ports import Clock
from connector.siem.splunk.writer import SplunkWriter, SplunkWriterConfig
from connector.testing import examples
from connector.testing.clock import START
from connector.types import Delivery, Record
from tests.splunkd import Splunkd

DELIVERED = Delivery(outcome="delivered")


def table(splunkd: Splunkd, **more: Any) -> dict[str, Any]:
    """A target's settings: patient enough for a test, and no more."""
    return {
        "type": "splunk",
        "hec": [splunkd.hec_url],
        "hec_token": splunkd.hec_ack_token,
        "ack_wait": "PT0.3S",
        "timeout": "PT5S",
        **more,
    }


def with_server(splunkd: Splunkd, **more: Any) -> dict[str, Any]:
    """The settings of a search head, and the collections of the app there."""
    for collection in ("triaged_runs", "triaged_lookup"):
        splunkd.kv.define(collection, "triaged")
    return {"server": {"hosts": [splunkd.url], "token": splunkd.token, "timeout": "PT5S", **more}}


@contextmanager
def writing(splunkd: Splunkd, *, clock: Clock = lambda: START, **more: Any) -> Iterator[SplunkWriter]:
    """A writer on the stand-in."""
    config = SplunkWriterConfig.model_validate(table(splunkd, **more))
    with closing(SplunkWriter("splunk", config, clock)) as writer:
        yield writer


def verdicts(count: int, *, first: int = 0, **changed: Any) -> list[Record]:
    """That many verdicts with ids of their own."""
    return [msgspec.structs.replace(examples.verdict(number), **changed) for number in range(first, first + count)]


def arrived(splunkd: Splunkd) -> Counter[str]:
    """How often each record stands in the indexes."""
    return Counter(json.loads(event.raw)["triaged"]["record_id"] for event in splunkd.events)


def once(records: Sequence[Record]) -> Counter[str]:
    """Each of these records, once."""
    return Counter(record.record_id for record in records)


def outcomes(deliveries: Sequence[Delivery]) -> list[str]:
    """Outcomes without reasons."""
    return [delivery.outcome for delivery in deliveries]


def channels(splunkd: Splunkd) -> list[str]:
    """The channels of all posts of events, in their order."""
    return [request.headers["x-splunk-request-channel"] for request in splunkd.asked("collector/event")]
