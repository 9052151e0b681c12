"""A window is in order of time, holds each behaviour once, is bounded, and survives the ledger."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings, strategies as st

from connector.models.sequence.arrays import arrays, unlike
from connector.models.sequence.window import LATENESS, LENGTH, MOST_BYTES, Token, Window, packed, unpacked

VOCABULARY = b"abcd"


def token(at: int, *, tag: int | None = None, image: int = 2, score: int = -40, process: int = 7) -> Token:
    return Token(at, at if tag is None else tag, 2, image, 0, score, (1, 0, 0), (200, 0, 0), process, 0)


def filled(count: int) -> Window:
    window = Window()
    for number in range(count):
        window.enter(token(number * 1000, image=number))
    return window


def entered(window: Window, one: Token, *, timed: bool = True) -> list[Token]:
    """What the event is read after, and itself."""
    before, own = window.enter(one, timed=timed)
    return [*before, own]


def test_an_event_is_read_after_what_stood_before_it() -> None:
    window = filled(3)

    context = entered(window, token(3000, image=9))

    assert [one.at for one in context] == [0, 1000, 2000, 3000]


def test_a_late_event_takes_its_place_in_time_and_reads_only_what_stood_before() -> None:
    window = filled(3)

    context = entered(window, token(1500, image=9))

    assert [one.at for one in context] == [0, 1000, 1500]
    assert [one.at for one in window.tokens] == [0, 1000, 1500, 2000]


def test_what_is_too_late_or_without_a_time_stands_last() -> None:
    window = Window()
    window.enter(token(LATENESS * 3, image=1))
    window.enter(token(5, image=2))
    context = entered(window, token(0, tag=77, image=3), timed=False)

    assert [(one.image, one.at) for one in context] == [(1, LATENESS * 3), (2, 5), (3, 5)]
    assert window.tokens == context


def test_a_false_time_is_gone_with_the_event_that_told_it() -> None:
    window, honest = filled(3), filled(3)
    window.enter(token(10**15, image=99))

    after = [token(3_600_000 * number, tag=number, image=200 + number) for number in range(1, 5)]
    contexts = [entered(window, one) for one in after]
    wanted = [entered(honest, one) for one in after]
    late = entered(window, token(3_600_000 * 4 - 1000, image=300))

    assert np.array_equal(arrays(contexts).names[1:, -1], arrays(wanted).names[1:, -1])
    assert [one.at for one in window.tokens[-5:]] == [3_600_000 * number for number in (1, 2, 3)] + [
        3_600_000 * 4 - 1000,
        3_600_000 * 4,
    ]
    assert late[-2].at == 3_600_000 * 3


def test_a_clock_that_was_set_forward_does_not_blind_a_window() -> None:
    window = filled(LENGTH)
    window.enter(token(10**15, image=99))

    contexts = [entered(window, token(50_000 + number, tag=number + 10**6, image=200 + number)) for number in range(5)]

    assert [len(context) for context in contexts] == [LENGTH] * 5
    assert [one.image for one in window.tokens[-5:]] == [200, 201, 202, 203, 204]


def test_an_event_that_the_window_holds_changes_nothing_when_it_comes_again() -> None:
    window = filled(5)
    first = entered(window, token(5000, image=50))
    before = list(window.tokens)

    again = entered(window, token(5000, image=50))

    assert again == first
    assert window.tokens == before


def test_a_behaviour_stands_once_until_it_looks_worse() -> None:
    window = Window()
    for at, score in ((0, -40), (1000, -40), (2000, -48), (3000, 16)):
        window.enter(token(at, score=score))

    assert [(one.at, one.score) for one in window.tokens] == [(0, -40), (3000, 16)]


def test_another_process_of_one_program_is_another_behaviour() -> None:
    window = Window()
    window.enter(token(0, process=7))
    window.enter(token(1, process=8))

    assert len(window.tokens) == 2


tokens = st.builds(
    Token,
    at=st.integers(0, 4 * LATENESS),
    tag=st.integers(0, 2**64 - 1),
    kind=st.integers(1, 2**16 - 1),
    image=st.integers(0, 2**16 - 1),
    parent=st.integers(0, 2**16 - 1),
    score=st.integers(-128, 127),
    top=st.tuples(*[st.integers(0, 2**16 - 1)] * 3),
    weights=st.tuples(*[st.integers(0, 255)] * 3),
    process=st.integers(0, 2**32 - 1),
    above=st.integers(0, 2**32 - 1),
)


@settings(max_examples=30, deadline=None)
@given(st.lists(tokens, max_size=2 * LENGTH))
def test_whatever_comes_a_window_is_bounded_and_comes_back_from_its_row(found: list[Token]) -> None:
    window = Window()
    for one in found:
        assert 1 <= len(entered(window, one)) <= LENGTH

    row = packed(window, VOCABULARY)
    back = unpacked(row, VOCABULARY)
    assert len(window.tokens) <= LENGTH
    assert len(row) <= MOST_BYTES
    assert back is not None
    assert back.tokens == window.tokens


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, LATENESS), max_size=2 * LENGTH))
def test_what_is_not_too_late_is_in_order_of_time(times: list[int]) -> None:
    window = Window()
    for number, at in enumerate(times):
        window.enter(token(at, tag=number, image=number))

    assert [one.at for one in window.tokens] == sorted(times)[-LENGTH:]


few = st.builds(
    token,
    at=st.sampled_from([0, 5, 50, 500, 70_000, LATENESS, 3 * LATENESS]),
    tag=st.integers(0, 40),
    image=st.integers(2, 4),
    score=st.sampled_from([-40, -8]),
    process=st.integers(7, 8),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(few, max_size=3 * LENGTH))
def test_windows_that_are_read_as_one_have_equal_arrays(found: list[Token]) -> None:
    window, other = Window(), Window()
    contexts = [one.enter(each) for each in found for one in (window, other)]

    distinct, which = unlike(contexts)
    whole = arrays([(*before, own) for before, own in contexts]).inputs()
    read = arrays(distinct).inputs()
    assert all(np.array_equal(whole[name], read[name][which]) for name in whole)


def test_what_a_host_does_again_is_read_once() -> None:
    window = filled(LENGTH)
    again = [token(1_000_000 + number, tag=1_000_000 + number, image=5) for number in range(1000)]

    assert len(unlike([window.enter(one) for one in again])[0]) == 1


def test_a_host_takes_at_most_1300_bytes_so_100_000_hosts_take_130_megabytes() -> None:
    assert len(packed(filled(10 * LENGTH), VOCABULARY)) == MOST_BYTES
    assert MOST_BYTES * 100_000 <= 130e6


@given(st.binary(max_size=2 * MOST_BYTES))
def test_a_damaged_row_is_told_apart_and_never_raises(row: bytes) -> None:
    assert unpacked(row, VOCABULARY) is None


@given(st.integers(0, 8 * 200), st.integers(1, 32))
def test_a_flipped_bit_is_seen(bit: int, count: int) -> None:
    row = bytearray(packed(filled(count), VOCABULARY))
    row[(bit // 8) % len(row)] ^= 1 << bit % 8

    assert unpacked(bytes(row), VOCABULARY) is None


def test_a_row_of_another_model_is_an_empty_window() -> None:
    row = packed(filled(3), b"else")

    back = unpacked(row, VOCABULARY)

    assert back is not None
    assert back.tokens == []
