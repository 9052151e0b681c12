"""The bench of the search command runs from end to end, and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.tiny import tiny_store

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_a_quick_run_prints_every_figure_as_one_json_line(tmp_path):
    store = tiny_store(tmp_path / "store")
    command = ["-m", "tests.bench.splunk", "--quick", "--store", str(store), "--corpora", str(tmp_path)]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["start_extra_ms"].keys() == found["bare_ms"].keys()
    assert all(extra > 0 for extra in found["start_extra_ms"].values())
    for kind in ("distinct", "cached"):
        assert min(found[f"api_{kind}"], found[f"command_{kind}"], found[f"command_share_{kind}"]) > 0
