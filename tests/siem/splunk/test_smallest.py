"""The first rows of a stream in any order, in bounded memory: what is kept has no holes."""

from __future__ import annotations

from hypothesis import given, strategies as st

from connector.siem.splunk.smallest import Row, Smallest

ROWS = st.lists(
    st.builds(
        lambda second, number, size: Row((second, f"n{number}"), "main", b"x" * size),
        st.integers(0, 4),
        st.integers(0, 30),
        st.integers(1, 40),
    ),
    max_size=120,
)


@given(ROWS, st.integers(1, 20), st.integers(1, 200))
def test_what_is_kept_are_the_first_keys_of_all_without_a_hole(rows: list[Row], most: int, size: int) -> None:
    kept = Smallest(most, size)
    for row in rows:
        kept.add(row)
    found = [row.key for row in kept.sorted()]
    every = sorted({row.key for row in rows})
    assert found == every[: len(found)]
    assert kept.overflowed == (len(found) < len(every))
    assert len(found) <= most
    assert bool(found) == bool(every)


@given(ROWS, st.integers(1, 20), st.integers(1, 200), st.randoms(use_true_random=False))
def test_reading_on_after_the_last_key_finds_every_row_once_whatever_the_order(
    rows: list[Row], most: int, size: int, dice: object
) -> None:
    found: list[tuple[int, str]] = []
    for _ in range(len(rows) + 1):
        dice.shuffle(rows)  # type: ignore[attr-defined]
        kept = Smallest(most, size)
        for row in rows:
            if not found or row.key > found[-1]:
                kept.add(row)
        found += [row.key for row in kept.sorted()]
        if not kept.overflowed:
            break
    assert found == sorted({row.key for row in rows})


def test_memory_is_bounded_while_the_stream_goes_on() -> None:
    kept = Smallest(10, 10**9)
    for number in range(10_000):
        kept.add(Row((10_000 - number, "x"), "main", b""))
        assert len(kept._kept) <= 21
    assert kept.seen == 10_000
