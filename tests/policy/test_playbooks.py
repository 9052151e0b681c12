import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError, PermanentError
from connector.policy.cacao import CONTAINING
from connector.policy.playbooks import load_playbooks, read_playbook
from connector.policy.render import RenderedStep, render
from connector.policy.variables import SOURCES, TYPES, fits
from connector.types import Action, Entity
from tests.policy.cases import LOADED, PLAYBOOKS, altered, contain, event, policy, prediction, proposed

Edit = Callable[[dict[str, Any]], None]
ISOLATE = json.loads((PLAYBOOKS / "isolate-host.json").read_text())
START, FIRST, SECOND, END = ISOLATE["workflow"]
EDR, DUTY = ISOLATE["agent_definitions"]


def edited(edit: Edit) -> bytes:
    playbook = json.loads(json.dumps(ISOLATE))
    edit(playbook)
    return json.dumps(playbook).encode()


def step(**changes: Any) -> Edit:
    return lambda playbook: playbook["workflow"][FIRST].update(changes)


def drop(*path: str) -> Edit:
    def edit(playbook: dict[str, Any]) -> None:
        for key in path[:-1]:
            playbook = playbook[key]
        del playbook[path[-1]]

    return edit


def command(**changes: Any) -> Edit:
    return lambda playbook: playbook["workflow"][FIRST]["commands"][0].update(changes)


def variable(name: str, **fields: Any) -> Edit:
    return lambda playbook: playbook["playbook_variables"].update({name: {"type": "string", **fields}})


def renamed(old: str, new: str) -> Edit:
    def edit(playbook: dict[str, Any]) -> None:
        text = json.dumps(playbook).replace(old, new)
        playbook.clear()
        playbook.update(json.loads(text))

    return edit


