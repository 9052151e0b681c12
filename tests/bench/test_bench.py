"""The bench runs from end to end and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.child import Report
from tests.bench.ingest import _read
from tests.bench.plan import QUICK
from tests.models.tiny import tiny_store

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_a_quick_run_prints_every_figure_as_one_json_line(tmp_path):
    command = [
        "-m",
        "tests.bench",
        "--quick",
        "--store",
        str(tiny_store(tmp_path / "store")),
        "--corpora",
        str(tmp_path),
    ]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["stream"] == "bundled scenario"
    assert found["events"] == QUICK.stream
    assert found["dead"] == 0
    assert list(found["seconds"]) == [str(mark) for mark in QUICK.marks]
    assert found["repeat_ratio"] > 1
    assert found["distinct_ratio"] == pytest.approx(found["distinct"] / found["pipeline_batched"], rel=0.02)
    ceiling = found["distinct"] * found["repeat_ratio"]
    assert found["share_of_ceiling"] == pytest.approx(found["ingest"] / ceiling, rel=0.02)
    assert found["normalise_share"] == pytest.approx(found["normalise"] / found["orjson"], rel=0.5)
    assert 50 < found["peak_memory_mib"] < 1024


def test_times_are_counted_from_the_end_of_the_warm_part():
    """A made-up run: 100 events/s while warm, 200 after, so that every figure can be told by hand."""
    warm = [(float(t), 100 * t, 1000, 0.5 * t) for t in range(4)]
    after = [(3.0 + t, 300 + 200 * t, 1000 + 10 * t, 1.5 + t * t) for t in range(1, 7)]
    report = Report(samples=[*warm, *after], delivered_at=18.0, scored=300, peak=2000)
    found = _read(report, QUICK)
    assert found.rate == pytest.approx(1500 / 9)
    assert found.repeat == 5.0
    assert found.marks == pytest.approx({100: 0.5, 300: 1.5, 1200: 6.0})
    assert found.growth == pytest.approx(1.0)
    assert found.cpu_growth == pytest.approx((36 - 20.5) / 2.5)
    assert found.delivered_rate == pytest.approx(1500 / 18)
    assert found.memory_growth == 40
