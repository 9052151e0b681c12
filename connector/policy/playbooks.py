"""Playbooks from files, checked whole before anything may name them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.policy.cacao import AnyStep, Playbook
from connector.policy.cacao.rules import STRUCTURE, problems
from connector.types import Json

_PLAYBOOK: Final = msgspec.json.Decoder(Playbook)
"""Made while the module is imported: two threads that decode a type for the first time at once end the process."""


def read_playbook(data: bytes, place: str) -> Playbook:
    """A playbook from JSON. Raises ``ConfigError`` that names every rule broken, each with its place."""
    try:
        playbook = _PLAYBOOK.decode(data)
        found = problems(playbook)
    except msgspec.DecodeError as error:
        raise ConfigError(f"playbook {place} is not CACAO 2.0: {_place(error, data)} [{STRUCTURE}]") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise ConfigError(f"playbook {place} cannot be read: {error}") from error
    if found:
        listed = "\n".join(f"  {problem}" for problem in found)
        raise ConfigError(f"playbook {place} breaks {len(found)} rule(s) of CACAO 2.0 or of safe filling:\n{listed}")
    return playbook


def open_playbook(path: Path) -> Playbook:
    """A playbook from its file. Raises ``ConfigError``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"playbook {path} cannot be read: {error.strerror}") from error
    return read_playbook(data, path.name)


def load_playbooks(folder: Path) -> Mapping[str, Playbook]:
    """Every ``*.json`` of a folder by its name without suffix. Raises ``ConfigError``."""
    if not folder.is_dir():
        raise ConfigError(f"playbook folder {folder} does not exist")
    playbooks = {path.stem: open_playbook(path) for path in sorted(folder.glob("*.json"))}
    check_ids(playbooks)
    return playbooks


def check_ids(playbooks: Mapping[str, Playbook]) -> None:
    """Refuses two playbooks with one id. Raises ``ConfigError`` that names them."""
    owners: dict[str, str] = {}
    for name, playbook in playbooks.items():
        if owners.setdefault(playbook.id, name) != name:
            raise ConfigError(f"playbooks {owners[playbook.id]} and {name} have one id, {playbook.id}")


def _place(error: msgspec.DecodeError, data: bytes) -> str:
    """The decoder's message; where it only says that the fault is in some step, the steps that have it."""
    message = str(error)
    if "$.workflow[...]" not in message:
        return message
    try:
        steps = msgspec.json.decode(data, type=dict[str, Json])["workflow"]
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError):
        return message  # broken further on, too
    faults = []
    for key, step in steps.items() if isinstance(steps, dict) else ():
        try:
            msgspec.convert(step, AnyStep)
        except msgspec.ValidationError as fault:
            faults.append(f"{fault} (in workflow.{key})")
    return "; ".join(faults) or message
