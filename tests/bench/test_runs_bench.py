"""The bench of threads and batches tells what each setting is worth, and whether a batch moves a score."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.models.testbed import lay_text_member, text_spec
from tests.bench.runs import BATCHES, THREADS, main, measure


def test_a_graph_of_floats_gives_the_same_logits_with_every_setting(tmp_path: Path) -> None:
    lay_text_member(tmp_path)
    found = list(measure(text_spec(), tmp_path, ["whoami", "powershell mimikatz", "notes", "whoami " * 40], 1))
    assert [one.setting for one in found] == [(threads, batch) for threads in THREADS for batch in BATCHES]
    assert (found[0].speed, found[0].cpu) == (1.0, 1.0)
    assert max(one.moved for one in found) < 1e-4
    assert all(one.speed > 0 and one.cpu > 0 for one in found)


def test_the_table_shows_that_a_batch_moves_scores_of_the_shipped_graph_and_threads_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--corpora", str(tmp_path), "--events", "40", "--rounds", "1"]) == 0
    rows = [
        line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line[:3] in {"| 1", "| 2"}
    ]
    moved = {(int(threads), int(batch)): float(change) for threads, batch, _, _, change in rows}
    assert moved[1, 1] == moved[2, 1] == moved[16, 1] == 0.0
    assert moved[1, 8] > 0.01
