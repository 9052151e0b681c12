"""Values found by brackets alone: what is found, and what a body of brackets may cost."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, strategies as st

from connector.api import framing, hec
from connector.api.framing import lifted, values
from connector.api.refusal import Refusal

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text('a"\\{}[],: \n', max_size=6))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text('a"\\{[', max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(TREES, max_size=5))
def test_values_one_after_another_are_found_whole(trees):
    body = b"\n".join(map(msgspec.json.encode, trees))
    assert [msgspec.json.decode(body[start:stop]) for start, stop in values(body)] == trees


@given(st.lists(TREES, max_size=5))
def test_what_stands_inside_is_found_at_its_depth(trees):
    body = msgspec.json.encode({"a": {"b": trees}})
    assert [msgspec.json.decode(body[start:stop]) for start, stop in values(body, 3)] == trees


@given(TREES)
def test_a_value_that_is_lifted_out_leaves_a_zero(tree):
    body = msgspec.json.encode([{"id": "x", "data": tree, "data2": 1}])
    skeleton, taken = lifted(body, 2, {b"data"})
    assert msgspec.json.decode(skeleton) == [{"id": "x", "data": 0, "data2": 1}]
    assert list(map(msgspec.json.decode, taken)) == [tree]


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("body", [b'["a]', b'[["a]', b"[[1]", b"[1]]", b"[1}", b'[["\\"]]', b'"'])
def test_brackets_and_quotes_that_do_not_match_are_refused(body, depth):
    with pytest.raises(Refusal, match="malformed JSON"):
        list(values(body, depth))


@pytest.mark.parametrize("body", [b"[]" * 60, b"[" * 120, b"[" + b"1," * 120 + b"1]"], ids=["flat", "deep", "wide"])
def test_a_body_of_more_brackets_and_values_than_allowed_is_refused(monkeypatch, body):
    monkeypatch.setattr(framing, "MOST_STEPS", 100)
    with pytest.raises(Refusal) as refused:
        list(values(body, 1))
    assert refused.value.status == 413


def test_what_stands_beside_what_is_looked_for_costs_no_step(monkeypatch):
    monkeypatch.setattr(framing, "MOST_STEPS", 10)
    assert len(list(values(b'[{"a":"{", "b":2, "c":3, "d":4, "e":5}]'))) == 1


def test_what_follows_the_first_event_beyond_the_limit_is_not_even_read():
    with pytest.raises(Refusal, match="may hold 3 events"):
        hec.raw_events(b'{"event":"x"}' * 4 + b"nonsense", None, "one", None, clock=None, limit=3)
