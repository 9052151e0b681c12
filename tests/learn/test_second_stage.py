"""What the second stage learns from, and where its reach ends."""

from __future__ import annotations

import numpy as np
import pytest

from connector.learn.dataset import Row
from connector.learn.training.second_stage import fit, measured
from connector.models.second_stage import read

DRAW = np.random.default_rng(7)
TOOL, ATTACKS = np.array([6.0, 0, 0, 0]), np.array([3.0, 3.0, 0, 0])


def row(malicious: bool | None, cause: str | None = None, number: int = 0) -> Row:
    return Row(
        text=f"text {number}",
        kind="sysmon-1",
        fingerprint=f"{number:064x}",
        techniques=(),
        malicious=malicious,
        basis="analyst",
        source="closed-alerts",
        group=f"group {number}",
        record=f"{number}",
        licence="the site's own",
        split="train",
        cause=cause,  # type: ignore[arg-type]
    )


def site(cause: str | None = "benign_software") -> tuple[list[Row], np.ndarray, np.ndarray]:
    """Ten false positives of one tool, forty attacks, forty ordinary events."""
    rows = [row(False, cause, n) for n in range(10)]
    rows += [row(True, None, n) for n in range(10, 50)] + [row(False, None, n) for n in range(50, 90)]
    around = np.concatenate([np.tile(TOOL, (10, 1)), np.tile(ATTACKS, (40, 1)), np.zeros((40, 4))])
    logits = np.array([5.0] * 50 + [-3.0] * 40)
    return rows, (around + DRAW.normal(0, 0.5, around.shape)).astype(np.float32), logits


def test_events_like_explained_false_positives_become_ordinary_and_no_known_attack_moves():
    rows, features, logits = site()
    stage = fit(rows, features, logits)
    assert stage is not None
    attacks = slice(10, 50)
    assert np.array_equal(stage.lowered(features[attacks], logits[attacks]), logits[attacks])
    unseen = (TOOL + DRAW.normal(0, 0.5, (20, 4))).astype(np.float32)
    assert stage.lowered(unseen, np.full(20, 5.0)).max() < 2.0
    assert stage.lowered(TOOL[None], np.array([5.0]))[0] == pytest.approx(-3.0, abs=1.0)


def test_no_reach_is_wide_even_where_no_attack_is_near():
    rows, features, logits = site()
    stage = fit(rows, features, logits)
    assert stage is not None
    aside = np.array([[6.0, 0.0, 0.0, 6.0]], np.float32)  # at 45 degrees from the tool, and farther from the attacks
    assert stage.lowered(aside, np.array([5.0]))[0] == 5.0


@pytest.mark.parametrize("cause", [None, "test", "stale_intelligence", "other"])
def test_only_causes_that_the_event_itself_shows_teach(cause):
    assert fit(*site(cause)) is None


def test_a_false_positive_that_looks_like_an_attack_teaches_nothing():
    rows, features, logits = site()
    features[:10] = features[10:20]
    assert fit(rows, features, logits) is None


def test_without_attacks_or_ordinary_events_nothing_bounds_the_filter_and_there_is_none():
    rows, features, logits = site()
    assert (
        fit(rows[:10] + rows[50:], features[[*range(10), *range(50, 90)]], logits[[*range(10), *range(50, 90)]]) is None
    )
    assert fit(rows[:50], features[:50], logits[:50]) is None


def test_what_was_fitted_is_what_serves(tmp_path):
    rows, features, logits = site()
    stage = fit(rows, features, logits)
    assert stage is not None
    stage.write(tmp_path)
    served = read(tmp_path, 4)
    assert served is not None
    assert np.array_equal(served.lowered(features, logits), stage.lowered(features, logits))


def test_the_measurement_counts_each_side_at_each_level_before_and_after():
    rows = [row(False, "administration"), row(False), row(True), row(None)]
    found = measured(rows, np.array([0.9, 0.9, 0.9, 0.9]), np.array([0.1, 0.9, 0.5, 0.9]), {"malicious": 0.6})
    assert found == {
        "explained false positives at malicious": "1 → 0 of 1",
        "other benign at malicious": "1 → 1 of 1",
        "attacks at malicious": "1 → 0 of 1",
    }
