"""Which number of threads trials choose."""

from __future__ import annotations

import pytest

from connector.models.trials import fastest


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({8: 1.0, 4: 0.5, 2: 0.3, 1: 0.9}, 2),
        ({8: 1.0, 4: 0.95, 2: 1.0, 1: 2.0}, 8),
        ({6: 1.0, 3: 0.8, 1: 0.7}, 1),
        ({2: 1.0, 1: 1.9}, 2),
        ({1: 1.0}, 1),
    ],
    ids=["clearly-faster", "hardly-faster", "odd", "two", "one"],
)
def test_fewer_threads_are_taken_only_where_they_are_clearly_faster(seconds: dict[int, float], chosen: int) -> None:
    assert fastest(max(seconds), seconds.__getitem__, budget=0.01) == chosen


def test_what_is_clearly_slower_ends_the_search_downwards() -> None:
    tried = []

    def trial(threads: int) -> float:
        tried.append(threads)
        return 1 / threads

    assert fastest(64, trial, budget=0.01) == 64
    assert set(tried) == {64, 32}


def test_a_moment_of_other_work_does_not_decide() -> None:
    tried: list[int] = []

    def trial(threads: int) -> float:
        tried.append(threads)
        return 9.0 if tried == [4] else 1 / threads

    assert fastest(4, trial, budget=0.01) == 4


def test_without_time_the_most_are_taken() -> None:
    assert fastest(4, float, budget=0.0) == 4
