"""Real recordings: as many events as upstream recorded, each where it stands."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
from pathlib import Path

from connector.siem.files import open_paths

OTRF = "OTRF__Security-Datasets.tar"
EVTX = "mdecrevoisier__EVTX-to-MITRE-Attack.tar.xz"


def test_a_zip_of_host_events_gives_one_event_a_line_or_audit_serial(corpora: Path, tmp_path: Path) -> None:
    with tarfile.open(corpora / OTRF) as archive:
        hosts = [m for m in archive if m.name.endswith(".zip") and "/host/" in m.name]
        for member in sorted(hosts, key=lambda m: m.size)[:12]:
            path = tmp_path / Path(member.name).name
            content = archive.extractfile(member)
            assert content is not None
            packed = content.read()
            path.write_bytes(packed)
            with zipfile.ZipFile(io.BytesIO(packed)) as opened:
                names = [name for name in opened.namelist() if "__MACOSX" not in name and not name.endswith("/")]
                lines = sum(_events(opened.read(name)) for name in names)
            raws = list(open_paths([path]))
            assert len(raws) == lines == len({raw.native_id for raw in raws})
            assert [raw.error for raw in raws if raw.error] == []


def _events(content: bytes) -> int:
    serials = re.findall(rb"msg=(audit\(\S+\)):", content)
    return len(set(serials)) or sum(1 for line in content.splitlines() if line.strip())


def test_every_event_log_gives_its_records_as_json(corpora: Path) -> None:
    raws = list(open_paths([corpora / EVTX]))
    assert len(raws) == 9100
    assert all(isinstance(raw.data, bytes) and raw.data.startswith(b'{"Event":') for raw in raws)
    assert len({raw.place for raw in raws}) == len(raws)
