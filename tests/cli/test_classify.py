"""`triaged classify`: one verdict a line, in input order, whatever the input holds."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.daemon.site import process_start
from tests.models.tiny import tiny_store
from tests.running import ROOT

FIELDS = {
    "verdict", "confidence", "techniques", "members", "model", "fingerprint", "scope", "revision", "tags", "explanation",
    "policy", "source", "origin",
}  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("classify") / "store")


@pytest.fixture
def classify(store):
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "connector.cli", "classify", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "TRIAGED_MODEL__STORE": str(store)},
            capture_output=True,
            timeout=120,
        )

    return run


def lines(events):
    return "".join(json.dumps(event) + "\n" for event in events)


def rows(done):
    assert done.stdout.endswith(b"\n") or not done.stdout
    assert b"\r" not in done.stdout
    return [json.loads(line) for line in done.stdout.decode("utf-8").split("\n")[:-1]]


def test_each_event_gives_one_row_in_order_with_every_field_of_the_contract(classify, tmp_path):
    names = [f"tool{n}.exe" for n in range(2500)]
    (tmp_path / "a.jsonl").write_text(lines(process_start(name) for name in names))
    done = classify(tmp_path / "a.jsonl")
    assert done.returncode == 0, done.stderr.decode()
    found = rows(done)
    assert [row["triaged"]["source"]["id"] for row in found] == sorted(
        (row["triaged"]["source"]["id"] for row in found), key=lambda i: int(i.rpartition(":")[2])
    )
    assert len(found) == len(names)
    assert all(row["triaged"].keys() >= FIELDS and "error" not in row["triaged"] for row in found)


def test_blank_lines_are_skipped_and_a_bad_event_is_a_row_with_its_place_and_exit_3(classify, tmp_path):
    good = json.dumps(process_start("ünïcode.exe"), ensure_ascii=False)
    (tmp_path / "a.jsonl").write_text(f"{good}\n\n   \n[1, 2]\n{good}\n", encoding="utf-8")
    done = classify(tmp_path / "a.jsonl")
    assert done.returncode == 3
    first, bad, last = rows(done)
    assert first["triaged"]["verdict"] == last["triaged"]["verdict"]
    assert bad["triaged"]["verdict"] is None
    assert bad["triaged"].keys() >= FIELDS
    assert bad["triaged"]["error"]["place"].endswith("a.jsonl:4")
    assert bad["triaged"]["error"]["reason"]
    assert "1 event(s)" in done.stderr.decode()


def test_archives_and_compressed_files_give_the_rows_of_what_they_hold(classify, tmp_path):
    text = lines(process_start(f"t{n}.exe") for n in range(5))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("inside/one.json", text)
        archive.writestr("inside/two.json", json.dumps([process_start("x.exe"), process_start("y.exe")]))
    done = classify(tmp_path / "a.jsonl.gz", tmp_path / "b.zip")
    assert done.returncode == 0, done.stderr.decode()
    assert len(rows(done)) == 5 + 5 + 2


def test_the_same_event_gives_the_same_verdict_wherever_it_stands(classify, tmp_path):
    mixed = [process_start(f"t{n}.exe") for n in range(40)]
    (tmp_path / "all.jsonl").write_text(lines(mixed))
    (tmp_path / "one.jsonl").write_text(lines(mixed[17:18]))
    whole, alone = rows(classify(tmp_path / "all.jsonl"))[17], rows(classify(tmp_path / "one.jsonl"))[0]
    assert whole["triaged"]["fingerprint"] == alone["triaged"]["fingerprint"]
    assert whole["triaged"]["confidence"] == pytest.approx(alone["triaged"]["confidence"], rel=1e-3)


def test_a_table_is_for_people(classify, tmp_path):
    (tmp_path / "a.jsonl").write_text(lines([process_start("a.exe")]))
    done = classify("--output", "table", tmp_path / "a.jsonl")
    assert done.returncode == 0, done.stderr.decode()
    assert "ws-01" in done.stdout.decode()


def test_a_file_that_does_not_exist_is_one_line_and_exit_2(classify, tmp_path):
    done = classify(tmp_path / "none.jsonl")
    assert done.returncode == 2
    assert "none.jsonl" in done.stderr.decode()
    assert "Traceback" not in done.stderr.decode()
