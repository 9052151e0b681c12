"""Other Pythons on this machine: the ones that Splunk comes with."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

VERSIONS = ("3.9", "3.13")


def python(version: str) -> str:
    """An interpreter of this version; the test is skipped where there is none."""
    found = interpreter(version)
    if found is None:
        pytest.skip(f"no Python {version} on this machine: neither on PATH nor below pyenv's versions")
    return found


@cache
def interpreter(version: str) -> str | None:
    """The same; None where there is none."""
    for found in _candidates(version):
        asked = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=20)
        if told.returncode == 0 and told.stdout.strip() == version:
            return found
    return None


def _candidates(version: str) -> Iterator[str]:
    for folder in (os.environ.get("PYENV_ROOT"), Path.home() / ".pyenv"):
        if folder:
            yield from map(str, sorted(Path(folder).glob(f"versions/{version}.*/bin/python")))
    if found := shutil.which(f"python{version}"):
        yield found
