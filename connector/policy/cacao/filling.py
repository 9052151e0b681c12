"""Rules on variables, and on where a reference to one may stand (section 10.18). Those on places are ours.

What an event says is text of an attacker's choice. So nothing is ever joined into a command, a path or a longer text: a
reference is a whole string of a JSON body, or it names a variable whose type leaves no room for words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from connector.policy.cacao.commands import decoded
from connector.policy.cacao.objects import Playbook, Step, Variable
from connector.policy.variables import FREE_TEXT, MARK, REFERENCE, SOURCES, TYPES, fits, json_body, strings
from connector.types import Json

_ADDRESSES: Final = frozenset({"ipv4", "ipv6", "l2mac"})
_EXPRESSIONS: Final = ("condition", "switch")
_PLACES: Final = "in a JSON body, in a header, in a condition, or as the address of a net-address target"


class Use(NamedTuple):
    """A reference where it stands. ``slot``: what it stands in, None where none may stand."""

    where: str
    name: str
    alone: bool
    slot: Literal["body", "header", "condition", "address"] | None
    known: Mapping[str, Variable]


def variable_type(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A variable's type is one of the vocabulary."""
    for where, _, variable in _variables(playbook):
        if variable.type not in TYPES:
            yield where, f"no variable type {variable.type!r}; types are: {', '.join(TYPES)}"


def variable_value(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A variable's value is of its type."""
    for where, _, variable in _variables(playbook):
        if variable.value is not None and variable.type in TYPES and not fits(variable.value, variable.type):
            yield where, f"its value is not of type {variable.type}"


def variable_source(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A variable has a value, or one that a verdict gives it from outside."""
    for where, name, variable in _variables(playbook):
        if variable.external and not where.startswith("playbook_variables"):
            yield where, "external is for variables of the playbook"
        elif variable.external and name not in SOURCES:
            yield where, f"no verdict fills it; verdicts fill: {', '.join(SOURCES)}"
        elif not variable.external and variable.value is None:
            yield where, "needs a value, or external"


def argument_declared(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """What a step takes and gives back is declared."""
    for where, step in _steps(playbook):
        known = playbook.playbook_variables.keys() | step.step_variables.keys()
        for name in _arguments(step, "in_args", "out_args"):
            if name not in known:
                yield where, f"{name} is not declared"


def result_changeable(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """What a step gives back is no constant."""
    for where, step in _steps(playbook):
        known = {**playbook.playbook_variables, **step.step_variables}
        for name in _arguments(step, "out_args"):
            if name in known and known[name].constant:
                yield f"{where}.out_args", f"{name} is a constant"


def reference_place(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A reference stands only where its value can be held apart from what surrounds it."""
    for use in _uses(playbook):
        if use.slot is None:
            yield use.where, f"{use.name} must not stand here; a reference stands {_PLACES}"


def reference_alone(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A reference is a whole string, save in a condition, which the engine evaluates."""
    for use in _uses(playbook):
        if use.slot in {"body", "header", "address"} and not use.alone:
            yield use.where, f"{use.name} must stand alone as a whole string, never inside a longer one or a key"


def reference_declared(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A reference names a variable that is declared."""
    for use in _uses(playbook):
        if use.slot and use.name not in use.known:
            yield use.where, f"{use.name} is not declared"


def reference_plain(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """In a header, a condition or an address stands no text from outside, only what has a narrower type."""
    for use in _uses(playbook):
        variable = use.known.get(use.name)
        if use.slot not in {None, "body"} and variable and variable.external and variable.type in FREE_TEXT:
            yield use.where, f"{use.name} is of type {variable.type}: an event could put anything into this {use.slot}"


def _variables(playbook: Playbook) -> Iterator[tuple[str, str, Variable]]:
    scopes = {"playbook_variables": playbook.playbook_variables} | {
        f"workflow.{key}.step_variables": step.step_variables for key, step in playbook.workflow.items()
    }
    for place, declared in scopes.items():
        yield from ((f"{place}.{name}", name, variable) for name, variable in declared.items())


def _steps(playbook: Playbook) -> Iterator[tuple[str, Step]]:
    yield from ((f"workflow.{key}", step) for key, step in playbook.workflow.items())


def _arguments(step: Step, *properties: str) -> Iterator[str]:
    for name in properties:
        yield from getattr(step, name, ())


def _uses(playbook: Playbook) -> Iterator[Use]:
    """Every reference of the steps and of what they name."""
    shared = playbook.playbook_variables
    for where, step in _steps(playbook):
        known = {**shared, **step.step_variables}
        tree = msgspec.to_builtins(step)
        for name in _EXPRESSIONS:
            yield from _found(tree.pop(name, None), f"{where}.{name}", "condition", known)
        for index, command in enumerate(tree.pop("commands", ())):
            yield from _in_command(command, f"{where}.commands[{index}]", known)
        yield from _found(tree, where, None, known)
    for where, thing in playbook.definitions():
        rest = {**thing}
        if (
            where.startswith("target_")
            and thing.get("type") == "net-address"
            and isinstance(thing.get("address"), dict)
        ):
            rest["address"] = {**thing["address"]}
            for kind in _ADDRESSES & rest["address"].keys():
                yield from _found(rest["address"].pop(kind), f"{where}.address.{kind}", "address", shared)
        yield from _found(rest, where, None, shared)
    yield from _found(playbook.authentication_info_definitions, "authentication_info_definitions", None, shared)


def _in_command(command: Mapping[str, Json], where: str, known: Mapping[str, Variable]) -> Iterator[Use]:
    rest = {**command}
    body = json_body(command)
    if body is not None:
        yield from _found(body, f"{where}.content", "body", known)
        del rest["content"]
    if isinstance(command.get("headers"), Mapping):
        headers = rest.pop("headers")
        yield from _found(list(headers), f"{where}.headers", None, known)
        for name, given in headers.items():
            yield from _found(given, f"{where}.headers.{name}", "header", known)
    for name in rest.keys() & {"command_b64", "content_b64"}:
        try:
            rest[name] = decoded(rest[name])
        except (TypeError, ValueError):
            continue  # another rule says so
    yield from _found(rest, where, None, known)


def _found(
    node: Json,
    where: str,
    slot: Literal["body", "header", "condition", "address"] | None,
    known: Mapping[str, Variable],
) -> Iterator[Use]:
    for place, text, is_key in strings(node, where):
        for reference in REFERENCE.findall(text) if MARK in text else ():
            name = reference.removesuffix(":value")
            yield Use(place, name, reference == text and not is_key, slot, known)
