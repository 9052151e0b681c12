"""A bundle of several members in production: every place that scores, names or publishes uses the levels that are its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.api.classify import documents
from connector.api.desk import Desk
from connector.events import normalise
from connector.learn.export import Machines
from connector.learn.shadow import Shadow
from connector.ledger.shadow import Compared
from connector.models import Bundle, Store
from connector.models.testbed import TEXT_THRESHOLDS
from connector.policy import Enrichment
from connector.settings import ApiSettings, ExportSettings
from connector.types import RawEvent, SourceRef
from tests.daemon.site import process_start
from tests.models.whole import whole_store
from tests.pipeline.house import House
from tests.pipeline.test_lookup import SOURCE, entries, pending

FIRST, SECOND = ("notepad.exe", "mimikatz.exe"), ("notepad.exe", "whoami.exe")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    opened = Store(whole_store(tmp_path_factory.mktemp("several"), version="2")).open(threads=1)
    yield opened
    opened.close()


@pytest.fixture
def whole(tmp_path: Path, several: Bundle) -> Iterator[House]:
    made = House(tmp_path, several, source=SOURCE)
    yield made
    made.close()


def on_one_host(image: str, **stamp: Any) -> dict[str, Any]:
    return {**process_start(image), "agent": {"id": "agent-of-ws-01"}, **stamp}


def raw(image: str) -> RawEvent:
    ref = SourceRef(siem="lab", index="", id=image)
    return RawEvent(deployment="lab", native_id=image, ref=ref, data=on_one_host(image))


def verdicts(house: House) -> dict[str, dict[str, Any]]:
    house.run(120)
    house.deliver.drain()
    found = (document["triaged"] for document in house.siem.documents.values())
    return {one["source"]["id"]: one for one in found if "verdict" in one}


def two_batches(house: House) -> Iterator[None]:
    for number, images in enumerate((FIRST, SECOND)):
        house.siem.put([on_one_host(image) for image in images], ids=[f"{number}{place}" for place in range(2)])
        yield


@pytest.mark.parametrize("step", ["ingest.scored", "ingest.commit"])
def test_a_batch_that_was_cut_off_is_scored_again_to_the_same_votes(
    step: str, several: Bundle, whole: House, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other", several, source=SOURCE)
    for _ in two_batches(other):
        found = verdicts(other)
    other.close()

    def fail(done: str) -> None:
        if done == step:
            whole.at_step = lambda _: None
            raise RuntimeError("power cut")

    batches = two_batches(whole)
    next(batches)
    verdicts(whole)
    next(batches)
    whole.at_step = fail
    with pytest.raises(RuntimeError, match="power cut"):
        whole.run(60)
    whole.clock.advance(120)
    again = verdicts(whole)

    votes = ("confidence", "members", "techniques", "explanation")
    assert {name: [one[key] for key in votes] for name, one in again.items()} == {
        name: [one[key] for key in votes] for name, one in found.items()
    }
    assert again["10"]["members"]["sequence"] != again["00"]["members"]["sequence"], "it knows what came before"
    assert set(again["10"]["members"]) == set(several.members)


def test_a_look_up_entry_is_what_the_text_member_says_alone_at_levels_of_its_own(whole: House) -> None:
    whole.siem.put([pending("whoami.exe")], ids=["1"])
    (entry,) = entries(whole)
    found = verdicts(whole)["1"]
    assert (entry["verdict"], found["verdict"]) == ("suspicious", "benign")
    assert entry["p_malicious"] == pytest.approx(found["members"]["text"])
    assert TEXT_THRESHOLDS.suspicious <= entry["p_malicious"] < whole.bundle.thresholds.suspicious


def test_what_a_search_is_told_has_all_votes_but_of_members_that_remember(whole: House) -> None:
    desk = Desk(
        settings=ApiSettings(),
        ledger=whole.ledger,
        bundle=lambda: whole.bundle,
        policy=lambda: whole.policy,
        enrichment=Enrichment(),
        inlets={},
        clock=whole.clock,
        machines=Machines.of(ExportSettings()),
    )
    (told,) = documents(desk, [raw("mimikatz.exe")])
    members = told["triaged"]["members"]
    assert members["sequence"] is None
    assert None not in (members["text"], members["rules"], members["meta"])
    p = told["triaged"]["confidence"]
    limits = whole.bundle.thresholds
    assert limits.suspicious <= p < limits.malicious
    assert TEXT_THRESHOLDS.trigger <= p
    assert told["triaged"]["verdict"] == "suspicious"


def test_a_challenger_of_several_members_is_named_by_what_they_say_together_and_remember(
    whole: House, bundle: Bundle, several: Bundle
) -> None:
    shadow = Shadow(several, whole.ledger, whole.clock)
    for image in ("whoami.exe", "mimikatz.exe", "a -enc.exe"):
        event = normalise(raw(image))
        shadow.take([event], bundle.predict([event], {})[0], bundle)
        shadow.run()
    assert {one.compared: one.events for one in whole.ledger.shadow_counts()} == {
        Compared(said="benign", instead="benign"): 1,
        Compared(said="malicious", instead="malicious", same_techniques=False): 1,
        Compared(said="benign", instead="malicious", same_techniques=False): 1,
    }
    alone = several.predict_without_state([event])[0].p_malicious
    assert alone < several.thresholds.malicious, "what the host did before is what tells"
