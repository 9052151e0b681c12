"""Look-up entries: one a fingerprint, model and canonical version, and only for what an ingest pipeline asked for."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import msgspec

from connector import identity
from connector.events import CANONICAL_VERSIONS
from connector.events.normalise import normalise
from connector.pipeline.lookup import PERIOD
from connector.types import ModelRef, RawEvent, SourceRef
from tests.daemon.site import process_start

SOURCE = {"lookback": timedelta(minutes=10), "settle": timedelta(seconds=5), "start": "beginning", "batch": 5}


def fingerprint_of(document: dict[str, Any]) -> str:
    ref = SourceRef(siem="s", index="i", id="1")
    return normalise(RawEvent(deployment="lab", native_id="1", ref=ref, data=document)).fingerprint


def pending(image: str, **stamp: Any) -> dict[str, Any]:
    document = process_start(image)
    return {**document, "triaged": {"status": "pending", "fingerprint": fingerprint_of(document), **stamp}}


def entries(house) -> list[dict[str, Any]]:
    house.run(120)
    house.deliver.drain()
    found = [document["triaged"] for document in house.siem.documents.values()]
    return [each["lookup_entry"] | {"origin": each["origin"]} for each in found if each.get("record") == "lookup_entry"]


def test_events_that_are_pending_make_one_entry_a_fingerprint(house, bundle):
    house = house(source=SOURCE)
    house.siem.put([pending("a.exe"), pending("b.exe"), pending("a.exe")], ids=["1", "2", "3"])
    found = entries(house)
    assert {entry["fingerprint"] for entry in found} == {
        fingerprint_of(process_start("a.exe")),
        fingerprint_of(process_start("b.exe")),
    }
    assert len(found) == 2
    (entry,) = (each for each in found if each["fingerprint"] == fingerprint_of(process_start("a.exe")))
    assert entry["kind"] == "sysmon-1"
    assert entry["canonical_version"] == CANONICAL_VERSIONS["sysmon-1"]
    assert entry["model"]["version"] == bundle.model.version
    assert entry["verdict"] in {"benign", "suspicious", "malicious"}


def test_what_no_pipeline_asked_for_makes_no_entry(house):
    house = house(source=SOURCE)
    known = pending("b.exe", status="enriched")
    other = pending("c.exe", fingerprint="0" * 64)
    odd = [{**process_start("d.exe"), "triaged": value} for value in ("pending", None, [], {"status": "pending"})]
    house.siem.put([process_start("a.exe"), known, other, *odd], ids=[str(n) for n in range(3 + len(odd))])
    assert entries(house) == []
    assert len(house.siem.documents) == 3 + len(odd)


def test_an_entry_is_what_the_text_member_says_and_carries_our_mark(house, bundle):
    house = house(source=SOURCE)
    house.siem.put([pending("a.exe")], ids=["1"])
    (entry,) = entries(house)
    (verdict,) = (d["triaged"] for d in house.siem.documents.values() if "verdict" in d["triaged"])
    assert (entry["verdict"], entry["p_malicious"]) == (verdict["verdict"], verdict["confidence"])
    assert identity.is_ours(b"key", entry["origin"])


def test_an_entry_lasts_between_one_and_two_periods(house):
    house = house(source=SOURCE)
    start = house.clock()
    house.siem.put([pending("a.exe")], ids=["1"])
    (entry,) = entries(house)
    until = msgspec.json.decode(msgspec.json.encode(entry["expires_at"]), type=type(start))
    assert start + PERIOD < until <= start + 2 * PERIOD + timedelta(minutes=5)


def test_a_fingerprint_is_told_again_in_the_next_period_and_by_the_next_model_only(house):
    house = house(source=SOURCE)
    house.siem.put([pending("a.exe")], ids=["1"])
    assert len(entries(house)) == 1
    house.siem.put([pending("a.exe")], ids=["2"])
    assert len(entries(house)) == 1
    house.clock.advance(PERIOD.total_seconds())
    house.siem.put([pending("a.exe")], ids=["3"])
    assert len(entries(house)) == 2
    house.bundle = copy.copy(house.bundle)
    house.bundle.model = ModelRef(name="tiny", version="2", attack_version=house.bundle.model.attack_version)
    house.siem.put([pending("a.exe")], ids=["4"])
    assert len(entries(house)) == 3


def test_a_batch_that_was_rolled_back_makes_its_entries_again(house):
    house = house(source=SOURCE)
    house.siem.put([pending("a.exe")], ids=["1"])

    def fail(step: str) -> None:
        if step == "ingest.scored":
            house.at_step = lambda _: None
            raise RuntimeError("power cut")

    house.at_step = fail
    try:
        house.run(60)
    except RuntimeError:
        house.clock.advance(120)
    assert len(entries(house)) == 1
