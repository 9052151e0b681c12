"""Cortex XSOAR 6 and 8: the incident that a run is, found before it is made twice, and followed to its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from connector import identity
from connector.errors import ConfigError, PermanentError, TransientError
from connector.soar.xsoar import SEVERITY, Xsoar, XsoarSettings, plugin
from connector.testing import check_soar, examples
from connector.types import Entity, RunRef
from tests.policy.hostile import CANARY, HOSTILE, poisoned, shape
from tests.soar.xsoar import KEY as SECRET, KEY_ID, Xsoar8Platform, XsoarPlatform
from tests.splunkd.wire import Answer

replace = msgspec.structs.replace
ENTITY = Entity(host="host-1", user="user1", address="192.0.2.7", agent_id="agent-1")
ACTION = replace(examples.action(0), entity=ENTITY)
KEY = ACTION.key


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[XsoarPlatform]:
    with XsoarPlatform(tmp_path) as stood_up:
        yield stood_up


@pytest.fixture
def eight(tmp_path: Path) -> Iterator[Xsoar8Platform]:
    with Xsoar8Platform(tmp_path) as stood_up:
        yield stood_up


def soar(platform: XsoarPlatform, later: timedelta = timedelta(0), **more: Any) -> Xsoar:
    """The adapter with these settings; one a platform, since each reads the system's certificates."""
    made = platform.__dict__.setdefault("adapters", {})
    key = f"{later} {more}"
    if key not in made:
        config = XsoarSettings.model_validate({**platform.soar_config(), **more})
        made[key] = Xsoar("lab", config, lambda: datetime.now(UTC) + later)
    found: Xsoar = made[key]
    return found


def sent(platform: XsoarPlatform, place: str = "/incident") -> list[Any]:
    return [one.json() for one in platform.asked if one.path == platform.prefix + place]


def test_an_incident_carries_the_key_the_playbook_and_the_verdict(platform: XsoarPlatform) -> None:
    assert soar(platform).run(ACTION) == RunRef(soar="lab", run_id="1")
    (search,) = sent(platform, "/incidents/search")
    query = f'triagedactionkey:"{KEY}"'
    sort = [{"field": "created", "asc": True}]
    assert search == {"filter": {"query": query, "sort": sort, "page": 0, "size": 10}}
    (incident,) = sent(platform)
    raw = json.loads(incident.pop("rawJSON"))
    assert incident == {
        "name": "Triaged: malicious, T1059, T1059.001 on host-1",
        "type": "Unclassified",
        "severity": 3,
        "details": "Rule example of Triaged asks for notify-on-call.",
        "labels": [
            {"type": "key", "value": KEY},
            {"type": "rule", "value": "example"},
            {"type": "playbook", "value": "notify-on-call"},
            {"type": "tier", "value": "note"},
            {"type": "host", "value": "host-1"},
            {"type": "user", "value": "user1"},
            {"type": "address", "value": "192.0.2.7"},
            {"type": "agent_id", "value": "agent-1"},
            {"type": "techniques", "value": "T1059, T1059.001"},
        ],
        "customFields": {"triagedactionkey": KEY},
        "playbookId": "Notify",
        "createInvestigation": True,
    }
    assert raw["verdict"]["triaged"]["verdict"] == "malicious"
    assert {one.headers["authorization"] for one in platform.asked} == {SECRET}


def test_version_8_is_asked_below_its_prefix_and_an_advanced_key_never_travels(eight: Xsoar8Platform) -> None:
    run = soar(eight).run(ACTION)
    assert [one.path for one in eight.asked] == [
        "/xsoar/public/v1/incidents/search",
        "/xsoar/public/v1/incident",
    ]
    assert len(eight.nonces) == 2
    assert {len(nonce) for nonce in eight.nonces} == {64}
    assert not any(SECRET in str(one.headers) for one in eight.asked)
    assert soar(eight).status(run, ACTION).state == "succeeded"
    with pytest.raises(ConfigError, match="Public API request unauthorized"):
        soar(eight, advanced=False).run(ACTION)
    assert eight.asked[-1].headers["authorization"] == SECRET
    assert eight.asked[-1].headers["x-xdr-auth-id"] == str(KEY_ID)


def test_version_8_keeps_the_contract(tmp_path: Path) -> None:
    check_soar(replace(plugin, testbed="tests.soar.xsoar:Xsoar8Platform"), tmp_path)


