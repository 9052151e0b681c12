"""The public corpora go through normalisers of their own: whole ones in the long form, a sample by file otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.learn.coverage import Coverage, Tally
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
    "omerbenamram__evtx.tar.xz": frozenset({
        "2-vss_0-Microsoft-Windows-RemoteDesktopServices-RdpCoreTS%4Operational",
        "2-vss_0-Microsoft-Windows-TerminalServices-RemoteConnectionManager%4Operational",
        "sample-with-zero-data-size-event",
        "sample_with_a_bad_chunk_magic",
        "sysmon",
    })
}  # fmt: skip
"""Logs that a parser is tested with: with chunks or records broken on purpose, or cut out of shadow copies."""


def covered(path: Path, share: Share) -> tuple[Coverage, set[str]]:
    """What was counted, and the files in which a reader found something that it could not read."""
    if not path.exists():
        pytest.skip(f"no corpus {path.name} in {path.parent}")
    pytest.importorskip("evtx", reason="needs the extra `evtx`")
    corpus = Corpus(str(path), share)
    tally = Tally()
    unreadable: set[str] = set()
    for raw in corpus.events():
        tally.take(raw)
        if raw.error is not None:
            unreadable.add(raw.place.rpartition("/")[2].partition(".evtx")[0])
    return tally.coverage(path.name, corpus.files, 20), unreadable


def check(path: Path, share: Share) -> None:
    found, unreadable = covered(path, share)
    assert found.files
    assert found.events
    unknown = "\n".join(f"{kind.events} {kind.kind} ({kind.place})" for kind in found.unknown_kinds)
    assert found.specific >= SPECIFIC[path.name] * (found.events - found.dead), unknown
    assert unreadable <= DAMAGED.get(path.name, frozenset()), found.dead_reasons
    assert unreadable or found.dead == 0, found.dead_reasons


@pytest.mark.parametrize("name", SPECIFIC)
def test_a_sample_of_a_corpus_goes_through_normalisers_of_its_own(corpora: Path, name: str) -> None:
    check(corpora / name, SAMPLE)


@pytest.mark.full
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SPECIFIC)
def test_a_whole_corpus_goes_through_normalisers_of_its_own(corpora: Path, name: str) -> None:
    check(corpora / name, ALL)
