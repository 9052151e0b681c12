"""SOARCA: playbooks that its executors carry out as CACAO means them, found by the key in their id, followed to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, PermanentError, TransientError
from connector.policy.playbooks import load_playbooks, read_playbook
from connector.resources import shipped
from connector.retries import retrying
from connector.soar.soarca import REPORTED, STATES, Soarca, SoarcaSettings
from connector.soar.soarca_playbook import CAPABILITIES, for_soarca
from connector.testing import examples
from connector.types import Action, Entity, RunRef
from tests.policy.hostile import HOSTILE, poisoned, shape
from tests.soar.soarca import TOKEN, SoarcaPlatform, carried_out, faults_of

replace = msgspec.structs.replace
ENTITY = Entity(host="host-1", user="user1", address="192.0.2.7", agent_id="agent-1")
ACTION = replace(examples.action(0), entity=ENTITY)
SHIPPED = load_playbooks(shipped("playbooks"))
NOTIFY = SHIPPED["notify-on-call"]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[SoarcaPlatform]:
    with SoarcaPlatform(tmp_path) as stood_up:
        yield stood_up


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that did not leave is not tried again."""
    monkeypatch.setattr("connector.soar.rest.retrying", lambda *_: retrying(0.0))


def soar(platform: SoarcaPlatform, later: timedelta = timedelta(0), **more: Any) -> Soarca:
    config = SoarcaSettings.model_validate({**platform.soar_config(), **more})
    return Soarca("lab", config, lambda: datetime.now(UTC) + later)


def filled(playbook: str = "notify-on-call", action: Action = ACTION) -> dict[str, Any]:
    """A shipped playbook for SOARCA, as it is sent."""
    made: dict[str, Any] = json.loads(msgspec.json.encode(for_soarca(SHIPPED[playbook], action, CAPABILITIES)))
    return made


def changed(path: str, value: Any, playbook: str = "notify-on-call") -> Any:
    """A shipped playbook with one value changed; the path goes through keys and numbers, ``*`` being any key."""
    tree = json.loads((shipped("playbooks") / f"{playbook}.json").read_bytes())
    node, parts = tree, path.split(".")
    for part in parts[:-1]:
        node = node[int(part)] if part.isdecimal() else next(iter(node.values())) if part == "*" else node[part]
    node[parts[-1]] = value
    return read_playbook(json.dumps(tree).encode(), "changed")


def test_a_playbook_goes_out_filled_with_the_key_in_its_id(platform: SoarcaPlatform) -> None:
    run = soar(platform).run(ACTION)
    (request,) = platform.asked
    sent = request.json()
    assert (request.url, request.headers["authorization"]) == ("/trigger/playbook", f"Bearer {TOKEN}")
    assert sent["id"] == f"playbook--{ACTION.key}"
    assert sent["derived_from"] == [NOTIFY.id]
    assert sent["playbook_variables"]["__host__"]["value"] == "host-1"
    assert sent["playbook_variables"]["__confidence__"] == {
        "type": "float",
        "description": "probability that the event is malicious",
        "constant": False,
        "external": True,
        "value": "0.970000",
    }
    assert run == RunRef(soar="lab", run_id=platform.reports[0]["execution_id"])


def test_the_capability_of_soarca_acts_and_the_agent_of_the_playbook_is_its_target() -> None:
    sent = filled()
    (step,) = [step for step in sent["workflow"].values() if step["type"] == "action"]
    assert sent["agent_definitions"] == {step["agent"]: {"type": "soarca", "name": "soarca-http-api"}}
    (target,) = step["targets"]
    assert sent["target_definitions"][target]["address"] == {"dname": ["oncall.example.com"]}
    assert sent["target_definitions"][target]["port"] == "443"


@pytest.mark.parametrize("playbook", SHIPPED)
def test_soarca_carries_out_every_command_of_every_shipped_playbook(playbook: str) -> None:
    sent = filled(playbook)
    assert list(faults_of(sent)) == []
    done = carried_out(sent)
    commands = [c for step in sent["workflow"].values() for c in step.get("commands", ())]
    assert len(done) == len(commands) > 0
    for one in done:
        if one.capability == "soarca-http-api":
            assert one.address.startswith("https://")
            assert one.address.partition(".example.com:443")[2].startswith("/api/v1/")
            assert one.headers["Idempotency-Key"] == [ACTION.key]
            assert isinstance(json.loads(one.content), dict)


