"""Rules on what a playbook defines beside its steps: it is whole, and what is named is defined (sections 5 to 10)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from connector.policy.cacao.commands import COMMANDS
from connector.policy.cacao.definitions import AGENTS, AUTHENTICATIONS, EXTENSIONS, MARKINGS
from connector.policy.cacao.objects import Playbook
from connector.types import Json

_SECRETS: Final = frozenset({"password", "token"})
_READY: Final = [
    msgspec.json.Decoder(kind)
    for kinds in (AGENTS, AUTHENTICATIONS, COMMANDS, EXTENSIONS, MARKINGS)
    for kind in kinds.values()
]
"""Made while the module is imported: two threads that read a type for the first time at once end the process."""


def definition_id(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The id of a definition begins with its type."""
    for where, thing, _ in _definitions(playbook):
        kind = thing.get("type")
        if kind != where.rpartition(".")[2].partition("--")[0]:
            yield where, f"is of type {kind!r}, and its id says otherwise"


def definition(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """An agent, target, authentication, marking or extension has what its type demands, and nothing else."""
    for where, thing, kinds in _definitions(playbook):
        yield from _fits(thing, kinds, where)


def command(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A command has what its type demands, and nothing else."""
    for where, thing in playbook.commands():
        yield from _fits(thing, COMMANDS, where)


def agent_defined(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The agent of a step is among the playbook's agents."""
    for where, step in playbook.actions():
        if step.agent not in playbook.agent_definitions:
            yield f"{where}.agent", f"{step.agent} is not in agent_definitions"


def target_defined(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The targets of a step are among the playbook's targets."""
    for where, step in playbook.actions():
        for place, target in enumerate(step.targets):
            if target not in playbook.target_definitions:
                yield f"{where}.targets[{place}]", f"{target} is not in target_definitions"


def authentication_defined(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """How an agent or target signs in is defined."""
    for where, thing in playbook.definitions():
        named = thing.get("authentication_info")
        if named is not None and named not in playbook.authentication_info_definitions:
            yield f"{where}.authentication_info", f"{named} is not in authentication_info_definitions"


def marking_defined(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The markings of a playbook are defined."""
    for place, named in enumerate(playbook.markings):
        if named not in playbook.data_marking_definitions:
            yield f"markings[{place}]", f"{named} is not in data_marking_definitions"


def extension_defined(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Every extension that is in use is defined."""
    used: list[tuple[str, Mapping[str, Json]]] = [("playbook_extensions", playbook.playbook_extensions)]
    used += [(f"workflow.{key}.step_extensions", step.step_extensions) for key, step in playbook.workflow.items()]
    for where, thing, _ in _definitions(playbook):
        for name, value in thing.items():
            if name.endswith("_extensions") and isinstance(value, Mapping):
                used.append((f"{where}.{name}", value))
    for where, extensions in used:
        for named in extensions:
            if named not in playbook.extension_definitions:
                yield f"{where}.{named}", "is not in extension_definitions"


def no_secret(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """No secret stands in a playbook: it is stored, shown and sent."""
    for key, thing in playbook.authentication_info_definitions.items():
        for name in sorted(_SECRETS & thing.keys()):
            where = f"authentication_info_definitions.{key}.{name}"
            yield where, "a secret must not stand in a playbook; name one in a key store with kms_key_identifier"


def _definitions(playbook: Playbook) -> Iterator[tuple[str, Mapping[str, Json], Mapping[str, Any]]]:
    """Every definition: its place, what stands there, and the types that it may have."""
    for name, kinds in (
        ("agent_definitions", AGENTS),
        ("target_definitions", AGENTS),
        ("authentication_info_definitions", AUTHENTICATIONS),
        ("data_marking_definitions", MARKINGS),
        ("extension_definitions", EXTENSIONS),
    ):
        yield from ((f"{name}.{key}", thing, kinds) for key, thing in getattr(playbook, name).items())


def _fits(thing: Mapping[str, Json], kinds: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    kind = thing.get("type")
    if not isinstance(kind, str) or kind not in kinds:
        yield where, f"no type {kind!r} is known here; types are: {', '.join(kinds)}"
        return
    try:
        msgspec.convert(thing, kinds[kind])
    except msgspec.ValidationError as error:
        yield where, str(error)
