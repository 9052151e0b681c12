"""Clients that others wrote, fetched once into the cache outside the checkout; ``Unavailable`` where they cannot be had."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.servers.cache import Unavailable, alone, cached

NEWEST_SDK = "splunk-sdk==3.0.1"
_PACKAGES = {"splunk-sdk": "2.0.2", "splunk-logging": "0.11.1"}
_FETCH_S = 300


@cache
def newest_python() -> Path:
    """A Python 3.13 with the newest splunklib, which needs it. Raises ``Unavailable``."""
    folder = cached(NEWEST_SDK.replace("==", "-"))
    python = folder / "venv" / "bin" / "python"
    with alone(folder):
        if not (folder / "done").exists():
            shutil.rmtree(folder / "venv", ignore_errors=True)
            _run([str(_python313()), "-m", "venv", str(folder / "venv")], folder)
            _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", NEWEST_SDK], folder)
            (folder / "done").touch()
    return python


def _python313() -> Path:
    places = [Path(found)] if (found := shutil.which("python3.13")) else []
    places += sorted((Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions").glob("3.13*/bin/python"))
    for place in places:
        if _says(place, "3.13"):
            return place
    raise Unavailable("no Python 3.13 on PATH or among pyenv's versions: the newest splunklib runs on no other")


def _says(python: Path, version: str) -> bool:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() == version


@cache
def node_packages() -> Path:
    """A folder whose ``node_modules`` hold npm's ``splunk-sdk`` and ``splunk-logging``. Raises ``Unavailable``."""
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise Unavailable("npm and node are not installed")
    folder = cached("splunk-javascript")
    with alone(folder):
        if not (folder / "done").exists():
            (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": _PACKAGES}))
            _run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
            (folder / "done").touch()
    return folder


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_FETCH_S, check=False)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{' '.join(command)} took longer than {_FETCH_S} s") from None
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} failed: {(done.stdout + done.stderr).strip()[-1000:]}")