def test_an_incident_that_is_there_is_not_made_again(platform: XsoarPlatform) -> None:
    platform.lose_answers()
    with pytest.raises(TransientError) as lost:
        soar(platform).run(ACTION)
    assert lost.value.sent
    platform.settle()
    assert soar(platform).run(ACTION) == soar(platform).find(KEY) == RunRef(soar="lab", run_id="1")
    assert platform.runs() == {KEY: 1}


def test_of_two_incidents_the_oldest_is_the_run_and_one_of_a_like_key_is_none(platform: XsoarPlatform) -> None:
    platform.delay = 60
    soar(platform).run(ACTION)
    soar(platform).run(ACTION)  # not indexed yet: what index_delay is for
    platform.settle()
    assert soar(platform).find(KEY) == RunRef(soar="lab", run_id="1")
    platform.incidents[0]["CustomFields"]["triagedactionkey"] = KEY.upper()
    assert soar(platform).find(KEY) == RunRef(soar="lab", run_id="2")


def test_a_key_is_quoted_in_the_query(platform: XsoarPlatform) -> None:
    odd = 'x" OR name:"*\\'
    assert soar(platform).find(odd) is None
    soar(platform).run(replace(ACTION, key=odd))
    platform.settle()
    assert soar(platform).find(odd) == RunRef(soar="lab", run_id="1")


def test_a_search_that_gets_no_answer_starts_nothing(platform: XsoarPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "starts", lambda request: request.path == "/incidents/search")
    platform.refuse(2)
    for call in (lambda: soar(platform).run(ACTION), lambda: soar(platform).find(KEY)):
        with pytest.raises(TransientError) as lost:
            call()
        assert not lost.value.sent
    assert platform.incidents == []


def test_where_the_field_is_not_defined_the_second_run_is_refused_with_what_to_do(platform: XsoarPlatform) -> None:
    platform.fields = set()
    one = soar(platform)
    assert one.run(ACTION).run_id == "1"
    with pytest.raises(ConfigError, match=r"'triagedactionkey'.*define it"):
        one.run(replace(ACTION, key=identity.action_key("e", "other")))
    with pytest.raises(ConfigError):
        one.find(KEY)
    assert len(platform.incidents) == 1
    platform.shown = {"CustomFields": {"triagedactionkey": KEY}}
    one.status(RunRef(soar="lab", run_id="1"), ACTION)
    assert one.find("other") is None
    platform.shown = {"CustomFields": None}
    one.status(RunRef(soar="lab", run_id="1"), ACTION)
    with pytest.raises(ConfigError):
        one.find(KEY)


@pytest.mark.parametrize(
    ("incident", "state", "detail"),
    [
        ({"runStatus": ""}, "running", "playbook not begun"),
        ({"runStatus": "waiting"}, "running", "playbook waiting"),
        ({"runStatus": "completed"}, "succeeded", "playbook completed"),
        ({"runStatus": "error"}, "failed", "playbook error"),
        (
            {"runStatus": "completed", "status": 2, "closeReason": "Resolved", "closeNotes": "two\nlines"},
            "succeeded",
            "playbook completed; closed as Resolved: two lines",
        ),
        (
            {"runStatus": "waiting", "status": 2, "closeReason": "False Positive", "closed": "2026-01-01T00:00:00Z"},
            "failed",
            "playbook waiting; closed as False Positive",
        ),
        ({"runStatus": "running", "status": 2, "closed": "now"}, "running", "playbook running; closed as nothing"),
        ({"runStatus": "running", "status": 3, "closed": "0001-01-01T00:00:00Z"}, "failed", None),
    ],
)
def test_a_run_ends_with_its_playbook_or_when_its_incident_is_closed_before(
    platform: XsoarPlatform, incident: dict[str, Any], state: str, detail: str | None
) -> None:
    run = soar(platform).run(ACTION)
    if incident.get("closed") == "now":
        incident = {**incident, "closed": datetime.now(UTC).isoformat()}
    platform.shown = incident
    told = soar(platform).status(run, ACTION)
    assert told.state == state
    assert detail is None or told.detail == detail
    assert sent(platform, "/incidents/search")[-1] == {"filter": {"id": ["1"], "page": 0, "size": 10}}


