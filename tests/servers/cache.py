"""Where servers come from: a JDK of this machine, and artefacts that ``mvn`` fetches once into a cache outside the checkout."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from unittest import SkipTest

OLDEST_JAVA = 21
_JVM_FOLDERS = ("/usr/lib/jvm", "/usr/java", "/opt/java", "/Library/Java/JavaVirtualMachines")
_FETCH_S = 900


class Unavailable(SkipTest):
    """The server cannot be had on this machine; a test that needs it is skipped with this reason."""


def cached(name: str) -> Path:
    """A folder of the cache: below ``$TRIAGED_SERVERS``, or ``~/.cache/triaged/servers``."""
    root = os.environ.get("TRIAGED_SERVERS")
    folder = (Path(root) if root else Path.home() / ".cache" / "triaged" / "servers") / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time fetches into a folder; others wait, and then find what it fetched."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def jdk() -> Path:
    """The home of a JDK that the servers run on. Raises ``Unavailable`` where there is none."""
    for home in _homes():
        if (version := _version(home)) and version >= OLDEST_JAVA:
            return home
    raise Unavailable(f"no JDK {OLDEST_JAVA} or newer in JAVA_HOME, on PATH or in {', '.join(_JVM_FOLDERS)}")


def _homes() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home)
    if java := shutil.which("java"):
        yield Path(java).resolve().parent.parent
    for folder in map(Path, _JVM_FOLDERS):
        for found in sorted(folder.iterdir(), reverse=True) if folder.is_dir() else ():
            yield found
            yield found / "Contents" / "Home"


def _version(home: Path) -> int | None:
    """The feature version, as the JDK's own ``release`` file tells it; a home without a compiler is no JDK."""
    release = home / "release"
    if not release.is_file() or not (home / "bin" / "javac").exists():
        return None
    for line in release.read_text().splitlines():
        name, _, value = line.partition("=")
        if name == "JAVA_VERSION":
            return int(value.strip('"').split(".")[0].split("-")[0])
    return None


def maven(goal: str, *arguments: str, folder: Path) -> None:
    """Runs one goal of Maven in a folder. Raises ``Unavailable`` where there is no ``mvn``, or nothing can be fetched."""
    if shutil.which("mvn") is None:
        raise Unavailable("mvn is not installed, and what it would fetch is not in the cache")
    command: Sequence[str] = ["mvn", "-q", "-B", goal, *arguments]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)} took longer than {_FETCH_S} s") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-1000:]}")
