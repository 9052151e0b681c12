"""Alert histories: what analysts did, read from alert-shaped documents on the real Elasticsearch."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.identity import event_id
from connector.siem.elastic.alerts import TAG_REASONS, Reading, aggregates, alert_id, change_of, events_of
from connector.siem.elastic.history import ElasticHistory, ElasticHistoryConfig
from connector.siem.elastic.identity import native_id
from connector.testing.clock import START
from connector.types import Cursor, DispositionChange
from tests.servers.process import Server
from tests.siem.elastic.asked import ask, put

LATER = START + timedelta(hours=1)

MAPPINGS = {
    "dynamic": False,
    "properties": {
        "kibana.alert.uuid": {"type": "keyword"},
        "kibana.alert.workflow_status": {"type": "keyword"},
        "kibana.alert.workflow_status_updated_at": {"type": "date"},
        "kibana.alert.workflow_reason": {"type": "keyword"},
        "kibana.alert.workflow_tags": {"type": "keyword"},
        "kibana.alert.workflow_user": {"type": "keyword"},
        "kibana.alert.workflow_assignee_ids": {"type": "keyword"},
        "kibana.alert.ancestors": {
            "type": "object",
            "properties": {name: {"type": "keyword"} for name in ("id", "index", "rule", "type")}
            | {"depth": {"type": "long"}},
        },
        "kibana.alert.original_event.id": {"type": "keyword"},
        "kibana.alert.threshold_result": {"type": "object", "enabled": False},
        "kibana.alert.group.id": {"type": "keyword"},
        "kibana.alert.rule.type": {"type": "keyword"},
        "kibana.alert.suppression.docs_count": {"type": "long"},
    },
}
"""Kibana's documented types of the fields that are read."""


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def alert(number: int, seconds: float, status: str = "closed", **more: Any) -> dict[str, Any]:
    """As the rule engine writes it: flat names, one event as its only ancestor."""
    return {
        "@timestamp": at(0),
        "kibana.alert.uuid": f"alert-{number:05d}",
        "kibana.alert.rule.type": "query",
        "kibana.alert.workflow_status": status,
        "kibana.alert.workflow_status_updated_at": at(seconds),
        "kibana.alert.ancestors": [{"id": f"e{number}", "type": "event", "index": "logs-1", "depth": 0}],
        **{name.replace("__", "."): value for name, value in more.items()},
    }


@pytest.fixture
def alerts(elasticsearch: Server) -> str:
    """An empty index of alerts with Kibana's mappings."""
    index = f".alerts-security.alerts-{uuid.uuid4().hex[:12]}"
    made = ask(elasticsearch, "PUT", f"/{index}", {"mappings": MAPPINGS, "settings": {"index.hidden": True}})
    assert made["acknowledged"]
    return index


@contextmanager
def reading(server: Server, index: str, now: datetime = LATER, **more: Any) -> Iterator[ElasticHistory]:
    table = {"hosts": [server.url], "deployment": "site", "index": index, **more}
    with closing(ElasticHistory("h", ElasticHistoryConfig.model_validate(table), lambda: now)) as history:
        yield history


def everything(history: ElasticHistory, limit: int, after: Cursor | None = None) -> list[DispositionChange]:
    found: list[DispositionChange] = []
    while True:
        batch = history.dispositions(after, limit)
        found += batch.items
        after = batch.cursor
        if batch.done:
            return found


def test_changes_come_in_the_order_in_which_they_were_made_whatever_the_page(
    elasticsearch: Server, alerts: str
) -> None:
    put(elasticsearch, alerts, {f"d{n}": alert(n, (n * 7) % 50) for n in range(50)})
    expected = sorted(range(50), key=lambda n: ((n * 7) % 50, n))
    for limit in (1, 7, 50, 1000):
        with reading(elasticsearch, alerts) as history:
            assert [int(c.alert_id[-5:]) for c in everything(history, limit)] == expected


def test_alerts_that_were_closed_at_once_are_paged_within_the_same_millisecond(
    elasticsearch: Server, alerts: str
) -> None:
    put(elasticsearch, alerts, {f"d{n}": alert(n, 5) for n in range(30)})
    with reading(elasticsearch, alerts) as history:
        assert [c.alert_id for c in everything(history, 7)] == [f"alert-{n:05d}" for n in range(30)]


