"""``make demo-learn``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment


@pytest.mark.full
def test_a_bundle_that_misjudges_a_tool_learns_from_thirty_closures_and_nothing_else_gets_worse() -> None:
    command = [sys.executable, "-m", "tests.demo.learn"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], env=environment.clean(), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["closures"], facts["learnt"]) == (30, 21)
    assert facts["passed"] == facts["checks"] > 30
    assert facts["production"].endswith("-r1")
    assert facts["tool"]["before"] > facts["tool"]["events"] / 2
    assert facts["tool"]["after"] < facts["tool"]["before"] / 10
    assert facts["intrusion"]["after"] >= facts["intrusion"]["before"] > 0
    assert facts["ordinary"]["after"] <= facts["ordinary"]["before"]
