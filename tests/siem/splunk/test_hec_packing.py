"""How events are packed into requests, and taken apart again where one was refused."""

from __future__ import annotations

from hypothesis import given, strategies as st

from connector.siem.splunk.packing import HecEvent, apart, packed

EVENTS = st.lists(
    st.tuples(st.sampled_from([None, "triaged", "risk"]), st.integers(1, 40)).map(
        lambda pair: HecEvent(key="", index=pair[0], body=b"x" * pair[1])
    )
)


@given(EVENTS, st.integers(1, 100))
def test_every_event_is_packed_once_in_requests_of_one_index_below_the_size(events: list[HecEvent], size: int) -> None:
    parts = list(packed(events, size))
    for part in parts:
        assert len({event.index for event in part}) == 1
        assert len(part) == 1 or sum(len(event.body) for event in part) <= size
    for index in {event.index for event in events}:
        alike = [event for event in events if event.index == index]
        assert [e for part in parts for e in part if e.index == index] == alike


@given(st.integers(2, 30), st.one_of(st.none(), st.integers(-3, 40)))
def test_a_refused_request_is_taken_apart_into_smaller_ones_that_lose_nothing(count: int, number: int | None) -> None:
    part = [HecEvent(key=str(n), index=None, body=b"x") for n in range(count)]
    pieces = apart(part, number)
    assert [event for piece in pieces for event in piece] == part
    assert all(0 < len(piece) < count for piece in pieces)
    if number is not None and 0 <= number < count:
        assert [part[number]] in pieces