def test_a_reopened_alert_is_a_change_of_its_own_and_has_no_disposition_any_more(
    elasticsearch: Server, alerts: str
) -> None:
    closed = alert(1, 10, kibana__alert__workflow_reason="false_positive")
    put(elasticsearch, alerts, {"d": closed})
    with reading(elasticsearch, alerts) as history:
        first = history.dispositions(None, 10)
        put(elasticsearch, alerts, {"d": alert(1, 20, "open")})
        second = history.dispositions(first.cursor, 10)
        assert not history.dispositions(second.cursor, 10).items
    assert [(c.status, c.disposition) for c in first.items + second.items] == [
        ("closed", "false_positive"),
        ("open", None),
    ]
    assert first.items[0].observed_at == LATER


def test_what_is_younger_than_settle_waits(elasticsearch: Server, alerts: str) -> None:
    put(elasticsearch, alerts, {"old": alert(1, 0), "young": alert(2, 55)})
    with reading(elasticsearch, alerts, START + timedelta(seconds=60)) as history:
        batch = history.dispositions(None, 10)
        assert [c.alert_id for c in batch.items] == ["alert-00001"]
    with reading(elasticsearch, alerts, START + timedelta(seconds=66)) as history:
        assert [c.alert_id for c in history.dispositions(batch.cursor, 10).items] == ["alert-00002"]


def test_user_reason_tags_time_and_assignees_are_told(elasticsearch: Server, alerts: str) -> None:
    told = alert(
        1,
        3,
        kibana__alert__workflow_reason="benign_positive",
        kibana__alert__workflow_user="u_1",
        kibana__alert__workflow_tags=["Duplicate", "seen"],
        kibana__alert__workflow_assignee_ids=["u_2", "u_3"],
    )
    put(elasticsearch, alerts, {"d": told})
    with reading(elasticsearch, alerts) as history:
        (change,) = everything(history, 10)
    assert (change.disposition, change.analyst, change.machine) == ("benign_positive", "u_1", False)
    assert (change.tags, change.assignees) == (("Duplicate", "seen"), ("u_2", "u_3"))
    assert change.changed_at == START + timedelta(seconds=3)


def test_alerts_closed_before_kibana_kept_the_time_are_counted_once(elasticsearch: Server, alerts: str) -> None:
    old = alert(1, 0)
    del old["kibana.alert.workflow_status_updated_at"]
    put(elasticsearch, alerts, {"old": old, "new": alert(2, 1)})
    with reading(elasticsearch, alerts) as history:
        first = history.dispositions(None, 10)
        assert (len(first.items), first.complete) == (1, False)
        assert "1 alerts" in first.reason
        assert history.dispositions(first.cursor, 10).complete


def test_a_cluster_without_alerts_has_no_changes_and_a_foreign_cursor_starts_anew(
    elasticsearch: Server, alerts: str
) -> None:
    with reading(elasticsearch, f"{alerts}-none-*") as history:
        batch = history.dispositions(None, 10)
        assert (batch.items, batch.done, batch.complete) == ((), True, True)
    put(elasticsearch, alerts, {"d": alert(1, 1)})
    with reading(elasticsearch, alerts) as history:
        assert len(history.dispositions(Cursor(token="someone else's"), 10).items) == 1


READING = Reading(
    deployment="site",
    own_indices="triaged-*",
    native=native_id,
    by_event_id=False,
    service_users=frozenset({"svc"}),
    tag_reasons=TAG_REASONS,
)
INDEX = ".internal.alerts-security.alerts-default-000001"
ITSELF = event_id("site", f"{INDEX}/a1")
EVENT = event_id("site", "logs-1/e1")


def about(document: dict[str, Any], **changed: Any) -> tuple[str, ...]:
    fields = {**{name: getattr(READING, name) for name in READING.__struct_fields__}, **changed}
    return events_of(INDEX, "a1", document, Reading(**fields))


def test_an_alert_on_a_record_of_ours_is_about_the_event_of_that_record() -> None:
    ours = alert(1, 0, kibana__alert__original_event__id="the-event", event={"id": "another"})
    ours["kibana.alert.ancestors"][0]["index"] = "triaged-verdicts-2026.03"
    assert about(ours) == ("the-event",)
    del ours["kibana.alert.original_event.id"], ours["event"]
    assert about(ours) == ()


