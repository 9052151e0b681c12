"""What every installed member must keep to; a new plug-in is tested unasked, through its testbed."""

from __future__ import annotations

from pkgutil import resolve_name

import numpy as np
import pytest

from connector.models.store import installed_kinds
from tests.models.events import process_start

KINDS = {name: plugin for name, plugin in installed_kinds().items() if plugin.testbed}
EVENTS = [process_start(command) for command in ("whoami", "mimikatz sekurlsa", "notepad", "whoami", "")]


@pytest.fixture(params=KINDS)
def member(request, tmp_path):
    plugin = KINDS[request.param]
    with resolve_name(plugin.testbed)(tmp_path) as bed:
        made = plugin.member(bed.spec(), bed.directory(), 1)
        assert (made.name, made.labels) == (bed.spec().name, bed.spec().labels)
        yield made


def views_of(member):
    assert not member.needs, "a member that needs others is tested with a bundle"
    return {}


def test_every_shipped_member_has_a_testbed():
    assert "text" in KINDS


def test_shapes_types_and_range(member):
    found, _ = member.score(EVENTS, views_of(member), {})
    assert found.techniques.shape == (len(EVENTS), len(member.labels))
    assert found.p_malicious.shape == (len(EVENTS),)
    assert found.techniques.dtype == found.p_malicious.dtype == np.float32
    assert len(found.notes) == len(EVENTS)
    for values in (found.techniques, found.p_malicious):
        assert np.all(np.isnan(values) | ((values >= 0) & (values <= 1)))


def test_equal_keys_have_equal_scores_and_order_does_not_matter(member):
    forward, _ = member.score(EVENTS, views_of(member), {})
    backward, _ = member.score(EVENTS[::-1], views_of(member), {})
    by_key = {}
    for place, event in enumerate(EVENTS):
        key = member.key(event)
        if key is None:
            continue
        assert np.allclose(forward.techniques[place], backward.techniques[-1 - place], atol=1e-3, equal_nan=True)
        first = by_key.setdefault(key, place)
        assert np.allclose(forward.techniques[first], forward.techniques[place], atol=1e-3, equal_nan=True)
        assert np.allclose(forward.p_malicious[first], forward.p_malicious[place], atol=1e-3, equal_nan=True)


def test_state_is_changed_only_under_the_keys_that_were_announced(member):
    announced = member.state_keys(EVENTS)
    _, change = member.score(EVENTS, views_of(member), {})
    assert set(change.rows) <= announced


def test_no_events_give_no_scores(member):
    found, change = member.score([], views_of(member), {})
    assert found.techniques.shape == (0, len(member.labels))
    assert not change.rows
