"""Whatever an event says, a filled playbook differs from a harmless one only in whole values of its JSON bodies."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError, PermanentError
from connector.policy.playbooks import read_playbook
from connector.policy.render import RenderedStep, render
from connector.policy.variables import REFERENCE, SOURCES, fits
from connector.testing import examples
from connector.types import Action, Entity
from tests.policy.cases import LOADED
from tests.policy.editing import ISOLATE
from tests.policy.hostile import HOSTILE, poisoned, shape

TAME = poisoned(examples.action(1), "198.51.100.7")
"""A value that is a name and an address at once, so that no playbook refuses it."""


REFUSAL = re.compile(
    r"playbook '[a-z-]+'(: __[a-z_]+__ must be of type [a-z0-9-]+; it is not"
    r"| needs __[a-z_]+__, and the verdict has no value for it)"
)
"""What a refusal says: it quotes nothing of the event."""


def skeleton(steps: tuple[RenderedStep, ...]) -> Any:
    """All that no value may change: everything but the values of bodies and inputs, of which the shape."""
    return [
        (
            step.id,
            step.type,
            step.name,
            step.agent,
            step.targets,
            sorted(step.inputs),
            *map(shape_of_body, step.commands),
        )
        for step in steps
    ]


def shape_of_body(command: Mapping[str, Any]) -> Any:
    return {**command, "content": shape(content(command))}


def content(command: Mapping[str, Any]) -> Any:
    """The body, decoded where it is JSON."""
    try:
        return json.loads(command.get("content", "null"))
    except ValueError:
        return command["content"]


def values_in(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [value for inner in node.values() for value in values_in(inner)]
    return [value for inner in node for value in values_in(inner)] if isinstance(node, list) else [node]


def filled_or_refused(name: str, action: Action) -> tuple[tuple[RenderedStep, ...] | None, str]:
    try:
        return render(LOADED[name], action), ""
    except PermanentError as error:
        return None, str(error)


def check(name: str, action: Action) -> None:
    harmless = render(LOADED[name], TAME)
    steps, refusal = filled_or_refused(name, action)
    if steps is None:
        assert REFUSAL.fullmatch(refusal), refusal
        return
    assert skeleton(steps) == skeleton(harmless)
    filled = {source(action) for source in SOURCES.values()} | {
        v.value for v in LOADED[name].playbook_variables.values()
    }
    written = {value for step in harmless for command in step.commands for value in body(command)}
    for found in (value for step in steps for command in step.commands for value in body(command)):
        assert not isinstance(found, str) or found in filled or found in written
        assert not isinstance(found, str) or not REFERENCE.search(found)


def body(command: Mapping[str, Any]) -> list[Any]:
    return values_in(content(command))


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_value_stays_one_value_in_every_shipped_playbook(value: str) -> None:
    for name in LOADED:
        check(name, poisoned(examples.action(1), value))


def test_most_hostile_values_do_reach_a_body_and_are_not_all_refused() -> None:
    arrived = [value for value in HOSTILE.values() if fits(value, "string")]
    assert len(arrived) > len(HOSTILE) // 2
    for value in arrived:
        (step, *_) = (s for s in render(LOADED["notify-on-call"], poisoned(examples.action(1), value)) if s.commands)
        assert json.loads(step.commands[0]["content"])["verdict"]["host"] == value


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1), st.sampled_from(sorted(LOADED)))
def test_any_text_at_all_stays_one_value(value: str, name: str) -> None:
    check(name, poisoned(examples.action(1), value))


def test_a_value_that_reads_as_a_reference_is_not_put_where_an_engine_would_replace_it() -> None:
    action = poisoned(examples.action(1), "__user__:value")
    with pytest.raises(PermanentError, match="must be of type string"):
        render(LOADED["isolate-host"], action)


SPLICED = (
    "__host__:value",
    "at __host__:value",
    "POST /__host__:value HTTP/1.1",
    '"__host__:value"',
    '{"a": "__host__:value"}',
    '{"a": ["at __host__:value"]}',
    '{"__host__:value": 1}',
    base64.b64encode(b"id __host__:value").decode(),
)
NAME = "a-name-of-an-attackers-choice"


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a JSON tree, as its parent and its key there; what is inside another comes first."""
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        if isinstance(node[key], dict | list):
            yield from places(node[key])
        yield node, key


def test_wherever_an_author_puts_a_reference_the_value_gets_nowhere_but_into_a_body() -> None:
    action = msgspec.structs.replace(
        examples.action(1), entity=Entity(host=NAME, agent_id="agent-7"), playbook="isolate-host"
    )
    count = sum(1 for _ in places(ISOLATE))
    let_through = 0
    for number in range(count):
        for text in SPLICED:
            playbook = json.loads(json.dumps(ISOLATE))
            parent, key = next(itertools.islice(places(playbook), number, None))
            parent[key] = [text] if isinstance(parent[key], list) else text
            try:
                sound = read_playbook(json.dumps(playbook).encode(), "isolate-host.json")
            except ConfigError:
                continue
            let_through += 1
            for step in render(sound, action):
                outside = [(step.name, step.agent, step.targets), *({**c, "content": None} for c in step.commands)]
                assert NAME not in msgspec.json.encode(outside).decode()
                for command in step.commands:
                    assert all(NAME not in str(value) or value == NAME for value in body(command))
                    assert NAME not in str(shape(content(command)))
    assert let_through > 10