CONDITION = "if-condition--00000000-0000-4000-8000-000000000001"
UNKNOWN = "action--00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("edit", "where", "what"),
    [
        (drop("created_by"), "", "created_by"),
        (lambda p: p.update(spec_version="cacao-1.1"), "$.spec_version", "cacao-1.1"),
        (lambda p: p.update(surprise=1), "", "surprise"),
        (lambda p: p.update(id="isolate"), "$.id", ""),
        (lambda p: p.update(id=ISOLATE["id"].replace("playbook", "action")), "id", "playbook--"),
        (lambda p: p.update(modified="2020-01-01T00:00:00.000Z"), "modified", "earlier"),
        (lambda p: p.update(created="2020-01-01T00:00:00Z"), "created", "millisecond"),
        (lambda p: p.update(created="yesterday"), "$.created", ""),
        (lambda p: p.update(priority=101), "$.priority", ""),
        (lambda p: p.update(playbook_activities=[]), "playbook_activities", "at least one"),
        (lambda p: p.update(playbook_activities=["map-network"]), "playbook_activities", "map-network"),
        (lambda p: p["agent_definitions"][EDR].update(type=["group"]), f"agent_definitions.{EDR}", "type"),
        (lambda p: p.update(workflow_start=END), "workflow_start", "not a start step"),
        (lambda p: p.update(workflow_exception=UNKNOWN), "workflow_exception", UNKNOWN),
        (step(on_completion=UNKNOWN), f"workflow.{FIRST}.on_completion", "not a step"),
        (step(on_completion=END), f"workflow.{SECOND}", "cannot be reached"),
        (step(on_completion=FIRST), "workflow", "loop"),
        (step(on_success=END), f"workflow.{FIRST}", "excludes"),
        (drop("workflow", FIRST, "on_completion"), f"workflow.{FIRST}", "needs on_completion"),
        (lambda p: p["workflow"][END].update(on_completion=FIRST), f"workflow.{END}", "leads nowhere"),
        (lambda p: p["workflow"][START].update(on_failure=END), f"workflow.{START}", "on_completion"),
        (step(agent=EDR[:-1] + "0"), f"workflow.{FIRST}.agent", "agent_definitions"),
        (step(targets=[EDR]), f"workflow.{FIRST}.targets", "target_definitions"),
        (step(commands=[]), f"in workflow.{FIRST}", "commands"),
        (step(comands=[]), f"in workflow.{FIRST}", "comands"),
        (step(type="end"), f"in workflow.{FIRST}", ""),
        (step(type="magic"), f"in workflow.{FIRST}", "magic"),
        (drop("workflow", FIRST, "agent"), f"in workflow.{FIRST}", "agent"),
        (step(in_args=["__nobody__"]), f"workflow.{FIRST}", "__nobody__ is not declared"),
        (drop("agent_definitions", EDR, "name"), f"agent_definitions.{EDR}", "name"),
        (drop("agent_definitions", EDR, "address"), f"agent_definitions.{EDR}", "address"),
        (lambda p: p["agent_definitions"][EDR].update(type="group"), f"agent_definitions.{EDR}", "type"),
        (renamed(FIRST, "action--" + DUTY.split("--")[1]), "uuid", "used by 2"),
        (renamed(FIRST, "action--6ba7b810-9dad-11d1-80b4-00c04fd430c8"), "workflow.action--6ba7b810", "UUIDv4"),
        (command(type="caldera-cmd"), f"workflow.{FIRST}.commands[0]", "caldera-cmd"),
        (command(type=["http-api"]), f"workflow.{FIRST}.commands[0]", "http-api"),
        (command(shell=True), f"workflow.{FIRST}.commands[0]", "shell"),
        (command(headers={"A": "b"}), f"workflow.{FIRST}.commands[0].headers", "list of strings"),
        (command(content=7), f"workflow.{FIRST}.commands[0].content", "string"),
        (command(type="openc2-http", shell=1), f"workflow.{FIRST}.commands[0]", "shell"),
        (command(command="POST /hosts/__host__:value/isolate HTTP/1.1"), "commands[0].command", "stand alone"),
        (command(content='{"text": "host __host__:value is cut off"}'), "commands[0].content.text", "stand alone"),
        (command(content="host=__host__:value"), "commands[0].content", "stand alone"),
        (command(content='{"__host__:value": 1}'), "commands[0].content", "stand alone"),
        (command(content='{"x": "__nobody__:value"}'), "commands[0].content.x", "not declared"),
        (command(headers={"X-Host": ["h:__host__:value"]}), "commands[0].headers.X-Host[0]", "stand alone"),
        (lambda p: p["agent_definitions"][EDR].update(name="at __host__:value"), "agent_definitions", "stand alone"),
        (variable("host"), "", "host"),
        (variable("__x__", type="list", value="a"), "playbook_variables.__x__", "no variable type"),
        (variable("__x__", type="integer", value="seven"), "playbook_variables.__x__", "not of type"),
        (variable("__x__"), "playbook_variables.__x__", "needs a value"),
        (variable("__x__", external=True), "playbook_variables.__x__", "no verdict fills it"),
        (step(step_variables={"__x__": {"type": "string", "external": True}}), "step_variables.__x__", "external"),
    ],
)
def test_a_broken_rule_is_named_with_its_place(edit: Edit, where: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_playbook(edited(edit), "isolate-host.json")
    message = str(caught.value)
    assert "isolate-host.json" in message
    assert any(where in line and what in line for line in message.splitlines()), message


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_playbook_altered_anywhere_is_sound_or_refused_with_a_reason(data: st.DataObject) -> None:
    playbook = json.loads(json.dumps(ISOLATE))
    altered(playbook, data)
    with suppress(ConfigError, PermanentError):
        sound = read_playbook(json.dumps(playbook).encode(), "isolate-host.json")
        assert render(sound, isolate())[0].type == "start"


def test_all_broken_rules_are_told_at_once() -> None:
    def edit(playbook: dict[str, Any]) -> None:
        playbook["modified"] = "2020-01-01T00:00:00.000Z"
        playbook["workflow"][FIRST]["in_args"] = ["__nobody__"]

    with pytest.raises(ConfigError, match="breaks 2 rule"):
        read_playbook(edited(edit), "x")


def test_the_shipped_playbooks_are_sound_and_only_isolation_contains() -> None:
    assert {slug for slug, playbook in LOADED.items() if playbook.contains} == {"isolate-host"}
    assert set(LOADED) >= {"isolate-host", "credential-dumping-response", "collect-triage-package", "notify-on-call"}


def test_a_playbook_whose_command_contains_is_containing_though_its_summary_keeps_silent() -> None:
    playbook = read_playbook(edited(lambda p: p.update(playbook_activities=["deliver-content"])), "x")
    assert playbook.contains


def test_branches_are_read_and_rendered_in_the_order_in_which_they_are_reached() -> None:
    other, branch_end, condition = (
        f"{kind}--11111111-1111-4111-8111-11111111111{n}" for n, kind in enumerate(("action", "end", "if-condition"))
    )

    def edit(playbook: dict[str, Any]) -> None:
        flow = playbook["workflow"]
        flow[START]["on_completion"] = condition
        flow[condition] = {
            "type": "if-condition",
            "condition": "__host__:value",
            "on_true": other,
            "on_completion": FIRST,
        }
        flow[other] = {**flow[SECOND], "on_completion": branch_end}
        flow[branch_end] = {"type": "end"}

    playbook = read_playbook(edited(edit), "x")
    steps = render(playbook, proposed(policy(contain())))
    assert [rendered.id for rendered in steps] == [START, condition, other, branch_end, FIRST, SECOND, END]


def test_two_files_with_one_id_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(ISOLATE))
    with pytest.raises(ConfigError, match="a and b have one id"):
        load_playbooks(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        load_playbooks(tmp_path / "none")


def test_what_is_no_json_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text('{"type": "playbook"')
    with pytest.raises(ConfigError, match=r"broken\.json"):
        load_playbooks(tmp_path)


def isolate(**entity: Any) -> Action:
    action = proposed(policy(contain()))
    return msgspec.structs.replace(action, entity=Entity(**{"agent_id": "agent-7", "host": "ws-7", **entity}))


def body(steps: tuple[RenderedStep, ...]) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(steps[1].commands[0]["content"])
    return decoded


def test_values_stand_whole_in_the_body_with_their_json_type() -> None:
    action = isolate()
    steps = render(LOADED["isolate-host"], action)
    found = body(steps)
    assert found["agent_id"] == "agent-7"
    assert found["reason"]["confidence"] == pytest.approx(0.95)
    assert found["reason"]["techniques"] == "T1003, T1003.001"
    assert steps[1].commands[0]["headers"]["Idempotency-Key"] == [action.key]
    assert steps[1].agent == "Endpoint detection and response"
    assert steps[2].inputs["__host__"] == "ws-7"
    assert [rendered.type for rendered in steps] == ["start", "action", "action", "end"]


EVIL = [
    '"}, "agent_id": "other", "x": {"',
    "$(reboot)",
    "`id`",
    "; rm -rf /",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "__agent_id__:value",
    "../../isolate/all",
    "%s%n",
    "' OR 1=1 --",
]


@settings(deadline=None)
@given(st.sampled_from(EVIL) | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1))
def test_whatever_a_value_holds_it_stays_one_value(evil: str) -> None:
    action = isolate(host=evil, agent_id=evil)
    try:
        steps = render(LOADED["isolate-host"], action)
    except PermanentError:
        assert not evil.isprintable()
        return
    found = body(steps)
    assert found.keys() == {"agent_id", "reason"}
    assert found["agent_id"] == found["reason"]["host"] == evil
    assert steps[1].commands[0]["command"] == "POST /api/v1/endpoints/isolate HTTP/1.1"


