"""Streams, targets and the page, on a handful of invented numbers."""

from __future__ import annotations

import re

import msgspec
import numpy as np

from connector.learn.corpora import wrap
from connector.learn.evaluation import alarms, malice, operating, page, targets, techniques
from connector.learn.evaluation.alarms import Judged
from connector.learn.evaluation.fitting import Predicted, joined, load, save
from connector.learn.evaluation.folds import FOLDS, RANDOM
from connector.learn.evaluation.lolbas import filled
from connector.learn.evaluation.recordings import Stream
from connector.learn.evaluation.result import About, Evaluation
from connector.learn.evaluation.targets import Parts
from tests.learn.evaluation.test_folds import BENIGN, row

ABOUT = About(FOLDS, "text")

ROWS = [
    *(row(n, "evtx_to_mitre", f"file {n // 4}", techniques=(f"T100{n // 4 % 2}",)) for n in range(80)),
    *(row(200 + n, "tldr", f"page {n}", basis="manual-page", **BENIGN) for n in range(80)),
]


def said() -> Predicted:
    """Right for every second file; every attack and every tenth page is called malicious."""
    right = np.array([[0.9, 0.1] if n // 4 % 4 in {0, 3} else [0.1, 0.9] for n in range(80)] + [[0.0, 0.0]] * 80)
    malicious = np.array([0.5] * 80 + [0.5 if n % 10 == 0 else 1e-6 for n in range(80)])
    return Predicted(("T1000", "T1001"), right.astype(np.float32), malicious, {"malicious": malicious > 0.1}, 1e-4)


def stream(name: str, *, site: str = "corp") -> Stream:
    return Stream(name, site, True, {"attack": 2}, {("seen", "pc1"): 900, ("new", "pc1"): 90, ("odd", "pc2"): 10})


def test_false_alarms_are_counted_by_event_and_apart_on_what_training_never_saw() -> None:
    judged = [
        Judged(stream("a"), frozenset({"seen"}), {"malicious": frozenset({"odd", "attack"})}),
        Judged(stream("b"), frozenset({"seen"}), {"malicious": frozenset({"seen"})}),
    ]
    site, every = alarms.background(ABOUT, judged)
    learnt = Judged(stream("c"), frozenset({"attack"}), {"malicious": frozenset({"attack"})})
    found = alarms.recordings(ABOUT, [*judged, learnt])

    assert (site.basis, every.basis) == ("corp", "every left-out site")
    assert every.every["malicious"].value == 10_000 * 910 / 2000
    assert every.absent["malicious"].value == 10_000 * 10 / 200
    assert every.absent["malicious"].rows == 200
    assert set(every.hosts) == {("pc1", 180, 0), ("pc2", 20, 10)}
    assert found.levels["malicious"].value == 1 / 3
    assert found.missed == ["b", "c"]


def test_a_target_is_met_by_its_number_alone_and_the_page_shows_it_without_asking_the_net() -> None:
    found = said()
    parts = Parts(
        techniques=list(techniques.measured(ABOUT, ROWS, found.names, found.techniques)),
        flagged=list(malice.flagged(ABOUT, ROWS, found)),
        background=[],
        recordings=[],
        calibration=list(malice.reliable(ABOUT, ROWS, found)),
        stated=list(malice.stated(ABOUT, ROWS, found)),
    )
    right = np.array([[float(name in row.techniques) for name in found.names] for row in ROWS], np.float32)
    flattering = list(techniques.measured(About(RANDOM, "text"), ROWS, found.names, right))
    parts = msgspec.structs.replace(parts, techniques=[*parts.techniques, *flattering])
    lines = {line.name: line for line in targets.judged(parts)}
    result = Evaluation(
            bundle="tiny/<1>", dataset="0" * 64, recipe={}, folds=2, seconds=1, rows={}, leaks=[], operating_points=[],
            targets=list(lines.values()), separation=list(malice.separation(ABOUT, ROWS, found)), techniques=parts.techniques,
            flagged=parts.flagged, background=[], recordings=[], calibration=parts.calibration, stated=parts.stated,
    )  # fmt: skip
    shown = page.written(result)

    assert {entry.head for entry in parts.calibration} == {"malicious", "technique"}
    assert b'"operating_points":[]' in msgspec.json.encode(result)
    assert not lines["EVTX-to-MITRE by file, hit@1"].met
    assert lines["EVTX-to-MITRE by file, hit@1"].measured.startswith("0.5 [")
    assert lines["EVTX-to-MITRE by file, hit@1"].at_random.startswith("1 [")
    assert lines["EVTX-to-MITRE by file, hit@3"].met
    assert not lines["administration left out, malicious per 10,000 (tldr, manual-page)"].at_random
    assert not lines["administration left out, malicious per 10,000 (tldr, manual-page)"].met
    assert "tiny/&lt;1&gt;" in shown
    assert "<svg" in shown
    assert re.findall(r"(?:src|href)=(?![\"']?#)\S*|url\((?!#)\S*|<script", shown) == []


def test_predictions_come_back_from_disk_as_they_were_and_folds_are_joined_by_name(tmp_path) -> None:
    found = said()
    save(tmp_path / "a.npz", found)
    again = load(tmp_path / "a.npz")
    other = Predicted(("T1001", "T9"), np.ones((1, 2), np.float32), np.ones(1), {"malicious": np.array([True])}, 1e-4)
    both = joined([again, other])

    np.testing.assert_array_equal(again.techniques, found.techniques)
    np.testing.assert_array_equal(again.over["malicious"], found.over["malicious"])
    assert both.names == ("T1000", "T1001", "T9")
    assert both.techniques[-1].tolist() == [0.0, 1.0, 1.0]
    assert len(both.malicious) == len(both.over["malicious"]) == 161


def test_operating_points_rise_and_count_harmless_rows_or_say_that_they_are_extrapolated() -> None:
    found = operating.measured(np.concatenate([np.full(80, 0.5), np.geomspace(1e-6, 1e-2, 80)]), ROWS)

    assert [point.cut for point in found] == sorted(point.cut for point in found)
    assert found[0].recall == 1.0
    assert found[0].counted
    assert not found[-1].counted
    assert found[0].precision(0.5) > found[0].precision(1e-4)


def test_a_placeholder_of_a_command_is_filled_and_the_same_each_time() -> None:
    line = "tool.exe -f {REMOTEURL:.exe} {PATH_ABSOLUTE:.dll} {PATH_SMB:folder} {CMD} {PATH:.txt}"
    first, again = (filled(line, wrap.seeded("lolbas", "1")) for _ in range(2))

    assert first == again
    assert "{" not in first
    assert re.search(r"http://\S+\.exe [A-Z]:\\\S+\.dll \\\\\S+ ", first)
