"""A verdict on the event's own document, on the real servers."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from connector.siem.elastic.in_place import ROUNDS, changes
from connector.testing import examples
from connector.types import Delivery, SourceRef, Verdict
from tests.servers.process import Server
from tests.siem.elastic.asked import ask, held, put
from tests.siem.elastic.test_elastic_writer import DELIVERED, writing


@pytest.fixture
def index() -> str:
    return f"events-{uuid.uuid4().hex[:12]}"


def verdict_of(index: str, number: str, **changed: Any) -> Verdict:
    made = examples.verdict(int(number))
    return msgspec.structs.replace(made, source=SourceRef(siem="site", index=index, id=number), **changed)


def updating(server: Server, index: str) -> Any:
    return writing(server, f"t{index}", update_source=True, deployment="site")


def source(server: Server, index: str, number: str) -> dict[str, Any]:
    found = {hit["_id"]: hit["_source"] for hit in held(server, index)}
    return found[number]


def test_the_event_carries_its_verdict_and_keeps_all_else(search_server: Server, index: str) -> None:
    put(
        search_server, index, {"1": {"message": "m", "threat": {"feed": {"name": "a vendor's"}}}, "2": {"message": "n"}}
    )
    with updating(search_server, index) as writer:
        for _ in range(2):
            assert writer.write([verdict_of(index, "1"), verdict_of(index, "2")]) == [DELIVERED] * 2
    first, second = source(search_server, index, "1"), source(search_server, index, "2")
    assert first["message"] == "m"
    assert first["threat"] == {"feed": {"name": "a vendor's"}}
    assert first["triaged"]["verdict"] == "malicious"
    assert second["threat"]["technique"]["id"] == ["T1059"]
    versions = {hit["_version"] for hit in ask(search_server, "POST", f"/{index}/_search?version=true")["hits"]["hits"]}
    assert versions == {2}, "a verdict that stands there is not written again"


def test_a_backing_index_of_a_data_stream_is_updated_by_id(search_server: Server, index: str) -> None:
    ask(
        search_server,
        "PUT",
        f"/_index_template/{index}",
        {"index_patterns": [index], "data_stream": {}, "priority": 900},
    )
    made = ask(search_server, "POST", f"/{index}/_bulk?refresh=true", [{"create": {"_id": "1"}}, {"@timestamp": 0}])
    backing = made["items"][0]["create"]["_index"]
    assert backing != index
    with updating(search_server, index) as writer:
        assert writer.write([verdict_of(backing, "1")]) == [DELIVERED]
    assert source(search_server, index, "1")["triaged"]["verdict"] == "malicious"


def test_what_is_gone_or_takes_no_writes_keeps_its_verdict_in_its_own_index(
    elasticsearch: Server, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    put(elasticsearch, index, {"1": {"message": "m"}})
    ask(elasticsearch, "PUT", f"/{index}/_settings", {"index.blocks.write": True})
    with updating(elasticsearch, index) as writer:
        records = [verdict_of(index, "1"), verdict_of(index, "404"), verdict_of(f"{index}-never", "3")]
        assert writer.write(records) == [DELIVERED] * 3
    assert "triaged" not in source(elasticsearch, index, "1")
    assert len(held(elasticsearch, f"t{index}-verdicts-*")) == 3
    assert capsys.readouterr().out.count("source_not_updated") == 3


def test_an_event_whose_mapping_refuses_the_verdict_is_a_dead_letter_that_says_so(
    elasticsearch: Server, index: str
) -> None:
    ask(
        elasticsearch,
        "PUT",
        f"/{index}",
        {"mappings": {"dynamic": "strict", "properties": {"message": {"type": "text"}}}},
    )
    put(elasticsearch, index, {"1": {"message": "m"}})
    with updating(elasticsearch, index) as writer:
        (outcome,) = writer.write([verdict_of(index, "1")])
    assert outcome.outcome == "rejected"
    assert "its verdict is written, but not onto the event: strict_dynamic_mapping_exception" in outcome.reason


def test_what_others_write_meanwhile_is_kept_and_conflicts_end(elasticsearch: Server, index: str) -> None:
    put(elasticsearch, index, {"1": {"count": 0}})
    rounds = 0
    with updating(elasticsearch, index) as writer:
        fetch = writer._in_place._fetch

        def fetch_and_be_overtaken(rows: Any) -> Any:
            nonlocal rounds
            rounds += 1
            found = fetch(rows)
            if rounds <= 2:
                ask(elasticsearch, "POST", f"/{index}/_update/1", {"doc": {"count": rounds}})
            return found

        writer._in_place._fetch = fetch_and_be_overtaken
        assert writer.write([verdict_of(index, "1")]) == [DELIVERED]
        stored = source(elasticsearch, index, "1")
        assert (stored["count"], stored["triaged"]["verdict"], rounds) == (2, "malicious", 3)

        rounds = -100
        late = verdict_of(index, "1", revision=2, record_id="r2")
        assert writer.write([late])[0].outcome == "retry"
        assert rounds == -100 + ROUNDS


def test_events_of_another_deployment_are_left_alone(elasticsearch: Server, index: str) -> None:
    put(elasticsearch, index, {"1": {"message": "m"}})
    elsewhere = SourceRef(siem="another", index=index, id="1")
    with updating(elasticsearch, index) as writer:
        assert writer.write([verdict_of(index, "1")]) == [DELIVERED]
        assert writer.write([msgspec.structs.replace(verdict_of(index, "2"), source=elsewhere)]) == [DELIVERED]
    assert source(elasticsearch, index, "1")["triaged"]["source"]["siem"] == "site"


OURS = {"triaged": {"revision": 1, "scope": "event"}, "threat": {"framework": "MITRE ATT&CK"}}


def test_an_older_revision_is_replaced_and_a_newer_one_stays() -> None:
    newer = verdict_of("i", "1", revision=2)
    assert changes(newer, OURS) is not None
    assert changes(verdict_of("i", "1"), OURS) is None
    assert changes(verdict_of("i", "1"), {"triaged": {"revision": 7, "scope": "event"}}) is None


def test_a_stamp_by_fingerprint_is_superseded_and_threat_that_no_longer_holds_goes() -> None:
    stamp = {"triaged": {"scope": "fingerprint", "revision": 1}, "threat": {"framework": "MITRE ATT&CK"}}
    benign = verdict_of("i", "1", verdict="benign")
    assert changes(benign, stamp)["threat"] is None
    assert "threat" not in changes(benign, {"threat": {"feed": {"name": "a vendor's"}}})
    assert Delivery(outcome="delivered") == DELIVERED


@pytest.mark.parametrize("standing", [{}, {"triaged": "text"}, {"triaged": {"revision": "1"}}, {"triaged": ["x"]}])
def test_what_an_event_says_in_our_fields_keeps_no_verdict_off_it(standing: dict[str, Any]) -> None:
    assert changes(verdict_of("i", "1"), standing) is not None
