"""The bench of a challenger in shadow runs from end to end and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.shadow import Turn, cost
from tests.environment import clean
from tests.models.tiny import tiny_store

ROOT = Path(__file__).parents[2]


def test_the_cost_is_told_in_scoring_times_as_in_production_and_as_in_shadow():
    turns = [
        Turn(without=1.0, beside=1.5, in_production=0.5, in_shadow=0.4),
        Turn(2.0, 3.1, 1.0, 0.8),
        Turn(1.0, 1.9, 1.0, 0.8),
    ]
    found = cost(turns)
    assert found["cost_over_scoring_in_production"] == pytest.approx(2.5 / 2.5)
    assert found["half_of_batches_within"] == [0.9, 1.1]
    assert found["cost_over_scoring_in_shadow"] == 1.25


@pytest.mark.full
def test_a_quick_run_prints_every_figure_as_one_json_line(tmp_path):
    store = tiny_store(tmp_path / "store")
    command = ["-m", "tests.bench.shadow", "--quick", "--store", str(store), "--corpora", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["stream"] == "bundled scenario"
    assert found["compared"] == 1
    assert found["cpu_beside"] > found["cpu_without"] > 0
    assert found["rate_kept"] == pytest.approx(found["rate_beside"] / found["rate_without"], rel=0.02)
