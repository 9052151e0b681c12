"""The rules of a playbook that its structure alone cannot express: identities, references, reachability, variables.

Two rules are ours, not the specification's: a reference to a variable stands alone as a whole string, never inside a
longer one, and steps form no loop of their own (``while-condition`` repeats its branch, which ends in an end step).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

import msgspec

from connector.policy.cacao import ActionStep, AnyStep, End, Playbook, PlaybookAction, Start, Variable
from connector.policy.variables import REFERENCE, SOURCES, TYPES, fits, strings
from connector.types import Json

UUID4 = re.compile(r"--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
AGENT_TYPES = frozenset(
    {"group", "individual", "location", "organization", "sector", "http-api", "linux", "net-address"}
    | {"security-category", "ssh"}
)
CONDITIONS = frozenset({"condition", "switch"})
"""Expressions, in which a reference is an operand: the engine evaluates them, nothing is filled in here."""
COMMON = frozenset({"type", "description", "version", "playbook_activity", "external_references"})
COMMANDS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "manual": (frozenset({"command", "command_b64"}), frozenset()),
    "bash": (frozenset({"command", "command_b64"}), frozenset()),
    "ssh": (frozenset({"command", "command_b64"}), frozenset()),
    "elastic": (frozenset({"command", "command_b64"}), frozenset()),
    "powershell": (frozenset({"command", "command_b64"}), frozenset()),
    "http-api": (frozenset({"command"}), frozenset({"headers", "content", "content_b64"})),
    "openc2-http": (frozenset({"content", "content_b64"}), frozenset({"command", "headers"})),
}
"""Command types that are filled here: properties of which one must be present, and further ones allowed."""


def problems(playbook: Playbook) -> list[str]:
    """Every rule that the playbook breaks, each with its place; empty where it is sound."""
    return [
        *_identities(playbook),
        *_metadata(playbook),
        *_activities(playbook),
        *_links(playbook),
        *_graph(playbook),
        *_variables(playbook),
        *_actions(playbook),
        *_references(playbook),
    ]


def _identities(playbook: Playbook) -> Iterator[str]:
    if not playbook.id.startswith("playbook--"):
        yield "id: must be playbook--<uuid>"
    for key, step in playbook.workflow.items():
        if key.partition("--")[0] != _kind(step):
            yield f"workflow.{key}: a step of type {_kind(step)!r} has an id that says otherwise"
        if not UUID4.search(key):
            yield f"workflow.{key}: the uuid of a step must be a UUIDv4"
    yield from _definitions(playbook)
    keys = [playbook.id, *playbook.workflow, *playbook.agent_definitions, *playbook.target_definitions]
    for uuid, count in Counter(key.split("--")[1] for key in keys).items():
        if count > 1:
            yield f"the uuid {uuid} is used by {count} objects; each must have its own"


def _definitions(playbook: Playbook) -> Iterator[str]:
    objects = {"agent_definitions": playbook.agent_definitions, "target_definitions": playbook.target_definitions}
    for place, definitions in objects.items():
        for key, thing in definitions.items():
            kind, name = thing.get("type"), thing.get("name")
            if not isinstance(kind, str) or kind not in AGENT_TYPES or key.partition("--")[0] != kind:
                yield f"{place}.{key}: type {kind!r} must be the id's own, one of {', '.join(sorted(AGENT_TYPES))}"
            if not isinstance(name, str) or not name:
                yield f"{place}.{key}: needs a name"
            if kind == "http-api" and not isinstance(thing.get("address"), Mapping):
                yield f"{place}.{key}: an http-api needs an address"


def _metadata(playbook: Playbook) -> Iterator[str]:
    for name in ("created", "modified"):
        if not re.search(r"\.\d{3}Z$", getattr(playbook, name)):
            yield f"{name}: must be given to the millisecond (three digits)"
    if playbook.modified < playbook.created:
        yield "modified: is earlier than created"
    if playbook.valid_from and playbook.valid_until and playbook.valid_until <= playbook.valid_from:
        yield "valid_until: must be later than valid_from"
    if not isinstance(playbook.workflow.get(playbook.workflow_start), Start):
        yield f"workflow_start: {playbook.workflow_start} is not a start step of the workflow"
    kinds = {_kind(step) for step in playbook.workflow.values()}
    for needed in ({"start"}, {"end"}, {"action", "playbook-action"}):
        if kinds.isdisjoint(needed):
            yield f"workflow: needs a step of type {' or '.join(sorted(needed))}"


def _activities(playbook: Playbook) -> Iterator[str]:
    if playbook.playbook_types and not playbook.playbook_activities:
        yield "playbook_activities: at least one is needed where playbook_types is given"
    if not any(isinstance(step, PlaybookAction) for step in playbook.workflow.values()):
        for activity in sorted(set(playbook.playbook_activities) - playbook.commanded):
            yield f"playbook_activities: no command of the workflow carries out {activity!r}"


def _links(playbook: Playbook) -> Iterator[str]:
    for key, step in playbook.workflow.items():
        where = f"workflow.{key}"
        for name, target in _targets(step).items():
            if target not in playbook.workflow:
                yield f"{where}.{name}: {target} is not a step of the workflow"
        if isinstance(step, End):
            if step.on_completion or step.on_success or step.on_failure:
                yield f"{where}: an end step leads nowhere"
        elif step.on_completion and (step.on_success or step.on_failure):
            yield f"{where}: on_completion excludes on_success and on_failure"
        elif not step.on_completion and not step.on_success:
            yield f"{where}: needs on_completion, or on_success"
        if isinstance(step, Start) and (step.on_success or step.on_failure):
            yield f"{where}: a start step has on_completion only"
    if playbook.workflow_exception and playbook.workflow_exception not in playbook.workflow:
        yield f"workflow_exception: {playbook.workflow_exception} is not a step of the workflow"


def _graph(playbook: Playbook) -> Iterator[str]:
    reached: set[str] = set()
    waiting = [playbook.workflow_start, *([playbook.workflow_exception] if playbook.workflow_exception else [])]
    while waiting:
        key = waiting.pop()
        if key in playbook.workflow and key not in reached:
            reached.add(key)
            waiting.extend(_targets(playbook.workflow[key]).values())
    for key in playbook.workflow:
        if key not in reached:
            yield f"workflow.{key}: cannot be reached from workflow_start"
    try:
        TopologicalSorter({key: set(_targets(step).values()) for key, step in playbook.workflow.items()}).prepare()
    except CycleError as error:
        yield f"workflow: steps form a loop: {' -> '.join(error.args[1])}"


def _variables(playbook: Playbook) -> Iterator[str]:
    scopes = {"playbook_variables": playbook.playbook_variables} | {
        f"workflow.{key}.step_variables": step.step_variables for key, step in playbook.workflow.items()
    }
    for place, declared in scopes.items():
        for name, variable in declared.items():
            if variable.type not in TYPES:
                yield f"{place}.{name}: no variable type {variable.type!r}; types are: {', '.join(TYPES)}"
            elif variable.value is not None and not fits(variable.value, variable.type):
                yield f"{place}.{name}: its value is not of type {variable.type}"
            if variable.external and place != "playbook_variables":
                yield f"{place}.{name}: only a playbook variable may be external"
            elif variable.external and name not in SOURCES and variable.value is None:
                yield f"{place}.{name}: no verdict fills it, and it has no value; verdicts fill: {', '.join(SOURCES)}"
            elif not variable.external and variable.value is None:
                yield f"{place}.{name}: needs a value, or external"


def _actions(playbook: Playbook) -> Iterator[str]:
    for key, step in playbook.workflow.items():
        where = f"workflow.{key}"
        if isinstance(step, ActionStep | PlaybookAction):
            known = playbook.playbook_variables.keys() | step.step_variables.keys()
            for name in (*(step.in_args or ()), *(step.out_args or ())):
                if name not in known:
                    yield f"{where}: {name} is not declared"
        if isinstance(step, ActionStep):
            if step.agent not in playbook.agent_definitions:
                yield f"{where}.agent: {step.agent} is not in agent_definitions"
            for target in step.targets or ():
                if target not in playbook.target_definitions:
                    yield f"{where}.targets: {target} is not in target_definitions"
            for index, command in enumerate(step.commands):
                yield from _command(command, f"{where}.commands[{index}]")


def _command(command: Mapping[str, Json], where: str) -> Iterator[str]:
    kind = command.get("type")
    if not isinstance(kind, str) or kind not in COMMANDS:
        yield f"{where}: no command type {kind!r} is filled here; types are: {', '.join(COMMANDS)}"
        return
    one_of, more = COMMANDS[kind]
    if one_of.isdisjoint(command):
        yield f"{where}: a command of type {kind!r} needs {' or '.join(sorted(one_of))}"
    if unknown := command.keys() - one_of - more - COMMON:
        yield f"{where}: unknown properties: {', '.join(sorted(unknown))}"
    headers = command.get("headers", {})
    lists = headers.values() if isinstance(headers, Mapping) else (None,)
    if not all(isinstance(h, list) and all(isinstance(value, str) for value in h) for h in lists):
        yield f"{where}.headers: must map each name to a list of strings"
    for name in (one_of | more) & command.keys() - {"headers"}:
        if not isinstance(command[name], str):
            yield f"{where}.{name}: must be a string"


def _references(playbook: Playbook) -> Iterator[str]:
    """References stand alone, and name what is declared. A JSON body is looked into, since it is filled inside."""
    shared = playbook.playbook_variables
    for key, step in playbook.workflow.items():
        known = {**shared, **step.step_variables}
        tree = msgspec.to_builtins(step)
        if isinstance(step, ActionStep):
            bodies = [(command, json_body(command)) for command in step.commands]
            tree["commands"] = [c if body is None else {**c, "content": body} for c, body in bodies]
        for name in CONDITIONS & tree.keys():
            for reference in REFERENCE.findall(tree.pop(name)):
                if reference[: -len(":value")] not in known:
                    yield f"workflow.{key}.{name}: {reference} is not declared"
        yield from _stray(tree, known, f"workflow.{key}")
    for name in ("agent_definitions", "target_definitions"):
        yield from _stray(getattr(playbook, name), shared, name)


def _stray(tree: Json, known: Mapping[str, Variable], where: str) -> Iterator[str]:
    for place, text, is_key in strings(tree, where):
        for reference in REFERENCE.findall(text):
            if is_key or reference != text:
                yield f"{place}: {reference} must stand alone as a whole string, never inside a longer one or a key"
            elif reference[: -len(":value")] not in known:
                yield f"{place}: {reference} is not declared"


def json_body(command: Mapping[str, Json]) -> Json | None:
    """The decoded body of a command whose content is a JSON object or list; None for any other."""
    content = command.get("content")
    if not isinstance(content, str) or content.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None


def _targets(step: AnyStep) -> Mapping[str, str]:
    followers = {name: getattr(step, name) for name in ("on_completion", "on_success", "on_failure")}
    return {**{name: target for name, target in followers.items() if target}, **step.branches()}


def _kind(step: AnyStep) -> str:
    return str(step.__struct_config__.tag)
