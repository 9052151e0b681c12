"""However a stream is cut into batches, and whatever is still remembered, an event predicts the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from connector.models.bundle import Bundle
from connector.models.testbed import lay_bundle
from tests.models.events import process_start
from tests.models.members import Fixed, Highest

WORDS = ("evil", "odd", "plain", "evil odd", "quiet", "loud", "evil loud")
EVENTS = [process_start(word, native_id=word) for word in WORDS]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return lay_bundle(tmp_path_factory.mktemp("store"))


def bundle(manifest, cache_entries: int) -> Bundle:
    members = (
        Highest("meta", needs=("a", "b")),
        Fixed("a", 0.9, word="evil"),
        Fixed("b", 0.4, word="o", labels=("T1003",)),
    )
    return Bundle(manifest, members, cache_entries=cache_entries)


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(st.lists(st.sampled_from(range(len(WORDS))), max_size=12), max_size=6),
    cache_entries=st.integers(0, 8),
)
def test_predictions_do_not_depend_on_batches_or_on_what_is_remembered(manifest, batches, cache_entries):
    alone = [bundle(manifest, 0).predict([event], {})[0][0] for event in EVENTS]
    streamed = bundle(manifest, cache_entries)
    for batch in batches:
        found, changes = streamed.predict([EVENTS[place] for place in batch], {})
        assert found == [alone[place] for place in batch]
        assert not changes
