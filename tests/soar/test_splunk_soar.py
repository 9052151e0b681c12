"""Splunk SOAR: requests as its REST reference has them, and what a run without a key of its own comes to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector import identity
from connector.errors import ConfigError, PermanentError, TransientError
from connector.soar.splunk_soar import SEVERITY, STATES, SplunkSoar, SplunkSoarSettings, plugin
from connector.testing import check_soar, examples
from connector.types import Entity, RunRef
from tests.policy.hostile import CANARY, HOSTILE, poisoned, shape
from tests.soar.splunk_soar import TOKEN, AutomationPlatform, SplunkSoarPlatform, failed
from tests.splunkd.wire import Answer

replace = msgspec.structs.replace
ENTITY = Entity(host="host-1", user="user1", address="192.0.2.7", agent_id="agent-1")
ACTION = replace(examples.action(0), entity=ENTITY)
KEY = ACTION.key


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SplunkSoarPlatform]:
    with SplunkSoarPlatform(tmp_path) as stood_up:
        yield stood_up


@pytest.fixture
def automation(tmp_path: Path) -> Iterator[AutomationPlatform]:
    with AutomationPlatform(tmp_path) as stood_up:
        yield stood_up


def soar(platform: SplunkSoarPlatform, later: timedelta = timedelta(0), **more: Any) -> SplunkSoar:
    """The adapter with these settings; one a platform, since each reads the system's certificates."""
    made = platform.__dict__.setdefault("adapters", {})
    key = f"{later} {more}"
    if key not in made:
        config = SplunkSoarSettings.model_validate({**platform.soar_config(), **more})
        made[key] = SplunkSoar("lab", config, lambda: datetime.now(UTC) + later)
    found: SplunkSoar = made[key]
    return found


def doubt(call: Callable[[], object]) -> bool | None:
    """Whether a call left it open what has started; None where it was answered."""
    try:
        call()
    except TransientError as error:
        return error.sent
    return None


def sent(platform: SplunkSoarPlatform, kind: str) -> list[Any]:
    return [one.json() for one in platform.asked if one.method == "POST" and one.path == f"/rest/{kind}"]


def test_a_container_carries_the_key_the_verdict_and_artifacts_that_start_nothing(platform: SplunkSoarPlatform) -> None:
    soar(platform).run(ACTION)
    (container,) = sent(platform, "container")
    data, artifacts = container.pop("data"), container.pop("artifacts")
    assert container == {
        "name": "Triaged: malicious, T1059, T1059.001 on host-1",
        "description": "Rule example of Triaged asks for notify-on-call.",
        "label": "events",
        "severity": "high",
        "source_data_identifier": KEY,
        "tags": ["triaged"],
        "run_automation": False,
    }
    assert data["action"] == {"key": KEY, "rule": "example", "playbook": "notify-on-call", "tier": "note"}
    assert data["verdict"]["triaged"]["verdict"] == "malicious"
    common = {"label": "event", "type": "triaged", "severity": "high", "run_automation": False}
    assert artifacts == [
        {
            **common,
            "name": "Triaged verdict",
            "source_data_identifier": f"{KEY}:verdict",
            "cef": {
                "externalId": ACTION.verdict.event_id,
                "cat": "malicious",
                "confidence": 0.97,
                "techniques": "T1059, T1059.001",
                "policyRule": "example",
                "actionKey": KEY,
            },
            "cef_types": {},
        },
        {
            **common,
            "name": "Triaged host",
            "source_data_identifier": f"{KEY}:host",
            "cef": {"destinationHostName": "host-1", "deviceExternalId": "agent-1"},
            "cef_types": {"destinationHostName": ["host name"]},
        },
        {
            **common,
            "name": "Triaged user",
            "source_data_identifier": f"{KEY}:user",
            "cef": {"destinationUserName": "user1"},
            "cef_types": {"destinationUserName": ["user name"]},
        },
        {
            **common,
            "name": "Triaged address",
            "source_data_identifier": f"{KEY}:address",
            "cef": {"sourceAddress": "192.0.2.7"},
            "cef_types": {"sourceAddress": ["ip"]},
        },
    ]


def test_a_playbook_is_started_by_name_or_number_on_all_artifacts(platform: SplunkSoarPlatform) -> None:
    run = soar(platform).run(ACTION)
    soar(platform, playbooks={"notify-on-call": "7"}).run(replace(ACTION, key=identity.action_key("e", "other")))
    first, second = sent(platform, "playbook_run")
    assert first == {"container_id": 1, "playbook_id": "local/notify", "scope": "all", "run": True}
    assert second == {**first, "container_id": 2, "playbook_id": 7}
    assert run == RunRef(soar="lab", run_id="1")
    assert {one.headers["ph-auth-token"] for one in platform.asked} == {TOKEN}


