"""The bundle that is shipped: whole, small, and a score that is the event's own."""

from __future__ import annotations

import numpy as np
import pytest

from connector.learn.evaluation import points
from connector.models import Store
from connector.resources import shipped
from tests.models.events import process_start

MOST_BYTES = 40_000_000
COMMANDS = ["whoami /all", "mimikatz sekurlsa::logonpasswords", "notepad.exe notes.txt", "cmd /c dir " + "x " * 200]


@pytest.fixture(scope="module")
def store() -> Store:
    return Store(shipped("model_store"))


def test_a_shipped_bundle_is_in_production(store):
    assert store.production() in store.list()


def test_every_shipped_bundle_verifies(store):
    assert {ref: store.verify(ref) for ref in store.list()} == dict.fromkeys(store.list(), ())


def test_the_bundle_in_production_is_at_most_40_megabytes(store):
    files = [path for path in store.directory(store.production()).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_the_bundle_in_production_tells_what_thresholds_of_all_its_members_together_cost(store):
    cuts = [point.cut for point in points.of(store.manifest(store.production()), None)]
    assert len(cuts) > 1
    assert cuts == sorted(set(cuts))


def test_a_shipped_score_does_not_depend_on_the_events_beside_it(store):
    events = [process_start(command, native_id=str(n)) for n, command in enumerate(COMMANDS)]
    bundle = store.open(threads=2, cache_entries=0)
    together, _ = bundle.predict(events, {})
    alone = [bundle.predict([event], {})[0][0] for event in events]
    bundle.close()
    assert np.allclose([p.p_malicious for p in together], [p.p_malicious for p in alone], rtol=0, atol=1e-3)
    assert together == alone
