"""The study of closures counts what it says: alarms without and with the filter, and errors found and made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from connector.learn.dataset import Row
from connector.learn.evaluation import closures, shipped
from connector.learn.evaluation.closures import Alarms, Checked, Judge
from connector.learn.evaluation.studies.site import Host, Site
from connector.learn.training.retrain.frozen import Said
from connector.models.store import Store
from connector.models.testbed import lay_bundle

TOOL, ATTACK, ORDINARY = 0, 1, 2
"""Places of three kinds of event along an axis of their own."""


def row(number: int, *, malicious: bool, cluster: str) -> Row:
    return Row(
        text=f"text {number}",
        kind="sysmon-1",
        fingerprint=f"{number:064x}",
        techniques=(),
        malicious=malicious,
        basis="executed-test",
        source="atomic",
        group=f"file {number}",
        record="",
        licence="",
        split="dev",
        cluster=cluster,
    )


def said(kinds: list[int], seed: int = 1) -> Said:
    """Features near the axis of each event's kind; ordinary events score low, the others high."""
    around = np.eye(6)[kinds] * 4 + np.random.default_rng(seed).normal(0, 0.1, (len(kinds), 6))
    logits = np.where(np.array(kinds) == ORDINARY, -4.0, 4.0)
    return Said(around.astype(np.float32), np.zeros((len(kinds), 1)), logits)


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Levels 0.3, 0.6 and 0.9; base rows of ten attacks and ten ordinary events."""
    lay_bundle(tmp_path)
    base = [row(n, malicious=n < 10, cluster=f"{n}") for n in range(20)]
    return Judge(shipped.opened(Store(tmp_path), "tiny/1"), base, said([ATTACK] * 10 + [ORDINARY] * 10))


def test_closures_of_other_hosts_silence_the_same_tool_and_no_attack(judge):
    kinds = [TOOL, TOOL, ATTACK, ORDINARY, TOOL]
    hosts = {
        "one": Host(np.array([0, 1, 3]), np.array([False, False, False])),
        "two": Host(np.array([0, 0, 2, 3, 4]), np.array([False, False, True, False, False])),
    }
    texts = [f"text {n}" for n in range(5)]
    found = list(closures._on_site(judge, Site(hosts, texts, texts, texts), said(kinds)))
    assert [(one.left_out, one.closures, one.explained) for one in found] == [("host one", 3, 2), ("host two", 2, 2)]
    assert found[1].levels["suspicious"] == Alarms(ordinary=(3, 0), new=(1, 0), attacks=(1, 1))


def test_an_event_that_was_ordinary_before_an_attack_did_the_same_is_closed_as_ordinary(judge):
    hosts = {
        "one": Host(np.array([0]), np.array([False])),
        "three": Host(np.array([0]), np.array([True])),
        "two": Host(np.array([1]), np.array([False])),
    }
    found = list(closures._on_site(judge, Site(hosts, ["a", "b"], ["a", "b"], ["a", "b"]), said([TOOL, TOOL])))
    assert {one.left_out: (one.closures, one.explained) for one in found}["host two"] == (1, 1)


def test_near_duplicates_are_left_out_together(judge):
    alike = [row(n, malicious=False, cluster=f"{n // 2}") for n in range(10)] + [row(10, malicious=True, cluster="a")]
    (found,) = closures._on_corpora(judge, alike, said([TOOL] * 10 + [ATTACK]))
    assert found.levels["suspicious"] == Alarms(ordinary=(10, 0), new=(10, 0), attacks=(5, 5))
    apart = said([TOOL] * 10 + [ATTACK])
    apart.features[:10] = np.eye(6)[[0, 0, 2, 2, 3, 3, 4, 4, 5, 5]] * 4
    (found,) = closures._on_corpora(judge, alike, apart)
    assert found.levels["suspicious"].ordinary == (10, 10)
    assert list(closures._on_corpora(judge, alike[:4], said([TOOL] * 4))) == []


def test_found_errors_are_compared_with_those_that_were_made(monkeypatch):
    monkeypatch.setattr(closures, "DRAWS", 1)
    monkeypatch.setattr(closures, "FLIPPED", (0.0, 0.1))
    rows = [row(n, malicious=n % 2 == 0, cluster=f"{n}") for n in range(closures.LABELS)]
    found = list(closures._checked(rows, said([ATTACK, TOOL] * (closures.LABELS // 2))))
    clean, tenth = found
    assert (clean.share, clean.labels, clean.flipped, clean.found) == (0.0, closures.LABELS, 0, 0)
    assert 0.9 * tenth.flipped < tenth.right == tenth.found
    told = list(
        closures.told(
            closures.Study(
                bundle="x", site=[], corpora=[], labels=[Checked(share=0.0, labels=9, flipped=0, found=1, right=0)]
            )
        )
    )
    assert told[-1] == "| 0% | 9 | 0 | 1 | 0 | - | - |"
    assert list(closures._checked(rows[:10], said([ATTACK] * 10))) == []