def test_where_nobody_of_ours_starts_it_a_run_is_the_container_and_its_runs_are_followed(
    automation: AutomationPlatform,
) -> None:
    starter = soar(automation)
    assert starter.uniqueness == "key"
    run = starter.run(ACTION)
    assert run.run_id == "container-1"
    (container,) = sent(automation, "container")
    assert container["label"] == "notify"
    assert not any("run_automation" in part for part in [container, *container["artifacts"]])
    automation.outcome = "running"
    assert starter.status(run, ACTION).state == "running"
    automation.outcome = "failed"
    assert starter.status(run, ACTION).state == "failed"
    check_soar(
        msgspec.structs.replace(plugin, testbed="tests.soar.splunk_soar:AutomationPlatform"), automation.directory
    )


def test_a_lost_container_starts_nothing_twice_where_the_platform_starts_playbooks(
    automation: AutomationPlatform,
) -> None:
    automation.lose_answers()
    with pytest.raises(TransientError) as lost:
        soar(automation).run(ACTION)
    assert lost.value.sent
    assert soar(automation).run(ACTION) == soar(automation).find(KEY) == RunRef(soar="lab", run_id="container-1")
    assert automation.runs() == {KEY: 1}


def test_a_lost_start_is_found_by_its_container_and_a_lost_container_is_no_start(platform: SplunkSoarPlatform) -> None:
    platform.lose_answers()
    with pytest.raises(TransientError) as lost:
        soar(platform).run(ACTION)
    assert lost.value.sent
    soar(platform).run(replace(ACTION, key=identity.action_key("e", "between")))
    somebody = {"container_id": 1, "playbook_id": 7, "scope": "all", "run": True}
    soar(platform)._rest.raw("POST", "/rest/playbook_run", json.dumps(somebody).encode())
    assert soar(platform).find(KEY) == RunRef(soar="lab", run_id="1")
    platform.starts = lambda request: request.path == "/rest/container" and request.method == "POST"  # type: ignore[method-assign]
    platform.lose_answers()
    other = replace(ACTION, key=identity.action_key("e", "other"))
    with pytest.raises(TransientError) as lost:
        soar(platform).run(other)
    assert not lost.value.sent
    assert soar(platform).find(other.key) is None
    soar(platform).run(other)
    assert platform.runs()[other.key] == 1
    assert len(platform.containers) == 3


