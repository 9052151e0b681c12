"""The public corpora go through normalisers of their own: whole ones in the long form, a sample by file otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.learn.coverage import Coverage, measured
from connector.learn.event_files import ALL, Corpus, Share

SAMPLE = Share(0.02)
SPECIFIC = {
    "OTRF__Security-Datasets.tar": 0.99,
    "OTRF__Security-Datasets-compound.tar": 0.99,
    "mdecrevoisier__EVTX-to-MITRE-Attack.tar.xz": 0.99,
    "omerbenamram__evtx.tar.xz": 0.99,
    "Security-Experts-Community__open-xp-rules.tar.xz": 0.95,
    "panther-labs__panther-analysis.tar.xz": 0.80,
}
DAMAGED = {
    "omerbenamram__evtx.tar.xz": (
        "2-vss_0-Microsoft-Windows-RemoteDesktopServices-RdpCoreTS%4Operational.evtx",
        "2-vss_0-Microsoft-Windows-TerminalServices-RemoteConnectionManager%4Operational.evtx",
        "sample_with_a_bad_chunk_magic.evtx",
        "sysmon.evtx",
    )
}
"""Logs with chunks or records that are broken on purpose, or were cut out of shadow copies."""


def covered(path: Path, share: Share) -> Coverage:
    if not path.exists():
        pytest.skip(f"no corpus {path.name} in {path.parent}")
    pytest.importorskip("evtx", reason="needs the extra `evtx`")
    corpus = Corpus(str(path), share)
    tally = measured(corpus.events())
    return tally.coverage(path.name, corpus.files, 20)


def check(path: Path, share: Share) -> None:
    found = covered(path, share)
    assert found.files
    assert found.events
    unknown = "\n".join(f"{kind.events} {kind.kind} ({kind.place})" for kind in found.unknown_kinds)
    assert found.specific >= SPECIFIC[path.name] * (found.events - found.dead), unknown
    damaged = DAMAGED.get(path.name, ())
    unforgiven = [dead for dead in found.dead_reasons if not all(place.endswith(damaged) for place in dead.places)]
    assert unforgiven == []


@pytest.mark.parametrize("name", SPECIFIC)
def test_a_sample_of_a_corpus_goes_through_normalisers_of_its_own(corpora: Path, name: str) -> None:
    check(corpora / name, SAMPLE)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SPECIFIC)
def test_a_whole_corpus_goes_through_normalisers_of_its_own(corpora: Path, name: str) -> None:
    check(corpora / name, ALL)
