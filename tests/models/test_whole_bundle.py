"""A bundle of every kind of member: each view alone can change a verdict, and only in its own way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.events import normalise
from connector.models import Store
from connector.models.bundle import Bundle
from connector.models.flow.testbed import LABELS as FLOWS
from connector.models.rules.testbed import LABELS as RULES
from connector.types import Event, Prediction, RawEvent, SourceRef
from tests.models.events import process_start
from tests.models.flow.flows import event as flow, netflow
from tests.models.whole import whole_store

UNANSWERED = netflow(
    source={"packets": 1, "bytes": 52},
    destination={"packets": 0, "bytes": 0},
    netflow={"tcp_control_bits": 0x02, "reverse_tcp_control_bits": 0},
)
QUIET = "powershell -enc aaaa"
"""The text member alone would not tell of it."""

State = dict[str, dict[str, tuple[int, bytes]]]


def start(command: str, host: str, second: int) -> Event:
    return process_start(command, native_id=f"{host} {second}", host=host, at=f"2026-03-01T10:00:{second:02}Z")


def request(body: str) -> Event:
    """As Packetbeat writes a whole request beside its fields."""
    sent = (
        f"POST /search HTTP/1.1\r\nHost: shop.example\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{body}"
    )
    url = {"path": "/search", "full": "http://shop.example/search"}
    document = {"ecs": {"version": "8.11.0"}, "event": {"kind": "event"}, "url": url, "request": sent}
    ref = SourceRef(siem="files", index="a", id=body)
    return normalise(RawEvent(deployment="lab", native_id=body, ref=ref, data=document))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    opened = Store(whole_store(tmp_path_factory.mktemp("store"))).open(threads=1)
    yield opened
    opened.close()
    assert set(RULES) | set(FLOWS) <= set(opened.manifest.labels)


def predicted(bundle: Bundle, *batches: list[Event]) -> list[Prediction]:
    """Batches one after the other, as the ledger keeps what members remember between them."""
    found: list[Prediction] = []
    states: State = {}
    for batch in batches:
        held = {
            name: {key: states[name][key] for key in keys if key in states.get(name, {})}
            for name, keys in bundle.state_keys(batch).items()
        }
        predictions, changes = bundle.predict(batch, held)
        found += predictions
        for name, change in changes.items():
            kept = states.setdefault(name, {})
            kept.update({key: (version + 1, value) for key, (version, value) in change.rows.items()})
    return found


def test_a_verdict_keeps_the_vote_of_each_member_with_a_view_and_of_no_other(bundle: Bundle) -> None:
    (one,) = predicted(bundle, [start("powershell -enc aaaa", "pc1", 1)])
    assert {name for name, vote in one.members.items() if vote is not None} == {"text", "rules", "sequence", "meta"}
    (other,) = predicted(bundle, [flow(netflow())])
    assert other.members["flow"] is not None
    assert other.members["rules"] is other.members["payload"] is None


def test_one_fingerprint_says_more_on_a_host_that_was_attacked_before(bundle: Bundle) -> None:
    attacked = predicted(bundle, [start("mimikatz", "pc1", 1)], [start("notepad", "pc1", 2)])[1]
    (quiet,) = predicted(bundle, [start("notepad", "pc2", 2)])
    assert start("notepad", "pc1", 2).fingerprint == start("notepad", "pc2", 2).fingerprint
    assert (attacked.members["text"], attacked.members["rules"]) == (quiet.members["text"], quiet.members["rules"])
    assert attacked.p_malicious > quiet.p_malicious


def test_an_event_that_comes_late_changes_what_follows_it_and_nothing_before(bundle: Bundle) -> None:
    attack, after = start("mimikatz", "pc1", 1), start("notepad", "pc1", 2)
    (_, known), (unknown, late) = predicted(bundle, [attack, after]), predicted(bundle, [after], [attack])
    assert known.p_malicious > unknown.p_malicious, "what had not come yet was not known"
    assert late.members["text"] == predicted(bundle, [attack])[0].members["text"]


def test_how_events_are_cut_into_batches_changes_nothing(bundle: Bundle) -> None:
    events = [start(command, "pc1", second) for second, command in enumerate(("whoami", "mimikatz", "notepad"))]
    assert predicted(bundle, events) == predicted(bundle, *[[event] for event in events])


def test_flows_of_one_fingerprint_differ_by_what_was_sent(bundle: Bundle) -> None:
    answered, unanswered = flow(netflow()), flow(UNANSWERED)
    assert answered.fingerprint == unanswered.fingerprint
    found = predicted(bundle, [answered, unanswered])
    assert found[1].p_malicious > found[0].p_malicious
    assert found[0].members["text"] == found[1].members["text"]


def test_requests_of_one_fingerprint_differ_by_their_bytes(bundle: Bundle) -> None:
    ordinary, attack = request("a=hello"), request("a=1' or 1=1")
    assert ordinary.fingerprint == attack.fingerprint
    found = predicted(bundle, [ordinary, attack])
    assert found[1].p_malicious > found[0].p_malicious


def test_what_a_member_says_that_meta_was_not_trained_with_is_added(bundle: Bundle) -> None:
    (found,) = predicted(bundle, [flow(UNANSWERED)])
    said = found.members["meta"]
    assert said is not None
    assert found.p_malicious > said


def test_what_weighed_most_in_the_text_is_told_beside_what_other_members_tell_and_worked_out_once(
    tmp_path: Path,
) -> None:
    several = Store(whole_store(tmp_path, meta=False)).open(threads=1, explains=True)
    batch = [start(line, host, second) for host in ("a", "b") for second, line in enumerate(("mimikatz", QUIET))]
    found = [one for one, event in zip(predicted(several, batch), batch, strict=True) if "-enc" in str(event.canonical)]
    several.close()
    for one in found:
        assert one.p_malicious >= several.thresholds.trigger
        assert any(note.startswith("rules: Encoded PowerShell") for note in one.explanation)
        assert any(note.startswith("text: words 'powershell' +3.00") for note in one.explanation)
    assert len(several._explanations) == 2, "one for each fingerprint"
