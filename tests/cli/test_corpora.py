"""`triaged classify` on real recordings: one verdict a line, as many as events."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.daemon.site import ROOT

SAMPLE = 3


def classified(path: Path) -> list[dict]:
    done = subprocess.run(
        [sys.executable, "-m", "connector.cli", "classify", str(path)], cwd=ROOT, capture_output=True, timeout=580
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return [json.loads(line) for line in done.stdout.decode("utf-8").split("\n")[:-1]]


def recordings(corpora: Path, most: int) -> list[tuple[str, bytes]]:
    """Zips of host events, by name, none larger than ``most`` bytes."""
    with tarfile.open(corpora / "OTRF__Security-Datasets.tar") as tar:
        members = [m for m in tar if m.name.endswith(".zip") and "/host/" in m.name and m.size < most]
        return [(m.name, tar.extractfile(m).read()) for m in sorted(members, key=lambda m: m.name)]


def lines_in(data: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return sum(
            sum(1 for line in archive.read(name).splitlines() if line.strip())
            for name in archive.namelist()
            if not name.endswith("/") and not name.startswith("__MACOSX")
        )


def check(name: str, data: bytes, directory: Path) -> None:
    path = directory / "recording.zip"
    path.write_bytes(data)
    rows = classified(path)
    assert len(rows) == lines_in(data), name
    assert all(row["triaged"]["verdict"] for row in rows), name


def test_a_sample_of_otrf_recordings_gives_one_verdict_an_event(corpora, tmp_path):
    chosen = random.Random(3).sample(recordings(corpora, 200_000), SAMPLE)
    for name, data in chosen:
        check(name, data, tmp_path)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_every_otrf_recording_gives_one_verdict_an_event(corpora, tmp_path):
    found = recordings(corpora, 1 << 40)
    assert len(found) > 50
    for name, data in found:
        check(name, data, tmp_path)


def test_an_evtx_of_evtx_to_mitre_gives_one_verdict_a_record(corpora, tmp_path):
    evtx = pytest.importorskip("evtx", reason="needs the extra `evtx`")
    with tarfile.open(corpora / "mdecrevoisier__EVTX-to-MITRE-Attack.tar.xz") as tar:
        members = sorted((m for m in tar if m.name.endswith(".evtx")), key=lambda m: m.name)
        for member in random.Random(5).sample(members, SAMPLE):
            path = tmp_path / "sample.evtx"
            path.write_bytes(tar.extractfile(member).read())
            expected = sum(1 for _ in evtx.PyEvtxParser(str(path)).records_json())
            assert len(classified(path)) == expected, member.name