def test_without_the_change_soarca_would_do_nothing_or_ask_the_wrong_address() -> None:
    """What the stand-in has of SOARCA's executors, and why a playbook is changed at all."""
    asis = json.loads((shipped("playbooks") / "notify-on-call.json").read_bytes())
    (key,) = asis["agent_definitions"]
    asis["agent_definitions"][key]["name"] = "soarca-http-api"
    assert carried_out(asis) == []
    asis["target_definitions"] = asis["agent_definitions"]
    next(step for step in asis["workflow"].values() if "commands" in step)["targets"] = [key]
    (sent,) = carried_out(asis)
    assert sent.address == "https://oncall.example.com"


def test_a_value_that_reads_as_a_variable_is_not_replaced_by_one() -> None:
    entity = replace(ENTITY, host="__user__:value", user='", "evil": "x')
    (sent,) = carried_out(filled(action=replace(ACTION, entity=entity)))
    told = json.loads(sent.content)["verdict"]
    assert (told["host"], told["user"]) == ("", '", "evil": "x')


def test_not_even_one_that_comes_to_be_where_json_is_decoded() -> None:
    entity = replace(ENTITY, host='{"a": "\\u005f_user__:value"}', user='", "evil": "x')
    playbook = changed("playbook_variables.__host__", {"type": "dictionary", "external": True, "value": "{}"})
    (sent,) = carried_out(for_soarca(playbook, replace(ACTION, entity=entity), CAPABILITIES))
    told = json.loads(sent.content)["verdict"]
    assert told["host"] == {}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_an_event_leaves_its_place_when_soarca_carries_the_playbook_out(value: str) -> None:
    (clean,) = carried_out(filled())
    action = replace(poisoned(ACTION, value), rule="example")  # of the policy, as the SIEM's name is of the settings
    source = replace(action.verdict.source, siem="example")
    sent = filled(action=replace(action, verdict=replace(action.verdict, source=source)))
    assert list(faults_of(sent)) == []
    (done,) = carried_out(sent)
    assert (done.capability, done.method, done.address) == (clean.capability, clean.method, clean.address)
    assert done.headers == clean.headers
    assert shape(json.loads(done.content)) == shape(json.loads(clean.content))
    assert len(json.dumps(sent)) < 1 << 18


def test_what_a_playbook_must_have_and_the_verdict_does_not_starts_nothing(platform: SoarcaPlatform) -> None:
    lab = soar(platform)
    with pytest.raises(PermanentError, match="__agent_id__"):
        lab.run(replace(ACTION, playbook="isolate-host", entity=Entity(host="h")))
    with pytest.raises(PermanentError, match=r"no playbook 'absent'; it has: .*notify-on-call"):
        lab.run(replace(ACTION, playbook="absent"))
    assert platform.asked == []


@pytest.mark.parametrize(
    ("url", "reached"),
    [
        ("https://a.example", "https://a.example:443/api/v1/notifications"),
        ("https://a.example:8443/", "https://a.example:8443/api/v1/notifications"),
        ("http://192.0.2.1:8080", "http://192.0.2.1:8080/api/v1/notifications"),
        ("http://a.example", "http://a.example:80/api/v1/notifications"),
        ("https://a.example/base", None),
        ("http://a.example:9000", None),
        ("https://a.example:8080", None),
        ("https://a.example:99999", None),
    ],
)
def test_an_address_reaches_what_it_names_or_is_refused(url: str, reached: str | None) -> None:
    playbook = changed("agent_definitions.*.address", {"url": [url]})
    if reached is None:
        with pytest.raises(PermanentError, match="SOARCA cannot reach"):
            for_soarca(playbook, ACTION, CAPABILITIES)
    else:
        (sent,) = carried_out(for_soarca(playbook, ACTION, CAPABILITIES))
        assert sent.address == reached


def test_a_fin_may_run_what_soarca_itself_does_not() -> None:
    command = {"type": "bash", "command": "true", "playbook_activity": "deliver-content"}
    steps = json.loads((shipped("playbooks") / "notify-on-call.json").read_bytes())["workflow"]
    key = next(key for key, step in steps.items() if "commands" in step)
    playbook = changed(f"workflow.{key}.commands", [command])
    with pytest.raises(PermanentError, match=r"type bash; SOARCA runs one type a step, of: http-api, manual"):
        for_soarca(playbook, ACTION, CAPABILITIES)
    sent = for_soarca(playbook, ACTION, {**CAPABILITIES, "bash": "my-fin"})
    assert [agent["name"] for agent in sent["agent_definitions"].values()] == ["my-fin"]


