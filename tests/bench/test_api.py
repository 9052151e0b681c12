"""The bench of the API runs from end to end and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import clean
from tests.models.tiny import tiny_store

ROOT = Path(__file__).parents[2]


def test_a_quick_run_prints_every_figure_as_one_json_line(tmp_path):
    store = tiny_store(tmp_path / "store")
    command = ["-m", "tests.bench.api", "--quick", "--store", str(store), "--corpora", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["stream"] == "bundled scenario"
    assert found["batch"] == 50
    assert 0 < found["api_share"] < 2
    assert found["api_share"] == pytest.approx(found["api"] / found["scorer"], rel=0.5)
    assert found["api_cached_share"] == pytest.approx(found["api_cached"] / found["in_process_cached"], rel=0.5)
