"""``make demo-splunk``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment


@pytest.mark.full
def test_the_search_command_shows_what_the_daemon_found_in_splunk() -> None:
    command = [sys.executable, "-m", "tests.demo.splunk"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment.clean(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["events"] == facts["verdicts"] == facts["written"] == facts["enriched"] > 800
    assert facts["dead"] == 0
    assert facts["techniques"] > 5
    assert facts["runs"] >= 1
    assert "T1059" in done.stdout