@pytest.mark.parametrize("id_name", ["execution_id", "run_id"])
def test_a_run_is_found_by_its_key_by_either_name_of_its_id(platform: SoarcaPlatform, id_name: str) -> None:
    platform.id_name = id_name
    lab = soar(platform)
    run = lab.run(ACTION)
    assert lab.find(ACTION.key) == run
    assert lab.find(examples.action(1).key) is None
    assert lab.status(run, ACTION).state == "succeeded"


@pytest.mark.parametrize(
    ("others", "hours", "is_held"),
    [(REPORTED - 1, 0, False), (REPORTED, 23, True), (REPORTED, 25, False)],
    ids=["all are reported", "pushed out", "pushed out long after"],
)
def test_a_run_whose_report_newer_ones_may_have_pushed_out_is_not_taken_for_none(
    platform: SoarcaPlatform, others: int, hours: int, is_held: bool
) -> None:
    lab = soar(platform, later=timedelta(hours=hours))
    for number in range(1, others + 1):
        lab.run(examples.action(number))
    if is_held:
        with pytest.raises(PermanentError, match="look there for " + ACTION.key):
            lab.find(ACTION.key)
    else:
        assert lab.find(ACTION.key) is None
    assert lab.find(examples.action(others).key) is not None


def test_after_a_lost_answer_the_run_is_found(platform: SoarcaPlatform) -> None:
    platform.lose_answers()
    with pytest.raises(TransientError) as caught:
        soar(platform).run(ACTION)
    assert caught.value.sent
    found = soar(platform).find(ACTION.key)
    assert found is not None
    assert found.run_id == platform.reports[0]["execution_id"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "error", "is_sent"),
    [
        (400, PermanentError, None),
        (401, ConfigError, None),
        (408, TransientError, True),  # the trigger's own: it may have begun
        (429, TransientError, False),
        (500, TransientError, True),
    ],
)
def test_each_refusal_has_one_meaning(
    platform: SoarcaPlatform, status: int, error: type[Exception], is_sent: bool | None
) -> None:
    platform.refuse(1, status)
    with pytest.raises(error) as caught:
        soar(platform).run(ACTION)
    assert getattr(caught.value, "sent", None) is is_sent
    assert TOKEN not in str(caught.value)


def test_a_run_is_followed_to_its_end_and_past_its_time(platform: SoarcaPlatform) -> None:
    lab = soar(platform)
    run = lab.run(ACTION)
    platform.outcome = "running"
    assert lab.status(run, ACTION).state == "running"
    late = soar(platform, timedelta(days=1, seconds=5)).status(run, ACTION)
    assert late.state == "timed_out"
    assert late.detail.startswith("no end within 1 day, 0:00:00: ongoing: playbook: ongoing")
    for outcome in ("succeeded", "failed", "timed_out"):
        platform.outcome = outcome
        assert lab.status(run, ACTION).state == outcome
    detail = lab.status(run, ACTION).detail
    assert detail.endswith("; Send the notification: timeout_error: this step: timeout_error")


def test_a_report_may_come_late_and_one_that_was_pushed_out_leaves_the_outcome_unknown(
    platform: SoarcaPlatform,
) -> None:
    now = datetime.now(UTC)
    lab = Soarca("lab", SoarcaSettings.model_validate(platform.soar_config()), lambda: now)
    run = lab.run(ACTION)
    platform.forget()
    assert lab.status(run, ACTION).state == "running"
    now += timedelta(seconds=1)
    with pytest.raises(PermanentError, match=r"outcome unknown: .* MAX_EXECUTIONS"):
        lab.status(run, ACTION)


def test_every_status_of_the_vocabulary_is_known() -> None:
    assert set(STATES) == {
        "successfully_executed",
        "failed",
        "ongoing",
        "server_side_error",
        "client_side_error",
        "timeout_error",
        "exception_condition_error",
        "await_user_input",
    }


def test_a_soarca_without_authentication_is_asked_without_a_token() -> None:
    lab = Soarca("lab", SoarcaSettings(url="https://soarca.example"), lambda: datetime.now(UTC))
    assert "Authorization" not in lab._rest._headers
