"""An invented compound recording beside a tiny corpora folder, in the upstream's own format."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from connector.learn.corpora.source import Corpora, Source
from connector.learn.streams import CAMPAIGNS
from tests.learn import corpus


def beside(place: Path, pins: Mapping[str, Source], events: Iterable[Mapping[str, object]]) -> Corpora:
    """The folder with one campaign of these flat events, and what the upstream packs beside it."""
    members = {
        "datasets/compound/LSASS_campaign_02/rec1.zip": zipped(events),
        "datasets/compound/LSASS_campaign_02/rec1_zeek_logs.zip": zipped([{"uid": "C1"}]),
        "datasets/compound/_metadata/LSASS_campaign_02.yaml": corpus.metadata(1).encode(),
    }
    path = place / "compound.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{pins['otrf'].root}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    pin = msgspec.structs.replace(
        pins["otrf"], name=CAMPAIGNS, archive=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )
    return Corpora(place, {**pins, CAMPAIGNS: pin})


def zipped(events: Iterable[Mapping[str, object]]) -> bytes:
    """A recording: one event a line, after a line that is none."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("events.json", "not json\n" + "\n".join(map(json.dumps, events)))
    return buffer.getvalue()
