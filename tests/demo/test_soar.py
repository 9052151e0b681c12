"""``make demo-soar``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from unittest import SkipTest

import pytest

from tests import environment


@pytest.mark.full
def test_the_demo_shows_what_node_red_ran_once_and_what_came_back() -> None:
    command = [sys.executable, "-m", "tests.demo.soar"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment.clean(), capture_output=True, text=True, timeout=600
    )
    if "the demo needs Node-RED" in done.stderr:
        raise SkipTest(done.stderr)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert facts["events"] == facts["verdicts"] == facts["written"] > 800
    assert facts["dead"] == 0
    assert facts["runs"] == done.stdout.count("1×") == done.stdout.count("→ succeeded: ") >= 1
