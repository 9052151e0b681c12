import json
import re
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
from connector.policy.variables import OF_SOME, SOURCES, TYPES, fits
from connector.types import Action, Entity
from tests.policy.cases import LOADED, PLAYBOOKS, altered, contain, event, policy, prediction, proposed
from tests.policy.editing import (
    END,
    FIRST,
    ISOLATE,
    SECOND,
    START,
    branch,
    branching,
    command,
    edited,
    put,
    step,
    uid,
    variable,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_playbook_altered_anywhere_is_sound_or_refused_with_a_reason(data: st.DataObject) -> None:
    playbook = json.loads(json.dumps(ISOLATE))
    altered(playbook, data)
    with suppress(ConfigError, PermanentError):
        sound = read_playbook(json.dumps(playbook).encode(), "isolate-host.json")
        assert render(sound, isolate())[0].type == "start"


CONTAINING_PLAYBOOKS = {"isolate-host", "disable-account", "block-indicator"}


def test_seven_playbooks_are_shipped_and_three_of_them_contain() -> None:
    others = {"credential-dumping-response", "phishing-response", "collect-triage-package", "notify-on-call"}
    assert set(LOADED) == CONTAINING_PLAYBOOKS | others
    assert {slug for slug, playbook in LOADED.items() if playbook.contains} == CONTAINING_PLAYBOOKS


@pytest.mark.parametrize(("slug", "name"), [("disable-account", "__user__"), ("block-indicator", "__source_address__")])
def test_a_playbook_that_contains_is_not_filled_without_its_target(slug: str, name: str) -> None:
    with pytest.raises(PermanentError, match=f"needs {name}"):
        render(LOADED[slug], isolate(user=None, address=None))
    assert body(render(LOADED[slug], isolate(user="anna", address="2001:db8::1")))


def test_a_playbook_is_filled_only_while_it_is_valid() -> None:
    late = read_playbook(edited(put(valid_from="2026-11-21T12:00:00.001Z")), "x")
    over = read_playbook(edited(put(valid_until="2026-11-21T12:00:00Z")), "x")
    for playbook, words in ((late, "not valid before"), (over, "not valid after")):
        with pytest.raises(PermanentError, match=words):
            render(playbook, isolate())
    now = read_playbook(edited(put(valid_from="2026-11-21T12:00:00Z", valid_until="2026-11-21T12:00:01Z")), "x")
    assert render(now, isolate())


def test_a_playbook_whose_command_contains_is_containing_though_its_summary_keeps_silent() -> None:
    playbook = read_playbook(edited(put(playbook_activities=["deliver-content"])), "x")
    assert playbook.contains


def test_branches_are_read_and_rendered_in_the_order_in_which_they_are_reached() -> None:
    condition = {"condition": "__confidence__:value > 0.9", "on_true": uid("action", 1)}
    playbook = read_playbook(edited(branching("if-condition", **condition), branch(1)), "x")
    steps = render(playbook, proposed(policy(contain())))
    followed = [START, uid("if-condition"), uid("action", 1), uid("end", 101), FIRST, SECOND, END]
    assert [rendered.id for rendered in steps] == followed


def test_a_step_that_runs_another_playbook_shows_what_it_is_given_and_counts_as_containing() -> None:
    other = uid("playbook-action")
    run = step(other, type="playbook-action", playbook_id=uid("playbook", 9), in_args=["__host__"], on_completion=FIRST)
    playbook = read_playbook(
        edited(run, step(START, on_completion=other), put(playbook_activities=["map-network"])), "x"
    )
    assert playbook.contains
    assert render(playbook, isolate())[1].inputs == {"__host__": "ws-7"}


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
    with pytest.raises(PermanentError, match="ipv4-addr"):
        render(playbook, isolate(address="::1"))
    for none in ("10.0.0.1; reboot", "fe80::1%eth0\r\nX-Evil: 1", "10.0.0.1 ", "evil.example"):
        with pytest.raises(PermanentError, match="has no value"):
            render(playbook, isolate(address=none))


@settings(deadline=None)
@given(st.text(), st.sampled_from(sorted(TYPES)))
def test_type_checks_never_raise(text: str, kind: str) -> None:
    assert fits(text, kind) in {True, False}


@pytest.mark.parametrize("slug", sorted(LOADED.keys() - CONTAINING_PLAYBOOKS))
def test_without_any_entity_every_shipped_playbook_that_does_not_contain_still_renders(slug: str) -> None:
    assert render(LOADED[slug], proposed(policy(contain(mode="approve")), event(message="x"), prediction()))


def test_an_odd_value_gives_way_to_the_playbooks_own_and_does_not_keep_a_notification_back() -> None:
    action = isolate(host="x\r\ny", user="z" * 5000)
    sent = body(render(LOADED["notify-on-call"], action))
    assert (sent["verdict"]["host"], sent["verdict"]["user"]) == ("", "")


def test_what_only_some_verdicts_have_is_what_a_bare_one_lacks() -> None:
    bare = proposed(policy(contain(mode="approve")), event(message="x"), prediction())
    none = msgspec.structs.replace(bare.verdict, timestamp=None, passed=())
    action = msgspec.structs.replace(bare, verdict=none)
    assert {name for name, source in SOURCES.items() if source(action) is None} == OF_SOME


def test_the_guide_names_every_playbook_activity_and_variable() -> None:
    guide = (PLAYBOOKS / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([^`\n]+)`", guide))
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
        ("dictionary", '{"a": "__user_\\u005f:value"}'),
        ("dictionary", '{"__user_\\u005f:value": 1}'),
        ("uri", "x:__user__:value"),
    ],
)
def test_a_value_that_no_json_body_can_hold_does_not_fit(kind: str, value: str) -> None:
    assert not fits(value, kind)


@pytest.mark.parametrize(
    ("kind", "value"), [("integer", "-12"), ("long", "0"), ("float", "0.950000"), ("dictionary", '{"a": [1]}')]
)
def test_a_value_that_a_json_body_can_hold_fits(kind: str, value: str) -> None:
    assert fits(value, kind)
