"""Events that no training row may share a fingerprint with: the demo's scenario, so that what it shows was never learnt."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from connector.demo import scenario_paths
from connector.errors import PermanentError
from connector.events import normalise
from connector.types import RawEvent, SourceRef


def fingerprints(paths: Iterable[Path]) -> frozenset[str]:
    """The fingerprints of the events of gzipped JSONL files."""
    found: set[str] = set()
    for path in paths:
        for number, line in enumerate(gzip.decompress(path.read_bytes()).splitlines()):
            ref = SourceRef(siem="file", index=path.name, id=str(number))
            try:
                found.add(
                    normalise(RawEvent(deployment="held out", native_id=str(number), ref=ref, data=line)).fingerprint
                )
            except PermanentError:
                continue
    return frozenset(found)


@cache
def scenario() -> frozenset[str]:
    """The fingerprints of the bundled demo."""
    return fingerprints(scenario_paths())