def test_a_container_that_is_there_is_known_whatever_the_status_that_says_so(
    platform: SplunkSoarPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = failed("duplicate", 200, existing_container_id=42)
    monkeypatch.setattr(platform, "serve", lambda _: told)
    assert soar(platform, start="automation").run(ACTION).run_id == "container-42"


def test_artifacts_that_a_cut_off_container_lacks_are_sent_and_the_others_are_not(platform: SplunkSoarPlatform) -> None:
    soar(platform).run(ACTION)
    del platform.artifacts[2:]
    soar(platform).run(ACTION)
    identifiers = [one["source_data_identifier"] for one in platform.artifacts]
    assert identifiers == [f"{KEY}:{kind}" for kind in ("verdict", "host", "user", "address")]
    assert {one["run_automation"] for one in platform.artifacts} == {False}
    assert {one["container"] for one in platform.artifacts} == {1}


@pytest.mark.parametrize("word", STATES)
def test_each_status_word_has_a_state_and_the_run_tells_its_own_words(platform: SplunkSoarPlatform, word: str) -> None:
    run = soar(platform).run(ACTION)
    platform.said = word
    platform.words = json.dumps({"message": "two of three actions", "result": []})
    told = soar(platform).status(run, ACTION)
    assert (told.state, told.detail) == (STATES[word], f"{word}: two of three actions")


def test_a_run_without_an_end_times_out_and_an_unknown_word_is_not_an_end(platform: SplunkSoarPlatform) -> None:
    run = soar(platform).run(ACTION)
    platform.said, platform.words = "paused", None
    assert soar(platform).status(run, ACTION).state == "running"
    told = soar(platform, later=timedelta(minutes=61)).status(run, ACTION)
    assert (told.state, told.detail) == ("timed_out", "no end within 1:00:00: paused")
    platform.said = "success"
    assert soar(platform, later=timedelta(minutes=61)).status(run, ACTION).state == "succeeded"


def test_a_container_on_which_no_playbook_begins_times_out(automation: AutomationPlatform) -> None:
    automation.active = {}
    run = soar(automation).run(ACTION)
    assert soar(automation).status(run, ACTION).state == "running"
    told = soar(automation, later=timedelta(hours=2)).status(run, ACTION)
    assert told.state == "timed_out"
    assert "no active playbook" in told.detail


def test_what_a_person_must_change_and_what_can_never_work_are_told_apart(platform: SplunkSoarPlatform) -> None:
    with pytest.raises(ConfigError, match="Invalid token"):
        soar(platform, token="another").run(ACTION)
    with pytest.raises(PermanentError, match="label other does not exist"):
        soar(platform, label="other").run(ACTION)
    with pytest.raises(PermanentError, match=r"Playbook .*local/gone.* not found"):
        soar(platform, playbooks={"notify-on-call": "local/gone"}).run(ACTION)
    with pytest.raises(PermanentError, match="has: isolate-host"):
        soar(platform, playbooks={"isolate-host": "local/x"}).run(ACTION)
    with pytest.raises(PermanentError, match="not found"):
        soar(platform).status(RunRef(soar="lab", run_id="99"), ACTION)
    assert platform.runs() == {}


@pytest.mark.parametrize(
    ("status", "kind", "doubt"),
    [(401, ConfigError, None), (403, ConfigError, None), (302, TransientError, True), (404, PermanentError, None),
     (400, PermanentError, None), (500, TransientError, True), (503, TransientError, True)],
)  # fmt: skip
def test_each_status_of_a_start_has_one_meaning(
    platform: SplunkSoarPlatform, status: int, kind: type[Exception], doubt: bool | None
) -> None:
    platform.refuse(1, status)
    with pytest.raises(kind) as caught:
        soar(platform).run(ACTION)
    assert getattr(caught.value, "sent", None) is doubt
    assert platform.runs() == {}


def test_a_failure_with_a_good_status_is_a_failure(
    platform: SplunkSoarPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = failed("User is inactive", 200)
    monkeypatch.setattr(platform, "serve", lambda _: answer)
    with pytest.raises(PermanentError, match="User is inactive"):
        soar(platform).run(ACTION)


ODD = ["null", "[]", "7", '"x"', '{"id": "seven"}', '{"data": [7]}', "{}", "<html>", ""]


@pytest.mark.parametrize("start", ["playbook", "automation"])
def test_an_answer_of_another_shape_is_an_error_of_ours_and_leaves_a_start_in_doubt(
    platform: SplunkSoarPlatform, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    one = soar(platform, start=start)
    run, container = RunRef(soar="lab", run_id="1"), RunRef(soar="lab", run_id="container-1")
    for text in ODD:
        monkeypatch.setattr(platform, "serve", lambda _, text=text: Answer(text.encode()))
        for call in (lambda: one.status(run, ACTION), lambda: one.status(container, ACTION), lambda: one.find(KEY)):
            assert doubt(call) is not True, text
        assert doubt(lambda: one.run(ACTION)) is (start == "automation"), text
    monkeypatch.setattr(platform, "serve", lambda _: Answer(b"<html>", 400))
    with pytest.raises(PermanentError, match="HTTP 400 <html>"):
        one.run(ACTION)


def test_the_token_is_in_no_error_and_in_no_text_of_the_settings(platform: SplunkSoarPlatform) -> None:
    config = SplunkSoarSettings.model_validate(platform.soar_config())
    assert TOKEN not in f"{config!r} {config.model_dump_json()}"
    platform.refuse(1, 500)
    with pytest.raises(TransientError) as caught:
        soar(platform).run(ACTION)
    assert TOKEN not in str(caught.value)


def test_a_hostile_value_stays_a_value_and_however_long_it_is_the_playbook_runs(platform: SplunkSoarPlatform) -> None:
    starter = soar(platform)
    shapes = set()
    for name, value in HOSTILE.items():
        platform.asked.clear()
        action = replace(poisoned(ACTION, value), key=identity.action_key(name, "r"))
        starter.run(replace(action, entity=replace(action.entity, host=value or "h")))
        (container,) = sent(platform, "container")
        shapes.add(json.dumps(shape([container[part] for part in ("artifacts", "tags", "label", "name")])))
        assert "Triaged address" not in {one["name"] for one in container["artifacts"]}, name
        assert container["name"].isprintable(), name
        assert container["source_data_identifier"] == action.key
        for request in platform.asked:
            assert request.url in {"/rest/container", "/rest/playbook_run"}, name
            assert CANARY not in str(request.headers).lower(), name
            assert len(request.body) < 1 << 20, name
        assert platform.runs()[action.key] == 1
    assert len(shapes) <= 2  # with a user, and with an empty one


def test_every_verdict_has_a_severity() -> None:
    assert set(SEVERITY) == {"malicious", "suspicious", "benign", "abstain"}
