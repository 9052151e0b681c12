"""Ids are derived: equal causes give equal ids, different causes different ones, and only our key makes our mark."""

from __future__ import annotations

import uuid

from hypothesis import given, strategies as st

from connector import identity

parts = st.lists(st.text(), min_size=1, max_size=4)


@given(parts)
def test_a_derived_id_is_the_uuid5_of_the_length_prefixed_parts(values):
    name = b"".join(b"%d:%s" % (len(d), d) for d in (v.encode("utf-8", "surrogatepass") for v in values))
    digest = identity.hashlib.sha1(identity.NAMESPACE.bytes + name, usedforsecurity=False).digest()
    expected = uuid.UUID(bytes=digest[:16], version=5)
    assert identity.derive(*values) == str(expected)


@given(parts, parts)
def test_no_two_part_lists_share_an_id(one, other):
    assert (identity.derive(*one) == identity.derive(*other)) == (one == other)


def test_a_verdict_keeps_the_event_id_at_revision_one_and_only_there():
    event = identity.event_id("lab", "index/1")
    assert identity.record_id(event, 1) == event
    assert len({identity.record_id(event, revision) for revision in range(1, 5)}) == 4


@given(st.binary(min_size=1), st.binary(min_size=1), st.text())
def test_a_mark_verifies_under_its_own_key_only(key, other, record):
    if "." in record:
        record = record.replace(".", "")
    mark = identity.origin_mark(key, record)
    assert identity.is_ours(key, mark)
    if key.ljust(64, b"\0") != other.ljust(64, b"\0") and len(key) <= 64 and len(other) <= 64:
        assert not identity.is_ours(other, mark)


@given(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
def test_whatever_an_attacker_writes_as_a_mark_is_not_ours(mark):
    assert not identity.is_ours(b"a key that nobody knows", mark)
