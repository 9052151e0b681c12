"""A playbook filled from an action: the steps as they would be carried out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from connector.policy.cacao import ActionStep, AnyStep, Playbook
from connector.policy.variables import json_body, substitute, values
from connector.types import Action, Json, Noun


class RenderedStep(Noun, frozen=True, kw_only=True):
    """A step with its values in place. ``inputs``: the variables that it takes, by name."""

    id: str
    type: str
    name: str
    agent: str | None = None
    targets: tuple[str, ...] = ()
    commands: tuple[Mapping[str, Json], ...] = ()
    inputs: Mapping[str, str] = {}


def render(playbook: Playbook, action: Action) -> tuple[RenderedStep, ...]:
    """The steps in the order in which they are reached, every branch included.

    Raises ``PermanentError`` where the verdict has no value, or none of the right type, for a variable.
    """
    filled = values(playbook, action)
    return tuple(_rendered(playbook, key, playbook.workflow[key], filled) for key in _order(playbook))


def _order(playbook: Playbook) -> Iterator[str]:
    """Depth first: a step, then its branches, then what follows it."""
    seen: set[str] = set()
    waiting = [playbook.workflow_start]
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        yield key
        step = playbook.workflow[key]
        followers = [*step.branches().values(), step.on_completion, step.on_success, step.on_failure]
        waiting.extend(follower for follower in reversed(followers) if follower)


def _rendered(playbook: Playbook, key: str, step: AnyStep, shared: Mapping[str, str]) -> RenderedStep:
    kind = key.partition("--")[0]
    own = {name: variable.value for name, variable in step.step_variables.items() if variable.value is not None}
    filled = {**shared, **own}
    inputs = {name: filled[name] for name in getattr(step, "in_args", ()) if name in filled}
    if not isinstance(step, ActionStep):
        return RenderedStep(id=key, type=kind, name=step.name, inputs=inputs)
    kinds = {**playbook.playbook_variables, **step.step_variables}
    commands = []
    for command in step.commands:
        done = substitute(command, filled)
        body = json_body(command)
        if body is not None:
            done["content"] = msgspec.json.encode(substitute(body, filled, kinds)).decode()
        commands.append(done)
    return RenderedStep(
        id=key,
        type=kind,
        name=step.name,
        agent=str(playbook.agent_definitions[step.agent]["name"]),
        targets=tuple(str(playbook.target_definitions[target]["name"]) for target in step.targets),
        commands=tuple(commands),
        inputs=inputs,
    )
