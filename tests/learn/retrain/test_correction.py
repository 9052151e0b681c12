"""A correction learns from closures what base rows leave free, and no more."""

from __future__ import annotations

import numpy as np
import pytest

from connector.learn.dataset import Row
from connector.learn.export.training import SOURCE
from connector.learn.training.retrain import correction, replay
from connector.models.manifest import Platt

PLATT = Platt(a=0.5, b=0.3)


def features(rows: int, seed: int) -> np.ndarray:
    return correction.widened(np.random.default_rng(seed).normal(size=(rows, 6)))


def row(
    number: int, *, closed: bool = False, group: str = "", malicious: bool | None = False, split: str = "train"
) -> Row:
    return Row(
        text=f"text {number}", kind="generic", fingerprint=f"{number:064x}", techniques=(), malicious=malicious,
        basis="analyst", source=SOURCE if closed else "sigma", group=group or str(number), record=str(number),
        licence="MIT", split=split,
    )  # fmt: skip


def test_the_fit_is_where_closures_pull_as_much_as_base_rows_hold() -> None:
    shown, held = features(20, 1), correction.inertia(features(200, 2), np.ones(200))
    logits, truth, weight = np.full(20, 4.0), np.zeros(20), np.linspace(0.5, 1.5, 20)

    found = correction.fitted(shown, logits, truth, weight, PLATT, held)

    said = PLATT.a * (logits + shown @ found) + PLATT.b
    pull = shown.T @ (weight * (1 / (1 + np.exp(-said)) - truth))
    assert pull == pytest.approx(-held @ (PLATT.a * found), abs=1e-5)


def test_the_fit_is_found_where_newton_alone_would_run_away() -> None:
    shown, held = features(40, 1), correction.inertia(features(200, 2), np.full(200, 1e-3))

    found = correction.fitted(shown, np.full(40, 30.0), np.zeros(40), np.ones(40), PLATT, held)

    assert (PLATT.a * (30.0 + shown @ found) + PLATT.b < 0).all()


def test_heavier_base_rows_move_less() -> None:
    shown, base = features(20, 1), features(200, 2)

    moved = []
    for weight in (1.0, 10.0, 100.0):
        held = correction.inertia(base, np.full(200, weight))
        found = correction.fitted(shown, np.full(20, 4.0), np.zeros(20), np.ones(20), PLATT, held)
        moved.append(float(np.std(base @ found)))

    assert moved[0] > moved[1] > moved[2] > 0


def test_a_technique_that_no_closure_is_about_keeps_its_weights() -> None:
    shown, held = features(4, 1), correction.inertia(features(50, 2), np.ones(50))
    logits = np.array([[-5.0, 3.0, -5.0]] * 4)
    truth = np.array([[1.0, 0.0, 0.0]] * 3 + [[np.nan] * 3])

    found = correction.columns(shown, logits, truth, np.ones(4), [PLATT] * 3, held)

    assert correction.concerned(logits, truth, [PLATT] * 3) == [0, 1]
    assert found[:, 0].any()
    assert found[:, 1].any()
    assert not found[:, 2].any()


def test_near_duplicates_weigh_the_root_of_their_number_together() -> None:
    rows = [*(row(n, closed=True, group="flood") for n in range(100)), row(100, closed=True), row(101)]

    weights = replay.weights(rows)

    assert weights[:100].sum() == pytest.approx(10.0)
    assert weights[100] == 1.0


def test_base_rows_hold_against_any_number_of_closures_and_attacks_as_much_as_the_rest() -> None:
    rows = [
        *(row(n, closed=True) for n in range(60)),
        *(row(n, group="one long file", malicious=False) for n in range(60, 80)),
        row(80, malicious=False),
        row(81, malicious=True),
        row(82, malicious=True, split="dev"),
    ]

    weights = replay.weights(rows)

    assert weights[60:].sum() == pytest.approx(max(replay.REPLAY * 60, replay.LEAST))
    assert weights[81] == pytest.approx(weights[60:81].sum())
    assert weights[60:80].sum() == pytest.approx(weights[80])
    assert weights[82] == 0.0


def test_on_the_full_path_closures_never_weigh_more_than_a_tenth_of_the_base_rows() -> None:
    few = replay.times([row(0, closed=True), *(row(n) for n in range(1, 1000))])
    many = replay.times([*(row(n, closed=True) for n in range(900)), *(row(n) for n in range(900, 1000))])

    assert few[0] == replay.TIMES
    assert many[:900].sum() == pytest.approx(10.0, rel=1e-4)
    assert (few[1:] == 1.0).all()
