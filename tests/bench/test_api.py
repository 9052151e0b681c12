"""The bench of the API runs from end to end and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.bench.api import rates
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
    assert min(found[name] for name in ("scorer", "api", "api_share", "api_cached", "api_cached_share")) > 0


def test_the_share_is_the_median_of_each_rounds_own():
    found = rates(100, [(1.0, 2.0), (2.0, 2.5), (10.0, 5.0)])

    assert found == (50.0, 40.0, 0.8)
