"""The few highest of a row are those that a stable sort would put first."""

from __future__ import annotations

import numpy as np

from connector.models.highest import highest


def test_the_highest_are_the_first_of_a_stable_sort_and_the_values_stay_as_they_are() -> None:
    values = np.random.default_rng(1).integers(0, 6, (200, 9)).astype(np.float32)
    before = values.copy()

    np.testing.assert_array_equal(highest(values, 5), np.argsort(-values, axis=1, kind="stable")[:, :5])
    np.testing.assert_array_equal(values, before)
    assert highest(values[:, :2], 5).shape == (200, 2)
