"""Rows of the KV store: one a key, never an older one over a newer one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, TransientError
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.kv import LOOKUP, MOST, RUNS, KvStore, row_of
from connector.siem.splunk.writer import ServerSettings
from connector.testing import examples
from connector.testing.clock import START
from connector.types import LookupEntry, RunStatus
from tests.siem.splunk.writing import DELIVERED, with_server
from tests.splunkd import Splunkd

RUN, ENTRY = examples.records()[RunStatus], examples.records()[LookupEntry]


@pytest.fixture
def splunkd() -> Iterator[Splunkd]:
    with Splunkd() as server:
        yield server


@pytest.fixture
def store(splunkd: Splunkd) -> KvStore:
    return KvStore(Splunk(ServerSettings.model_validate(with_server(splunkd)["server"])))


def run(state: str = "running", *, minutes: int = 0, **more: Any) -> RunStatus:
    return msgspec.structs.replace(RUN, state=state, at=START + timedelta(minutes=minutes), **more)


def held(splunkd: Splunkd, collection: str) -> dict[str, Any]:
    return splunkd.kv.define(collection, "triaged")


def test_an_entry_is_one_row_a_fingerprint_however_often_it_comes(splunkd: Splunkd, store: KvStore) -> None:
    for _ in range(2):
        assert store.upsert([ENTRY, ENTRY]) == [DELIVERED] * 2
    (row,) = held(splunkd, LOOKUP).values()
    assert row["_key"] == row["fingerprint"] == ENTRY.fingerprint
    assert (row["scope"], row["model"], row["origin"]) == ("fingerprint", "example/1", ENTRY.origin)
    assert row["expires_at"] == ENTRY.expires_at.timestamp()


def test_a_run_is_one_row_an_action_and_shows_its_newest_state(splunkd: Splunkd, store: KvStore) -> None:
    store.upsert([run("running", minutes=1)])
    store.upsert([run("succeeded", minutes=2)])
    (row,) = held(splunkd, RUNS).values()
    assert (row["_key"], row["state"]) == (RUN.action_key, "succeeded")


def test_a_state_that_was_overtaken_on_its_way_replaces_nothing(splunkd: Splunkd, store: KvStore) -> None:
    store.upsert([run("succeeded", minutes=2)])
    assert store.upsert([run("running", minutes=1)]) == [DELIVERED]
    assert held(splunkd, RUNS)[RUN.action_key]["state"] == "succeeded"


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_of_several_states_in_one_call_the_newest_stands(
    splunkd: Splunkd, store: KvStore, order: tuple[int, int]
) -> None:
    states = {1: "running", 2: "failed"}
    assert store.upsert([run(states[minutes], minutes=minutes) for minutes in order]) == [DELIVERED] * 2
    assert held(splunkd, RUNS)[RUN.action_key]["state"] == "failed"


def test_an_entry_that_lasts_longer_is_not_replaced_by_one_that_lasts_shorter(splunkd: Splunkd, store: KvStore) -> None:
    shorter = msgspec.structs.replace(ENTRY, expires_at=ENTRY.expires_at - timedelta(hours=1), verdict="benign")
    store.upsert([ENTRY])
    store.upsert([shorter])
    assert held(splunkd, LOOKUP)[ENTRY.fingerprint]["verdict"] == ENTRY.verdict


def test_many_rows_go_in_several_requests(splunkd: Splunkd, store: KvStore) -> None:
    entries = [msgspec.structs.replace(ENTRY, fingerprint=f"{n:064x}") for n in range(MOST + 1)]
    assert store.upsert([*entries, RUN]) == [DELIVERED] * (MOST + 2)
    assert len(held(splunkd, LOOKUP)) == MOST + 1
    assert len(splunkd.asked("batch_save")) == 3


def test_no_text_of_a_record_chooses_a_collection_or_a_query(splunkd: Splunkd, store: KvStore) -> None:
    odd = run(action_key='{"$or": [{}]}/../x', detail='"}, {"_key": "other')
    assert store.upsert([odd]) == [DELIVERED]
    assert [row["detail"] for row in held(splunkd, RUNS).values()] == [odd.detail]


def test_without_the_app_a_person_is_told(splunkd: Splunkd) -> None:
    settings = {"hosts": [splunkd.url], "token": splunkd.token}
    with pytest.raises(ConfigError, match=LOOKUP):
        KvStore(Splunk(ServerSettings.model_validate(settings))).upsert([ENTRY])


def test_a_store_that_is_not_ready_is_waited_for(splunkd: Splunkd, store: KvStore) -> None:
    splunkd.refuse(503, "batch_find")
    with pytest.raises(TransientError):
        store.upsert([ENTRY])
    assert store.upsert([ENTRY]) == [DELIVERED]


def test_the_fields_of_the_rows_are_those_that_the_apps_lookups_list() -> None:
    """The app's ``transforms.conf`` lists them; what is not listed no search sees."""
    from configparser import ConfigParser
    from pathlib import Path

    conf = ConfigParser(interpolation=None)
    conf.read(Path(__file__).parents[3] / "splunk_app" / "triaged" / "default" / "transforms.conf")
    for record in (RUN, ENTRY):
        row = row_of(record)
        assert conf[row.collection]["collection"] == row.collection
        assert {name.strip() for name in conf[row.collection]["fields_list"].split(",")} == {"_key", *row.fields}
