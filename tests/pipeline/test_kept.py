"""A dead letter gives back the event that it kept."""

from __future__ import annotations

import msgspec
from hypothesis import given, strategies as st

from connector.pipeline.kept import LIMIT, preserved, restored
from connector.types import Position, RawEvent, SourceRef

data = st.one_of(st.binary(), st.text(), st.dictionaries(st.text(), st.integers() | st.text()))


@given(data, st.text(), st.none() | st.text())
def test_what_was_kept_comes_back_as_a_pushed_event(value, native_id, error):
    raw = RawEvent(
        deployment="lab",
        native_id=native_id.encode("utf-8", "replace").decode(),
        ref=SourceRef(siem="s", index="i", id="1"),
        data=value,
        position=Position(partition="p", offset=1),
        error=None if error is None else error.encode("utf-8", "replace").decode(),
    )
    again = restored(preserved(raw)).raw
    assert (again.deployment, again.native_id, again.ref, again.error) == (
        raw.deployment,
        raw.native_id,
        raw.ref,
        raw.error,
    )
    assert again.position is None
    if isinstance(value, bytes):
        assert again.data == value
    elif isinstance(value, str):
        assert again.data == value.encode("utf-8", "surrogatepass")
    else:
        assert msgspec.json.decode(again.data) == value


def test_a_monster_is_kept_cut_and_small():
    raw = RawEvent(deployment="d", native_id="n", ref=SourceRef(siem="s", index="i", id="1"), data=b"x" * (8 * LIMIT))
    assert len(preserved(raw)) < LIMIT // 50
    assert len(restored(preserved(raw)).raw.data) == LIMIT
