"""The bench of enrichment runs from end to end, and its figures belong together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.elastic_ingest import PIPELINES, cpu_seconds
from tests.servers.opensearch import OpenSearch
from tests.siem.elastic.conftest import opensearch

__all__ = ["opensearch"]

ROOT = Path(__file__).parents[2]


@pytest.mark.full
@pytest.mark.timeout(900)
def test_a_quick_run_prints_every_pipelines_figures_as_one_json_line(opensearch: OpenSearch, tmp_path: Path) -> None:
    command = ["-m", "tests.bench.elastic", "--quick", "--corpora", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=800, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("server_cpu_us_per_event", "kept", "kept_by_clock"):
        assert found[name].keys() == PIPELINES.keys()
        assert min(found[name].values()) > 0
    assert found["kept"]["none"] == 1
    assert 0 < found["enriched_share"] <= 1


def test_processor_time_of_a_process_grows_while_it_works() -> None:
    import os

    begun = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) < begun + 0.03:
        sum(range(10_000))
    assert cpu_seconds(os.getpid()) < begun + 5
