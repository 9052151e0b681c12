"""A small site: hosts that do ordinary things every day, and one on which an attack happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from connector.models import Bundle, Store, manifest as manifests, reference
from connector.types import Event, Scores
from tests.models.events import process_start
from tests.models.tiny import tiny_store

ATTACK = "powershell mimikatz"
ADMIN = "powershell whoami"


def event(command: str, *, host: str = "ws1", day: int = 1, image: str = "tool") -> Event:
    at = f"2026-03-{day:02d}T10:00:00Z"
    return process_start(command, native_id=f"{host}{day}{command}", host=host, at=at, image=image)


@cache
def _week(hosts: Sequence[str], days: int, commands: int) -> tuple[Event, ...]:
    ordinary = [f"backup volume{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(commands)]
    return tuple(
        event(command, host=host, day=day)
        for day in range(1, days + 1)
        for host in hosts
        for command in (*ordinary, ADMIN, "powershell mimikatz whoami")
    )


def week(hosts: Sequence[str] = ("ws1", "ws2"), days: int = 3, commands: int = 60) -> list[Event]:
    """Every host runs the same commands every day: administration in PowerShell, and a drill that looks like an attack."""
    return list(_week(tuple(hosts), days, commands))


def bundle_with_reference(path: Path, lay: Callable[[Path], Path] = tiny_store) -> Bundle:
    """The tiny bundle, or what is laid out instead, with an attack reference."""
    directory = lay(path) / "tiny" / "1"
    manifest = manifests.read(directory)
    labels = len(manifest.members[0].labels)
    rows = np.linspace(0.5, 0.99, 60, dtype=np.float32)
    reference.write(
        directory, Scores(techniques=np.repeat(rows[:, None], labels, 1), p_malicious=rows, notes=((),) * 60)
    )
    manifests.seal(directory, manifest)
    return Store(path).open(threads=1)
