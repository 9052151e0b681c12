"""A dead letter gives back the event that it kept."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from connector.pipeline.kept import LIMIT, preserved, restored, scrubbed
from connector.pipeline.prepare import LONGEST_REASON, prepare
from connector.types import Position, RawEvent, SourceRef

data = st.one_of(st.binary(), st.text(), st.dictionaries(st.text(), st.integers() | st.text()))


plain = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"))


@given(data, st.text(), st.none() | plain)
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


def nested(depth, leaf):
    for _ in range(depth):
        leaf = {"a": leaf}
    return leaf


@pytest.mark.parametrize(
    "value",
    [nested(150, "\ud800"), nested(20_000, 1), {"n": 10**5000}, {"k": {1, 2}}, {("a", 1): 2}, {"e": 1e400}],
    ids=["surrogate", "depth", "integer", "set", "key", "infinite"],
)
def test_whatever_an_event_holds_it_can_be_kept(value):
    raw = RawEvent(
        deployment="d",
        native_id="n\udcff\0",
        ref=SourceRef(siem="s", index="i\udcff", id="1\0"),
        data=value,
        place="a\udcff.jsonl:1",
        error="no \udcff",
    )
    kept = restored(preserved(raw)).raw
    assert kept.native_id == raw.native_id
    assert (kept.place, kept.ref.index, kept.ref.id) == ("a\\udcff.jsonl:1", "i\\udcff", "1\\x00")
    assert kept.data


def test_a_place_with_any_name_keeps_what_its_siem_says_of_the_event():
    ref = SourceRef(siem="s", index="é\0", id="1", event_id="7\udcff", module="windows", alert="a-1")
    raw = RawEvent(deployment="d", native_id="n", ref=ref, data={})
    kept = restored(preserved(raw)).raw.ref
    assert kept == SourceRef(siem="s", index="é\\x00", id="1", event_id="7\\udcff", module="windows", alert="a-1")


def test_only_an_event_that_was_kept_whole_and_was_readable_may_be_pushed_again():
    raw = RawEvent(deployment="d", native_id="n", ref=SourceRef(siem="s", index="i", id="1"), data={"a": "\ud800"})
    assert restored(preserved(raw)).obstacle is None
    cut = msgspec.structs.replace(raw, data=b"x" * (LIMIT + 1))
    sketched = msgspec.structs.replace(raw, data={"n": 10**5000})
    for part in (cut, sketched):
        assert "only a part" in restored(preserved(part)).obstacle
    assert "bad line" in restored(preserved(msgspec.structs.replace(raw, error="bad line"))).obstacle


def test_texts_that_can_be_stored_are_left_alone():
    raw = RawEvent(deployment="d", native_id="n", ref=SourceRef(siem="s", index="i", id="é"), data={}, place="ü:1")
    assert scrubbed(raw) == raw


def test_a_dead_letters_reason_is_short_whatever_its_event_holds():
    endless = RawEvent(
        deployment="d",
        native_id="1",
        ref=SourceRef(siem="s", index="i", id="1"),
        data=b"{",
        error="wrong: " + "x" * 10**6,
    )
    (letter,) = prepare("source", [endless], b"k" * 32).dead
    assert len(letter.reason) == LONGEST_REASON
    assert len(letter.payload) <= LIMIT
