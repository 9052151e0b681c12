"""`triaged classify` on real recordings: one verdict a line, as many as events."""

from __future__ import annotations

import io
import json
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.running import ROOT

SAMPLE = 3


def classified(*paths: Path) -> Iterator[dict]:
    """The rows of one run over all the paths, as they come."""
    command = [sys.executable, "-m", "connector.cli", "classify", *map(str, paths)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        for line in run.stdout:
            yield json.loads(line)
    assert run.returncode == 0


def recordings(corpora: Path, most: int) -> list[tuple[str, bytes]]:
    """Zips of host events, by name, none larger than ``most`` bytes."""
    with tarfile.open(corpora / "OTRF__Security-Datasets.tar") as tar:
        members = [m for m in tar if m.name.endswith(".zip") and "/host/" in m.name and m.size < most]
        return [(m.name, tar.extractfile(m).read()) for m in sorted(members, key=lambda m: m.name)]


def events_in(data: bytes) -> int:
    """Lines, or serials where the lines are Linux audit records: the records of one serial are one event."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/") and not name.startswith("__MACOSX")]
        return sum(_events(archive.read(name)) for name in names)


def _events(content: bytes) -> int:
    serials = set(re.findall(rb"msg=(audit\(\S+\)):", content))
    return len(serials) or sum(1 for line in content.splitlines() if line.strip())


def check(found: Sequence[tuple[str, bytes]], directory: Path) -> None:
    """As many verdicts as events, for each recording."""
    expected = {}
    for number, (_, data) in enumerate(found):
        path = directory / f"{number}.zip"
        path.write_bytes(data)
        expected[str(path)] = events_in(data)
    verdicts = Counter(
        row["triaged"]["source"]["index"] for row in classified(*map(Path, expected)) if row["triaged"]["verdict"]
    )
    wrong = {found[int(Path(path).stem)][0]: (verdicts[path], n) for path, n in expected.items() if verdicts[path] != n}
    assert not wrong


def test_a_sample_of_otrf_recordings_gives_one_verdict_an_event(corpora, tmp_path):
    check(random.Random(3).sample(recordings(corpora, 200_000), SAMPLE), tmp_path)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_every_otrf_recording_gives_one_verdict_an_event(corpora, tmp_path):
    found = recordings(corpora, 1 << 40)
    assert len(found) > 50
    check(found, tmp_path)


def test_an_evtx_of_evtx_to_mitre_gives_one_verdict_a_record(corpora, tmp_path):
    evtx = pytest.importorskip("evtx", reason="needs the extra `evtx`")
    with tarfile.open(corpora / "mdecrevoisier__EVTX-to-MITRE-Attack.tar.xz") as tar:
        members = sorted((m for m in tar if m.name.endswith(".evtx")), key=lambda m: m.name)
        for member in random.Random(5).sample(members, SAMPLE):
            path = tmp_path / "sample.evtx"
            path.write_bytes(tar.extractfile(member).read())
            expected = sum(1 for _ in evtx.PyEvtxParser(str(path)).records_json())
            assert sum(1 for _ in classified(path)) == expected, member.name