@pytest.mark.parametrize("evil", ["a\r\nX-Evil: 1", "a\x00b", "tab\there", "\u2028", "x" * 5000, "\ud800"])
def test_a_value_with_control_characters_or_of_odd_length_is_refused(evil: str) -> None:
    with pytest.raises(PermanentError, match="__agent_id__ must be of type string"):
        render(LOADED["isolate-host"], isolate(agent_id=evil))


def test_a_value_that_the_verdict_lacks_is_named_unless_the_playbook_has_one() -> None:
    with pytest.raises(PermanentError, match="needs __agent_id__"):
        render(LOADED["isolate-host"], isolate(agent_id=None))
    assert body(render(LOADED["isolate-host"], isolate(host=None)))["reason"]["host"] == ""


def test_an_address_must_be_of_the_family_that_the_playbook_declares() -> None:
    playbook = read_playbook(edited(variable("__source_address__", type="ipv4-addr", external=True)), "x")
    render(playbook, isolate(address="10.0.0.1"))
    for address in ("::1", "10.0.0.1; reboot"):
        with pytest.raises(PermanentError, match="ipv4-addr"):
            render(playbook, isolate(address=address))


@settings(deadline=None)
@given(st.text(), st.sampled_from(sorted(TYPES)))
def test_type_checks_never_raise(text: str, kind: str) -> None:
    assert fits(text, kind) in {True, False}


