"""Servers that npm fetches, each once into a folder of the cache.

The servers themselves are pinned; what they depend on is of the versions that npm finds when it fetches them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tests.servers.cache import Unavailable, alone, cached

_FETCH_S = 1500
_DONE = ".installed"
_QUIETLY = (
    "--no-audit",
    "--no-fund",
    "--no-progress",
    "--loglevel=error",
    "--fetch-retries=1",
    "--fetch-timeout=60000",
)


@cache
def node(oldest: tuple[int, int]) -> Path:
    """The interpreter. Raises ``Unavailable`` where there is none, or only an older one."""
    found = shutil.which("node")
    if found is None:
        raise Unavailable("node is not installed")
    told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30, check=True).stdout.strip()
    version = tuple(int(part) for part in told.removeprefix("v").split(".")[:2])
    if version < oldest:
        raise Unavailable(f"node is {told}, and {'.'.join(map(str, oldest))} is needed")
    return Path(found)


def installed(name: str, package: Mapping[str, Any], commands: Sequence[Sequence[str]]) -> Path:
    """The folder that holds this package, made by ``npm`` with these commands where it is not in the cache.

    Raises ``Unavailable`` where there is no npm, or nothing can be fetched.
    """
    folder = cached(name)
    wanted = json.dumps([package, commands])
    with alone(folder):
        done = folder / _DONE
        if not done.exists() or done.read_text() != wanted:
            (folder / "package.json").write_text(json.dumps(package))
            for command in commands:
                _npm(folder, command)
            done.write_text(wanted)
    return folder


def _npm(folder: Path, command: Sequence[str]) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed, and what it would fetch is not in the cache")
    whole = [npm, *command, *_QUIETLY]
    try:
        done = subprocess.run(whole, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm {' '.join(command)} took longer than {_FETCH_S} s") from None
    if done.returncode:
        raise Unavailable(f"npm {' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-1000:]}")
