"""Edits of a shipped playbook, for tests that break it on purpose."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.policy.cases import PLAYBOOKS

Edit = Callable[[dict[str, Any]], None]
ISOLATE: dict[str, Any] = json.loads((PLAYBOOKS / "isolate-host.json").read_text())
START, FIRST, SECOND, END = ISOLATE["workflow"]
EDR, DUTY = ISOLATE["agent_definitions"]


def uid(kind: str, number: int = 0) -> str:
    """The n-th id of this type that no shipped playbook has."""
    return f"{kind}--00000000-0000-4000-8000-{number:012}"


def edited(*edits: Edit) -> bytes:
    """The shipped playbook ``isolate-host`` after these edits."""
    playbook = json.loads(json.dumps(ISOLATE))
    for edit in edits:
        edit(playbook)
    return json.dumps(playbook).encode()


def put(**changes: Any) -> Edit:
    """Sets properties of the playbook."""
    return lambda playbook: playbook.update(changes)


def step(key: str = FIRST, **changes: Any) -> Edit:
    """Sets properties of a step, which need not exist."""
    return lambda playbook: playbook["workflow"].setdefault(key, {}).update(changes)


def drop(*path: str) -> Edit:
    """Takes away what stands there."""

    def edit(playbook: dict[str, Any]) -> None:
        for key in path[:-1]:
            playbook = playbook[key]
        del playbook[path[-1]]

    return edit


def command(**changes: Any) -> Edit:
    """Sets properties of the first command."""
    return lambda playbook: playbook["workflow"][FIRST]["commands"][0].update(changes)


def instead(**fields: Any) -> Edit:
    """Puts another command in the place of the first."""
    whole = {"playbook_activity": "disconnect-system", **fields}
    return lambda playbook: playbook["workflow"][FIRST].update(commands=[whole])


def variable(name: str, **fields: Any) -> Edit:
    """Declares a variable."""
    return lambda playbook: playbook["playbook_variables"].update({name: {"type": "string", **fields}})


def agent(key: str = EDR, **fields: Any) -> Edit:
    """Sets properties of an agent, which need not exist."""
    return lambda playbook: playbook["agent_definitions"].setdefault(key, {}).update(fields)


def target(kind: str, **fields: Any) -> Edit:
    """Gives the first step a target."""

    def edit(playbook: dict[str, Any]) -> None:
        key = uid(kind, 7)
        playbook["target_definitions"] = {key: {"type": kind, "name": "a target", **fields}}
        playbook["workflow"][FIRST]["targets"] = [key]

    return edit


def defined(group: str, kind: str, **fields: Any) -> Edit:
    """Adds a definition to one of the playbook's groups of them."""
    return lambda playbook: playbook.setdefault(group, {}).update({uid(kind, 8): {"type": kind, **fields}})


def renamed(old: str, new: str) -> Edit:
    """Replaces an id everywhere."""

    def edit(playbook: dict[str, Any]) -> None:
        text = json.dumps(playbook).replace(old, new)
        playbook.clear()
        playbook.update(json.loads(text))

    return edit


def branching(kind: str, **fields: Any) -> Edit:
    """Puts a step of this type, with branches, between start and first step."""

    def edit(playbook: dict[str, Any]) -> None:
        flow = playbook["workflow"]
        flow[START]["on_completion"] = uid(kind)
        flow[uid(kind)] = {"type": kind, "on_completion": FIRST, **fields}

    return edit


def branch(number: int) -> Edit:
    """Adds an action step with that number which ends in an end step of its own."""

    def edit(playbook: dict[str, Any]) -> None:
        flow = playbook["workflow"]
        flow[uid("action", number)] = {**flow[SECOND], "on_completion": uid("end", 100 + number)}
        flow[uid("end", 100 + number)] = {"type": "end"}

    return edit
