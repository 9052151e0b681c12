"""No shipped model has seen the scenario, and the events room reads it as what it is."""

from __future__ import annotations

from collections import Counter

import pytest

from connector import events
from connector.demo import scenario_paths
from connector.demo.truth import truth
from connector.models import Store
from connector.models.fingerprints import read
from connector.resources import shipped
from connector.siem.files import open_paths
from connector.types import Event

STORE = shipped("model_store")


@pytest.fixture(scope="module")
def scenario() -> list[Event]:
    return [events.normalise(raw) for raw in open_paths(map(str, scenario_paths()))]


def test_no_fingerprint_of_the_scenario_is_in_a_shipped_training_set(scenario: list[Event]) -> None:
    store = Store(STORE)
    assert store.production() in store.list()
    for ref in store.list():
        manifest = store.manifest(ref)
        assert manifest.train_fingerprints is not None, f"{ref} does not say what it was trained on"
        trained = read(STORE / ref / manifest.train_fingerprints)
        assert len(trained) > 0
        assert [event.canonical for event in scenario if event.fingerprint in trained] == []


def test_every_event_of_the_scenario_is_read_as_a_windows_event(scenario: list[Event]) -> None:
    kinds = Counter(event.kind for event in scenario)
    assert kinds["generic"] == 0
    assert {"sysmon-1", "sysmon-10", "security-4688", "system-7045", "powershell-4104"} <= set(kinds)


def test_a_planted_event_is_found_by_its_place_and_keeps_its_code_and_host(scenario: list[Event]) -> None:
    by_place = {event.place.rpartition("/")[2]: event for event in scenario}
    for planted in truth().planted:
        ecs = by_place[planted.place].ecs
        assert ecs["event"]["code"] == str(planted.code)
        assert ecs["host"]["name"].startswith(planted.host)


def test_ordinary_events_repeat_so_that_the_cache_has_work(scenario: list[Event]) -> None:
    assert len({event.fingerprint for event in scenario}) < 0.8 * len(scenario)
