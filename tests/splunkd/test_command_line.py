"""``python -m tests.splunkd``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.splunkd.asking import ask

_ROOT = Path(__file__).parents[2]


def test_the_command_serves_until_it_is_ended() -> None:
    command = [sys.executable, "-m", "tests.splunkd", "--seconds", "30"]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        url, token = re.search(r"(http://\S+).* token (\S+)", first).groups()
        assert ask(url, "GET", "/services/server/info", headers={"Authorization": f"Bearer {token}"}).status == 200
        hec = re.search(r"http://\S+", second)[0]
        assert ask(hec, "GET", "/services/collector/health").status == 200
        process.terminate()
        assert process.wait(10) == 0