def test_a_triaged_field_that_an_event_brought_itself_joins_nothing() -> None:
    forged = alert(1, 0, triaged={"origin": "victim.mac", "source": {"id": "victim"}}, event={"id": "victim"})
    assert about(forged) == (EVENT, ITSELF)


def test_an_alert_of_one_event_is_about_that_event_and_itself() -> None:
    assert about(alert(1, 0)) == (EVENT, ITSELF)
    by_id = alert(1, 0, kibana__alert__original_event__id="ev-9")
    assert about(by_id, by_event_id=True) == (event_id("site", "ev-9"), ITSELF)


@pytest.mark.parametrize(
    "more",
    [
        {"kibana__alert__threshold_result": {"count": 5}},
        {"kibana__alert__group__id": "sequence"},
        {"kibana__alert__rule__type": "threshold"},
        {"kibana__alert__suppression__docs_count": 3},
        {"kibana__alert__ancestors": []},
        {"kibana__alert__ancestors": [{"id": n, "type": "event", "index": "logs-1"} for n in "ab"]},
    ],
)
def test_an_alert_that_aggregates_is_about_itself_alone(more: dict[str, Any]) -> None:
    assert about(alert(1, 0, **more)) == (ITSELF,)


def test_an_alert_on_an_alert_is_about_the_event_below_both() -> None:
    chained = alert(1, 0)
    chained["kibana.alert.ancestors"].append({"id": "a0", "type": "signal", "index": INDEX, "depth": 1})
    assert about(chained) == (EVENT, ITSELF)
    assert not aggregates(chained)


@pytest.mark.parametrize(
    ("more", "disposition", "machine"),
    [
        ({"kibana__alert__workflow_reason": "true_positive"}, "true_positive", False),
        ({"kibana__alert__workflow_reason": "our own words"}, "our own words", False),
        ({"kibana__alert__workflow_tags": ["x", "False Positive"]}, "false_positive", False),
        ({"kibana__alert__workflow_reason": "automated_closure"}, "automated_closure", True),
        ({"kibana__alert__workflow_user": "svc"}, None, True),
        ({}, None, False),
    ],
)
def test_reasons_come_first_then_tags_and_machines_are_marked(
    more: dict[str, Any], disposition: str | None, machine: bool
) -> None:
    change = change_of(INDEX, "a1", alert(1, 0, **more), READING, LATER)
    assert (change.disposition, change.machine) == (disposition, machine)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"kibana": "text"},
        {"kibana.alert.workflow_status": ["open", "closed"], "kibana.alert.workflow_status_updated_at": at(0)},
        {"kibana.alert.workflow_status": "closed", "kibana.alert.workflow_status_updated_at": "yesterday"},
    ],
)
def test_an_alert_without_a_status_or_its_time_is_told_and_not_guessed(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no workflow status, or no time"):
        change_of(INDEX, "a1", document, READING, LATER)


@pytest.mark.parametrize(
    ("index", "is_one"),
    [
        (".internal.alerts-security.alerts-default-000001", True),
        (".alerts-security.alerts-default", True),
        ("partial-.internal.alerts-security.alerts-lab-000007", True),
        (".alerts-observability.metrics.alerts-default", False),
        ("logs-endpoint.alerts-default", False),
        ("evil.alerts-security.alerts-default", False),
        ("xinternal.alerts-security.alerts-default", False),
    ],
)
def test_the_index_alone_tells_that_a_document_is_an_alert(index: str, is_one: bool) -> None:
    assert alert_id(index, "a-1") == ("a-1" if is_one else None)


def test_nested_and_dotted_alerts_are_the_same() -> None:
    nested = {
        "kibana": {
            "alert": {
                "uuid": "u",
                "workflow_status": "closed",
                "workflow_status_updated_at": at(0),
                "ancestors": {"id": "e1", "type": "event", "index": "logs-1"},
            }
        }
    }
    change = change_of(INDEX, "a1", nested, READING, LATER)
    assert (change.alert_id, change.event_ids) == ("u", (EVENT, ITSELF))
