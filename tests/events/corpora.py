"""Events of the public corpora, where they are at hand: ``TRIAGED_CORPORA``, or ``shared/corpora`` beside the checkout."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(os.environ.get("TRIAGED_CORPORA", Path(__file__).parents[3] / "shared" / "corpora"))
OTRF = FOLDER / "OTRF__Security-Datasets.tar"
EVTX = FOLDER / "mdecrevoisier__EVTX-to-MITRE-Attack.tar.xz"


def need(path: Path) -> Path:
    if not path.is_file():
        pytest.skip(f"corpus {path.name} is not in {FOLDER}")
    return path


def otrf_lines(files: int, per_file: int, seed: int = 7) -> Iterator[bytes]:
    """Lines of a fixed choice of recordings: from each, lines spread over the whole file."""
    with tarfile.open(need(OTRF)) as tar:
        members = sorted(
            (m for m in tar if m.name.endswith(".zip") and "/host/" in m.name and m.size < 3_000_000),
            key=lambda m: m.name,
        )
        for member in random.Random(seed).sample(members, min(files, len(members))):
            archive = zipfile.ZipFile(io.BytesIO(tar.extractfile(member).read()))  # type: ignore[union-attr]
            for name in archive.namelist():
                if name.endswith(".json") and not name.startswith("__MACOSX"):
                    lines = archive.read(name).splitlines()
                    yield from lines[:: max(1, len(lines) // per_file)][:per_file]


def evtx_records(files: int, per_file: int, seed: int = 7) -> Iterator[dict[str, Any]]:
    """Records of a fixed choice of EVTX files."""
    parser = pytest.importorskip("evtx", reason="package evtx is not installed").PyEvtxParser
    with tarfile.open(need(EVTX)) as tar, tempfile.TemporaryDirectory() as folder:
        members = sorted(
            (m for m in tar.getmembers() if m.name.endswith(".evtx") and m.size < 1_200_000), key=lambda m: m.name
        )
        for member in random.Random(seed).sample(members, min(files, len(members))):
            path = Path(folder) / "log.evtx"
            path.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
            for index, record in enumerate(parser(str(path)).records_json()):
                if index == per_file:
                    break
                yield json.loads(record["data"])