def test_a_run_without_an_end_times_out(platform: XsoarPlatform) -> None:
    run = soar(platform, playbooks={"notify-on-call": "Unknown"}).run(ACTION)
    assert soar(platform, later=timedelta(minutes=59)).status(run, ACTION).state == "running"
    told = soar(platform, later=timedelta(minutes=61)).status(run, ACTION)
    assert (told.state, told.detail) == ("timed_out", "no end within 1:00:00: playbook not begun")
    with pytest.raises(PermanentError, match="no incident '99'"):
        soar(platform).status(RunRef(soar="lab", run_id="99"), ACTION)


def test_how_another_incident_stands_is_not_how_the_run_does(platform: XsoarPlatform) -> None:
    run = soar(platform).run(ACTION)
    platform.shown = {"id": "another"}
    with pytest.raises(TransientError, match=r"asked for incident '1', and told of others") as caught:
        soar(platform).status(run, ACTION)
    assert not caught.value.sent


@pytest.mark.parametrize(
    ("status", "kind", "doubt"),
    [(401, ConfigError, None), (403, ConfigError, None), (303, TransientError, True), (404, PermanentError, None),
     (400, PermanentError, None), (500, TransientError, True), (502, TransientError, True)],
)  # fmt: skip
def test_each_status_of_a_start_has_one_meaning(
    platform: XsoarPlatform, status: int, kind: type[Exception], doubt: bool | None
) -> None:
    platform.refuse(1, status)
    with pytest.raises(kind) as caught:
        soar(platform).run(ACTION)
    assert getattr(caught.value, "sent", None) is doubt
    assert SECRET not in str(caught.value)
    assert platform.runs() == {}


ODD = ["null", "[]", "7", '"x"', '{"id": 7}', '{"data": [7]}', '{"data": [{"id": 7}]}', "<html>", ""]
ODD += ['{"id": ""}', '{"data": [{"id": ""}]}']


def test_an_answer_of_another_shape_is_an_error_of_ours_and_leaves_a_start_in_doubt(
    platform: XsoarPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, search = soar(platform), platform.serve
    for text in ODD:
        odd = Answer(text.encode())
        monkeypatch.setattr(platform, "serve", lambda _, odd=odd: odd)
        for call in (lambda: one.find(KEY), lambda: one.status(RunRef(soar="lab", run_id="1"), ACTION)):
            if text in {'{"id": 7}', '{"id": ""}'}:
                continue  # an object without data finds nothing
            with pytest.raises(TransientError) as caught:
                call()
            assert not caught.value.sent
        monkeypatch.setattr(platform, "serve", lambda r, odd=odd: odd if platform.starts(r) else search(r))
        with pytest.raises(TransientError) as caught:
            one.run(ACTION)
        assert caught.value.sent


def test_a_bad_key_is_a_persons_to_change_and_an_unknown_playbook_names_the_known(platform: XsoarPlatform) -> None:
    with pytest.raises(ConfigError, match=r"Issue with CSRF code.*check the credentials"):
        soar(platform, api_key="another").run(ACTION)
    with pytest.raises(PermanentError, match="has: isolate-host"):
        soar(platform, playbooks={"isolate-host": "x"}).run(ACTION)
    with pytest.raises(ValidationError, match="api_key_id"):
        soar(platform, advanced=True)
    with pytest.raises(ValidationError):
        soar(platform, field='x" OR y:"')
    assert SECRET not in repr(XsoarSettings.model_validate(platform.soar_config()))


def test_a_hostile_value_stays_a_value_and_however_long_it_is_the_playbook_runs(platform: XsoarPlatform) -> None:
    starter = soar(platform)
    shapes = set()
    for name, value in HOSTILE.items():
        platform.asked.clear()
        action = replace(poisoned(ACTION, value), key=identity.action_key(name, "r"))
        starter.run(replace(action, rule="example", entity=replace(ENTITY, host=value or "h", agent_id=value or "a")))
        (incident,) = sent(platform)
        shapes.add(json.dumps([shape(incident), [label["type"] for label in incident["labels"]]]))
        assert incident["name"].isprintable(), name
        json.loads(incident["rawJSON"])
        for request in platform.asked:
            assert request.url in {"/incidents/search", "/incident"}, name
            assert CANARY not in str(request.headers).lower(), name
            assert len(request.body) < 1 << 20, name
        assert platform.runs()[action.key] == 1
    assert len(shapes) == 1


def test_every_verdict_has_a_severity() -> None:
    assert set(SEVERITY) == {"malicious", "suspicious", "benign", "abstain"}