@pytest.mark.parametrize("slug", LOADED)
def test_without_any_entity_every_shipped_playbook_but_isolation_still_renders(slug: str) -> None:
    action = proposed(policy(contain(mode="approve")), event(message="x"), prediction())
    if slug == "isolate-host":
        with pytest.raises(PermanentError, match="__agent_id__"):
            render(LOADED[slug], action)
    else:
        assert render(LOADED[slug], action)


def test_an_odd_value_gives_way_to_the_playbooks_own_and_does_not_keep_a_notification_back() -> None:
    action = isolate(host="x\r\ny", user="z" * 5000)
    sent = body(render(LOADED["notify-on-call"], action))
    assert (sent["verdict"]["host"], sent["verdict"]["user"]) == ("", "")


def test_a_condition_may_hold_references_but_only_declared_ones() -> None:
    def with_condition(text: str) -> bytes:
        def edit(playbook: dict[str, Any]) -> None:
            playbook["workflow"][START]["on_completion"] = CONDITION
            playbook["workflow"][CONDITION] = {
                "type": "if-condition",
                "condition": text,
                "on_true": END,
                "on_completion": FIRST,
            }

        return edited(edit)

    read_playbook(with_condition("__host__:value = 'ws-7'"), "x")
    with pytest.raises(ConfigError, match="__nobody__:value is not declared"):
        read_playbook(with_condition("__nobody__:value = 'ws-7'"), "x")


def test_the_guide_names_every_playbook_activity_and_variable() -> None:
    guide = (PLAYBOOKS / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`]+)`", guide))
    assert {*LOADED, *SOURCES, *CONTAINING} <= named
    assert {name for name in named if name.startswith("__")} == set(SOURCES)


def test_a_playbook_that_is_wrong_in_a_step_and_torn_behind_it_is_refused() -> None:
    wrong = edited(step(type="nothing"))
    for torn in (wrong[: wrong.rindex(b"}")], wrong[:-1] + b', "x": "\xff"}', wrong[:-1] + b', "x": ' + b"[" * 10**5):
        with pytest.raises(ConfigError, match="playbook torn"):
            read_playbook(torn, "torn")


@pytest.mark.parametrize(
    "data",
    [
        b'{"name": "\xff"}',
        b"[" * 10**5,
        edited(lambda playbook: playbook.update(target_definitions="deep")).replace(
            b'"deep"', b'{"target--x": {"name": ' + b"[" * 900 + b"]" * 900 + b"}}"
        ),
        edited(command(content="[" * 10**5)),
    ],
    ids=["not utf-8", "endless", "deep", "deep body"],
)
def test_undecodable_and_endless_playbooks_are_refused(data: bytes) -> None:
    with pytest.raises(ConfigError, match="playbook hostile"):
        read_playbook(data, "hostile")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "007"),
        ("long", "٣"),
        ("float", "01.5"),
        ("float", "1e999"),
        ("dictionary", '{"a":' * 800 + "1" + "}" * 800),
        ("dictionary", "[" * 4000),
        ("dictionary", '{"a": "\\ud800"}'),
        ("dictionary", '{"a": NaN}'),
    ],
)
def test_a_value_that_no_json_body_can_hold_does_not_fit(kind: str, value: str) -> None:
    assert not fits(value, kind)


@pytest.mark.parametrize(
    ("kind", "value"), [("integer", "-12"), ("long", "0"), ("float", "0.950000"), ("dictionary", '{"a": [1]}')]
)
def test_a_value_that_a_json_body_can_hold_fits(kind: str, value: str) -> None:
    assert fits(value, kind)
