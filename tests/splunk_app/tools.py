"""Splunk's own validators, in an environment of their own that is made once and kept outside the checkout."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.servers.cache import Unavailable, alone, cached

REQUIREMENTS = Path(__file__).with_name("tools.txt")
_INSTALL_S = 400


def tools() -> Path:
    """The folder of their commands. Raises ``Unavailable`` where they cannot be installed."""
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = cached(f"splunk-tools-{digest}")
    with alone(home):
        if not (home / "made").exists():
            _run(sys.executable, "-m", "venv", "--clear", str(home / "venv"))
            pip = (
                str(home / "venv" / "bin" / "python"),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            )
            _run(*pip, "--require-hashes", "-r", str(REQUIREMENTS))
            (home / "made").touch()
    return home / "venv" / "bin"


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"Splunk's validators were not installed within {_INSTALL_S} s") from None
    if done.returncode:
        raise Unavailable(f"Splunk's validators cannot be installed: {done.stderr.strip()[-500:]}")
