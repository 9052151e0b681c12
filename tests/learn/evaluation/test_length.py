"""The study of how far a text is read: on a bundle whose words are known, and the whole command on the shipped one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest

from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset
from connector.learn.evaluation.shipped import opened
from connector.learn.evaluation.studies import length
from connector.learn.evaluation.studies.__main__ import main
from connector.models.store import Store
from connector.models.testbed import lay_bundle

WEIGHTS = {
    "alpha": {"T1059": 9.0, "malicious": 9.0},
    "beta": {"T1003": 5.0, "T1033": 1.0},
}


@pytest.fixture(scope="module")
def rows(tiny: Corpora) -> Dataset:
    return dataset.build(tiny)


def with_texts(rows: Dataset) -> Dataset:
    """Twelve attacks and twelve harmless rows a split, each a file; what tells an attack comes after 100 other words."""
    made = []
    for split in length.SPLITS:
        for number in range(24):
            attack = number % 2 == 0
            text = "beta " + "gamma " * 100 + ("alpha" if attack else "delta")
            made.append(
                msgspec.structs.replace(
                    rows.rows[0],
                    text=text, kind="sysmon-1", split=split, group=f"{split} {number}", source="made",
                    fingerprint=f"{split}-{number:02}".encode().hex().ljust(64, "0"),
                    techniques=("T1059",) if attack else ("T1003",), malicious=attack,
                )
            )  # fmt: skip
    return msgspec.structs.replace(rows, rows=tuple(made))


def test_what_stands_behind_a_cap_is_gained_by_reading_further(tmp_path: Path, rows: Dataset) -> None:
    lay_bundle(tmp_path, weights=WEIGHTS)
    found = length.study(opened(Store(tmp_path), "tiny/1"), with_texts(rows))

    assert found.rows == {"dev": 24, "calibration": 24}
    assert {one.read for one in found.tried} == {"tokens"}, "its graph reads no letters"
    caps = {one.cap: one for one in found.tried}
    assert [cap for cap, one in caps.items() if one.own] == [128], "what a manifest that says nothing reads"
    for split in length.SPLITS:
        short, own, long = (caps[cap].splits[split] for cap in (64, 128, 512))
        assert (short.cut, own.cut, long.cut) == (1.0, 0.0, 0.0)
        assert (short.top1.value, own.top1.value) == (0.5, 1.0)
        assert short.top1.gain.value == -0.5
        assert short.top1.gain.low < -0.5 < short.top1.gain.high < 0
        assert (short.auc.value, own.auc.value) == (0.5, 1.0)
        assert short.auc.gain.value == -0.5
        assert (long.top1.gain.low, long.top1.gain.high) == (0.0, 0.0)


def test_rows_that_the_bundle_was_trained_on_are_left_out(tmp_path: Path, rows: Dataset) -> None:
    made = with_texts(rows)
    lay_bundle(tmp_path, weights=WEIGHTS, trained_on=[row.fingerprint for row in made.of("dev")[:4]])

    found = length.study(opened(Store(tmp_path), "tiny/1"), made)

    assert found.rows == {"dev": 20, "calibration": 24}


def test_a_group_counts_once_however_many_rows_it_has(tmp_path: Path, rows: Dataset) -> None:
    lay_bundle(tmp_path, weights=WEIGHTS)
    made = with_texts(rows)
    attack = made.of("dev")[0]
    copies = [
        msgspec.structs.replace(attack, fingerprint=f"copy-{number:02}".encode().hex().ljust(64, "0"))
        for number in range(30)
    ]

    found = length.study(opened(Store(tmp_path), "tiny/1"), msgspec.structs.replace(made, rows=(*made.rows, *copies)))

    short = next(one for one in found.tried if one.cap == 64).splits["dev"]
    assert found.rows["dev"] == 54
    assert short.top1.value == pytest.approx(0.5)


def test_the_command_tries_both_caps_of_the_shipped_bundle(
    tmp_path: Path, rows: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset_file.write(rows, tmp_path / "rows")

    assert main(["length", "--rows", str(tmp_path / "rows"), "--output", str(tmp_path / "out")]) == 0

    found = json.loads((tmp_path / "out" / "length.json").read_bytes())
    assert [(one["read"], one["cap"]) for one in found["tried"] if one["own"]] == [("tokens", 160), ("letters", 1024)]
    assert all(math.isfinite(one["cpu"]) and one["cpu"] > 0 for one in found["tried"])
    printed = capsys.readouterr().out
    assert "| **160 tokens** | dev |" in printed
    assert "| 4096 letters | calibration |" in printed
