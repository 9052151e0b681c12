"""Enterprise Security: notables, their review, and findings of version 8."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from connector.testing import ManualClock
from tests.splunkd import Event, Splunkd
from tests.splunkd.asking import Client

UPDATE = "/services/notable_update"
FINDINGS = "/servicesNS/nobody/missioncontrol/public/v2/findings"
NEW = {
    "rule_title": "t", "rule_description": "d", "security_domain": "endpoint", "risk_object": "h", "risk_object_type": "system", "risk_score": 10,
}  # fmt: skip


@pytest.fixture
def notable(splunkd: Splunkd, clock: ManualClock) -> Event:
    [event] = splunkd.put(
        {"search_name": "Rule 1", "severity": "high"}, index="notable", source="Rule 1", time=1767614000.5
    )
    clock.advance(1)
    return event


def test_a_notable_is_named_by_its_indexer_its_index_and_the_digest_of_time_and_text(
    splunkd: Splunkd, client: Client, notable: Event
) -> None:
    digest = hashlib.md5(f"1767614000.5{notable.raw}".encode()).hexdigest()
    name = f"{notable.bkt.rpartition('~')[2]}@@notable@@{digest}"
    assert splunkd.review.event_id(notable) == name
    assert [row["event_id"] for row in client.rows("search `notable`")] == [name]
    by_hand = 'search index=notable | eval event_id=replace(_bkt, ".*~(.+)", "\\1")."@@".index."@@".md5(_time._raw) | table event_id'
    assert client.rows(by_hand) == [{"event_id": name}]


def test_an_update_is_a_row_of_history_that_keeps_what_it_does_not_name(
    splunkd: Splunkd, client: Client, notable: Event, clock: ManualClock
) -> None:
    name = splunkd.review.event_id(notable)
    told = client.post(UPDATE, ruleUIDs=[name, "other"], status="2", newOwner="ana", comment="mine").json()
    assert (told["success"], told["success_count"], told["failure_count"]) == (True, 2, 0)
    clock.advance(5)
    client.post(UPDATE, ruleUIDs=name, status="5", disposition="disposition:3")
    first, second = client.rows("| `incident_review` | search rule_id=*notable* | sort 0 time")
    assert (first["status_label"], first["owner"], first["comment"], first["reviewer"]) == (
        "In Progress",
        "ana",
        "mine",
        "admin",
    )
    assert (second["status_label"], second["owner"], second["disposition_label"]) == (
        "Closed",
        "ana",
        "False Positive - Incorrect Analytic Logic",
    )
    assert float(second["time"]) - float(first["time"]) == 5
    assert "comment" not in second or second["comment"] == ""
    [row] = client.rows("search `notable` | table rule_id status owner")
    assert row == {"rule_id": name, "status": "5", "owner": "ana"}
    assert len(client.rows("| inputlookup incident_review_lookup")) == 3


@pytest.mark.parametrize(
    "form",
    [
        {"status": "5"},
        {"ruleUIDs": "x"},
        {"ruleUIDs": "x", "status": "77"},
        {"ruleUIDs": "x", "disposition": "3"},
        {"ruleUIDs": "x", "urgency": "huge"},
    ],
)
def test_an_update_that_cannot_be_is_told_and_leaves_no_row(client: Client, form: dict[str, str]) -> None:
    told = client.post(UPDATE, **form).json()
    assert told["success"] is False
    assert told["message"]
    assert client.rows("| inputlookup incident_review_lookup") == []


def test_an_update_may_name_a_search(splunkd: Splunkd, client: Client, notable: Event) -> None:
    sid = client.post("/services/search/v2/jobs", search="search `notable`", output_mode="json").json()["sid"]
    assert client.post(UPDATE, searchID=sid, status="4").json()["success_count"] == 1
    assert splunkd.review.history(splunkd.review.event_id(notable))[0]["status"] == "4"


def test_a_site_may_have_statuses_and_dispositions_of_its_own(splunkd: Splunkd, client: Client) -> None:
    splunkd.review.statuses["9"], splunkd.review.dispositions["disposition:9"] = "Parked", "Exercise"
    entries = client.get("/servicesNS/nobody/SA-ThreatIntelligence/alerts/reviewstatuses", output_mode="json").json()[
        "entry"
    ]
    labels = {entry["name"]: (entry["content"]["label"], entry["content"]["status_type"]) for entry in entries}
    assert labels["9"] == ("Parked", "notable")
    assert labels["disposition:9"] == ("Exercise", "disposition")
    assert {"status": "9", "label": "Parked"} in client.rows("| inputlookup reviewstatuses_lookup | table status label")
    assert {"label": "Exercise"} in client.rows("| inputlookup disposition_lookup | table label")
    assert client.post(UPDATE, ruleUIDs="x", status="9", disposition="disposition:9").json()["success"] is True


def test_findings_are_listed_for_a_day_unless_asked_for_longer(
    splunkd: Splunkd, client: Client, notable: Event
) -> None:
    splunkd.put({"search_name": "old"}, index="notable", time=splunkd.now() - 90_000)
    page = client.get(FINDINGS).json()
    assert (page["total"], page["limit"], page["offset"]) == (1, 100, 0)
    [found] = page["items"]
    assert (found["rule_title"], found["status_label"], found["finding_id"]) == (
        "Rule 1",
        "New",
        splunkd.review.event_id(notable),
    )
    assert client.get(FINDINGS, earliest="-2d").json()["total"] == 2
    old = client.get(FINDINGS, earliest="-2d", rule_title="old", fields="finding_id").json()["items"][0]
    assert set(old) == {"finding_id"}
    assert client.get(f"{FINDINGS}/{old['finding_id']}").status == 404
    assert client.get(f"{FINDINGS}/{old['finding_id']}", earliest="-2d").json()["rule_title"] == "old"


def test_findings_come_in_pages_of_a_hundred_at_most(splunkd: Splunkd, client: Client, clock: ManualClock) -> None:
    for number in range(130):
        splunkd.put({"search_name": f"r{number:03}"}, index="notable", time=splunkd.now() - number)
    clock.advance(1)
    assert client.get(FINDINGS, limit=101).status == 400
    pages = [client.get(FINDINGS, limit=50, offset=offset, sort="create_time:asc").json() for offset in (0, 50, 100)]
    titles = [one["rule_title"] for page in pages for one in page["items"]]
    assert titles == [f"r{number:03}" for number in reversed(range(130))]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("/servicesNS/nobody/missioncontrol/v1/investigations", {"assignee": "ana"}),
        ("/servicesNS/nobody/missioncontrol/public/v2/investigations", {"owner": "ana"}),
    ],
)
def test_a_finding_is_changed_by_either_version(
    splunkd: Splunkd, client: Client, notable: Event, path: str, change: dict[str, Any]
) -> None:
    name = splunkd.review.event_id(notable)
    reply = client.send(
        f"{path}/{name}?notable_time=1767614000", {"status": "5", "disposition": "disposition:1", **change}
    )
    assert (reply.status, reply.json()["status_label"]) == (200, "Closed")
    [row] = client.rows("| `incident_review`")
    assert (row["rule_id"], row["owner"], row["disposition"]) == (name, "ana", "disposition:1")
    assert client.get(FINDINGS, status="Closed").json()["total"] == 1
    assert client.get(FINDINGS, status="1").json()["total"] == 0
    assert client.send(f"{path}/{name}", {"status": "77"}).status == 400
    assert client.send(f"{path}/nosuch", {"status": "5"}).status == 404


def test_a_finding_that_is_created_twice_is_there_twice(client: Client, clock: ManualClock) -> None:
    made = [client.send(FINDINGS, NEW).json()["finding_id"] for _ in range(2)]
    clock.advance(1)
    assert {one["finding_id"] for one in client.get(FINDINGS).json()["items"]} == set(made)
    assert made[0].endswith("@@notable@@time1767614400")
    assert client.send(FINDINGS, {"rule_title": "t"}).status == 400


def test_notes_are_kept_with_a_finding(client: Client) -> None:
    path = "/servicesNS/nobody/missioncontrol/public/v2/investigations/x/notes"
    assert client.send(path, {"title": "t", "content": "c"}).status == 201
    assert [one["content"] for one in client.get(path).json()["items"]] == ["c"]
