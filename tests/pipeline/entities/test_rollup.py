"""Batches of verdicts in the real ledger: one transaction, once each, whoever else is at work; and who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector import identity
from connector.events import normalise
from connector.ledger import Commit, EntitiesMovedError, Ledger, open_ledger
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.rollup import RolledUp, RollUp, read_entities, read_incidents
from connector.policy import Decision, DecisionContext, Policy, decide
from connector.policy.decide import Listed
from connector.resources import shipped
from connector.settings import RetentionSettings
from connector.testing import ManualClock
from connector.types import (
    EntityRisk,
    Event,
    Incident,
    ModelRef,
    Position,
    Prediction,
    RawEvent,
    RiskEvent,
    SourceRef,
    TechniqueScore,
)
from tests.daemon.site import process_start

MODEL = ModelRef(name="tiny", version="1", attack_version="18.1")
KEY = b"key"


class Levels(msgspec.Struct, frozen=True):
    suspicious: float = 0.01
    malicious: float = 0.1
    trigger: float = 0.5


def event(
    number: int,
    at: str | None = "2026-03-01T10:00:00Z",
    *,
    arrived: int | None = None,
    deployment: str = "lab",
    **fields: Any,
) -> Event:
    """An event of a host, a user and an address."""
    data = {
        "host": {"name": "WS1"},
        "user": {"name": "alice"},
        "source": {"ip": "203.0.113.7"},
        "message": "x",
        **fields,
    }
    raw = RawEvent(
        deployment=deployment,
        native_id=str(number),
        ref=SourceRef(siem=deployment, index="i", id=str(number)),
        data=data if at is None else {"@timestamp": at, **data},
        position=None if arrived is None else Position(partition="", offset=arrived),
    )
    return normalise(raw)


def scored(p: float, *techniques: str) -> Prediction:
    listed = tuple(TechniqueScore(id=technique, probability=0.9) for technique in techniques)
    return Prediction(p_malicious=p, techniques=listed, passed=techniques)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: ManualClock) -> Iterator[Ledger]:
    opened = open_ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock)
    yield opened
    opened.close()


POLICY = {
    "rules": [
        {"name": "incident", "incident": True, "min_confidence": 0.01, "tier": "ticket", "mode": "auto",
         "playbook": "notify-on-call"},
    ]
}  # fmt: skip


INCIDENTS = """
soar = "soar"
[[rules]]
name = "incident"
incident = true
min_confidence = 0.0
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
"""


class Worker:
    """Rolls up, decides and commits as the ingest loop does."""

    def __init__(self, ledger: Ledger, clock: ManualClock) -> None:
        self.ledger = ledger
        self.clock = clock
        self.policy = Policy.build(
            POLICY, Policy.load(shipped("playbooks") / "policy.toml", shipped("playbooks")).playbooks
        )
        self.rollup = RollUp(ledger, KEY)

    def roll(self, pairs: Sequence[tuple[Event, Prediction]], *, again: bool = False, **known: Any) -> RolledUp:
        context = DecisionContext(
            now=self.clock(), model=MODEL, thresholds=Levels(), members=1, origin_key=KEY, **known
        )
        return self.rollup.of([e for e, _ in pairs], [p for _, p in pairs], [context] * len(pairs), again=again)

    def decisions(self, pairs: Sequence[tuple[Event, Prediction]], rolled: RolledUp) -> list[Decision]:
        return [decide(e, p, c, self.policy) for (e, p), c in zip(pairs, rolled.contexts, strict=True)]

    def commit(self, pairs: Sequence[tuple[Event, Prediction]], rolled: RolledUp) -> list[Decision]:
        decisions = self.decisions(pairs, rolled)
        verdicts = [decision.verdict for decision in decisions]
        self.ledger.commit(Commit(source="lab", digest="d", verdicts=verdicts, entities=rolled.changes))
        return decisions

    def see(self, *pairs: tuple[Event, Prediction]) -> list[Decision]:
        return self.commit(pairs, self.roll(pairs))

    def entities(self) -> dict[str, EntityState]:
        return {state.key: state for state in read_entities(self.ledger.riskiest(100))}

    def incidents(self) -> list[IncidentState]:
        return read_incidents(self.ledger.newest_incidents(100))


@pytest.fixture
def worker(ledger: Ledger, clock: ManualClock) -> Worker:
    clock.advance(timedelta(days=900))
    return Worker(ledger, clock)


def test_a_verdict_adds_to_its_host_its_user_and_its_address(worker: Worker) -> None:
    worker.see((event(1), scored(0.5, "T1003.001", "T1003")))
    found = worker.entities()
    assert set(found) == {"host:ws1\tlab", "user:alice\tlab", "address:203.0.113.7\tlab"}
    assert [step.technique for step in found["host:ws1\tlab"].steps] == ["T1003"]


@pytest.mark.parametrize(
    ("fields", "whose"),
    [
        ({"user": {"name": "SYSTEM"}}, {"host:ws1", "address:203.0.113.7"}),
        ({"user": {"name": "Administrator"}}, {"host:ws1", "address:203.0.113.7"}),
        ({"user": {"name": r"WS1\root"}}, {"host:ws1", "address:203.0.113.7"}),
        ({"user": {"name": "WS1$"}, "source": {"ip": "127.0.0.1"}}, {"host:ws1"}),
        ({"host": {"name": "WS1", "ip": ["203.0.113.7"]}}, {"host:ws1", "user:alice"}),
        ({"agent": {"id": "a1"}, "source": {"ip": "fe80::1"}}, {"agent:a1", "user:alice"}),
    ],
)
def test_accounts_and_addresses_that_name_nobody_have_no_risk(worker: Worker, fields: Any, whose: set[str]) -> None:
    worker.see((event(1, **fields), scored(0.5, "T1003")))
    assert set(worker.entities()) == {f"{key}\tlab" for key in whose}


def test_hosts_and_users_of_the_same_name_in_two_deployments_are_two_and_share_no_incident(worker: Worker) -> None:
    worker.see((event(1), scored(0.2, "T1566")), (event(2), scored(0.2, "T1059")))
    (theirs,) = worker.see((event(3, deployment="other"), scored(0.2, "T1003")))
    assert len(worker.entities()) == 6
    assert theirs.verdict.incident is None
    assert (theirs.verdict.risk or 0.0) < 100.0


def test_what_is_benign_abstained_or_allowed_adds_nothing_and_reads_nothing(worker: Worker) -> None:
    abstained = Prediction(p_malicious=0.9, techniques=(), passed=(), abstain="unknown")
    pairs = [(event(1), scored(0.001, "T1003")), (event(2), abstained)]
    assert worker.roll(pairs).changes.entities == {}
    allowed = Listed(list="allow", kind="host", value="ws1", reason="r", author="a")
    assert worker.roll([(event(3), scored(0.9, "T1003"))], listed=allowed).changes.entities == {}
    blocked = Listed(list="block", kind="host", value="ws1", reason="r", author="a")
    (context,) = worker.roll([(event(3), scored(0.001))], listed=blocked).contexts
    assert context.risk == 100.0


def test_the_verdict_says_the_risk_and_the_incident_and_the_incident_is_the_subject_of_one_action(
    worker: Worker,
) -> None:
    (first,) = worker.see((event(1), scored(0.2, "T1566")))
    assert first.verdict.incident is None
    assert 0.0 < (first.verdict.risk or 0.0) < 100.0
    assert first.actions == ()
    later = worker.see((event(2), scored(0.2, "T1059")), (event(3), scored(0.2, "T1003")), (event(4), scored(0.0)))
    assert [d.verdict.incident for d in later] == [worker.incidents()[0].id] * 2 + [None]
    one, other, benign = (decision.actions for decision in later)
    assert one[0].key == other[0].key
    assert one[0].subject != later[0].verdict.event_id
    assert benign == ()


def test_a_batch_that_is_rolled_back_or_done_twice_leaves_what_one_leaves(worker: Worker) -> None:
    pairs = [(event(1), scored(0.2, "T1566")), (event(2), scored(0.2, "T1059"))]
    rolled = worker.roll(pairs)
    assert worker.entities() == {}
    assert worker.roll(pairs) == rolled
    worker.commit(pairs, rolled)
    before = worker.entities(), worker.incidents()
    with pytest.raises(EntitiesMovedError):
        worker.commit(pairs, rolled)
    assert worker.roll(pairs, again=True).changes.entities == {}
    assert (worker.entities(), worker.incidents()) == before


def test_of_two_batches_at_once_about_one_host_none_is_lost(worker: Worker) -> None:
    mine, theirs = [(event(1), scored(0.2, "T1566"))], [(event(2), scored(0.2, "T1059"))]
    late = worker.roll(mine)
    worker.commit(theirs, worker.roll(theirs))
    with pytest.raises(EntitiesMovedError):
        worker.commit(mine, late)
    assert not worker.ledger.known([mine[0][0].id])
    worker.commit(mine, worker.roll(mine, again=True))
    assert {step.technique for step in worker.entities()["host:ws1\tlab"].steps} == {"T1566", "T1059"}
    assert len(worker.incidents()) == 1


def test_siems_are_told_what_was_added_how_all_stands_and_of_an_incident_that_grew(worker: Worker) -> None:
    times = ("2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", "2026-03-01T10:00:01Z")
    shown = ("T1566", "T1059", "T1059")
    pairs = [(event(n, at), scored(0.2, technique)) for n, (at, technique) in enumerate(zip(times, shown, strict=True))]
    rolled = worker.roll(pairs)
    worker.commit(pairs, rolled)
    records = [record for record, _ in rolled.records]
    points = [record for record in records if isinstance(record, RiskEvent)]
    assert [(r.entity.host, r.entity.user, r.entity.address) for r in points[:3]] == [
        ("WS1", None, None), (None, "alice", None), (None, None, "203.0.113.7")
    ]  # fmt: skip
    assert len(points) == 6  # the third event repeats the second
    standing = {r.entity: r for r in records if isinstance(r, EntityRisk)}
    assert len(standing) == 3
    (incident,) = (r for r in records if isinstance(r, Incident))
    assert [step.technique for step in incident.steps] == ["T1566", "T1059"]
    assert incident.tactics == ("TA0001", "TA0002")
    assert all(r.incident == incident.incident for r in standing.values())
    assert all(identity.is_ours(KEY, record.origin) for record in records)
    repeated = [(event(4), scored(0.2, "T1059"))]
    assert worker.roll(repeated).records == ()


@pytest.mark.parametrize(
    ("at", "arrived", "taken"),
    [
        ("2026-03-01T10:00:00Z", None, "2026-03-01T10:00:00"),
        ("2030-01-01T00:00:00Z", None, "now"),
        (None, None, "now"),
        # a clock that was set back a year gains a day
        ("2025-03-01T10:00:00Z", "2026-03-01T10:00:00", "2026-02-28T10:00:00"),
    ],
)
def test_an_event_takes_place_when_it_says_within_what_can_be_believed(
    worker: Worker, at: str | None, arrived: str | None, taken: str
) -> None:
    def micros(text: str) -> int:
        moment = worker.clock() if text == "now" else datetime.fromisoformat(text).replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)

    worker.clock.advance(timedelta(days=365))
    found = event(1, at, arrived=None if arrived is None else micros(arrived))
    worker.see((found, scored(0.5, "T1003")))
    assert worker.entities()["host:ws1\tlab"].newest == micros(taken)


def test_retention_forgets_entities_with_nothing_left_and_incidents_with_their_verdicts(worker: Worker) -> None:
    worker.see((event(1), scored(0.2, "T1566")), (event(2), scored(0.2, "T1059")))
    worker.clock.advance(timedelta(days=13))
    worker.ledger.retain(RetentionSettings(), worker.clock())
    assert len(worker.entities()) == 3
    worker.clock.advance(timedelta(days=2))
    assert worker.ledger.retain(RetentionSettings(), worker.clock())["entities"] == 3
    assert len(worker.incidents()) == 1
    worker.clock.advance(timedelta(days=90))
    assert worker.ledger.retain(RetentionSettings(), worker.clock())["incidents"] == 1


def test_an_incident_reaches_the_siem_and_one_playbook_runs_for_all_of_it(house: Callable[..., Any]) -> None:
    home = house(source={"start": "beginning"}, target={"entities": True}, policy=INCIDENTS)
    home.put("mimikatz.exe", "powershell.exe", "powershell.exe mimikatz.exe", "notepad.exe")
    home.run(60)
    for _ in range(3):
        home.deliver.drain()
        home.act.drain()
        home.clock.advance(60)
    written = [document["triaged"] for document in home.siem.documents.values()]
    (incident,) = (one["incident"] for one in written if one.get("record") == "incident")
    assert {step["technique"] for step in incident["steps"]} == {"T1003", "T1059"}
    assert [found.events for found in read_incidents(home.ledger.newest_incidents(10))] == [2]
    verdicts = {one["source"]["id"]: one for one in written if "verdict" in one}
    assert verdicts["mimikatz.exe"]["incident"] is None
    assert verdicts["powershell.exe"]["incident"] == incident["incident"]
    assert verdicts["powershell.exe"]["risk"] >= 100.0
    assert (verdicts["notepad.exe"]["incident"], verdicts["notepad.exe"]["risk"]) == (None, None)
    assert len(home.platform.runs) == 1


def test_a_target_that_did_not_ask_for_entities_is_sent_verdicts_alone(house: Callable[..., Any]) -> None:
    home = house(source={"start": "beginning"}, policy=INCIDENTS)
    home.put("mimikatz.exe", "powershell.exe")
    home.run(60)
    home.deliver.drain()
    assert len(home.ledger.newest_incidents(10)) == 1
    assert len(home.siem.documents) == 2
    assert all("verdict" in document["triaged"] for document in home.siem.documents.values())


def test_a_batch_that_another_one_overtook_is_decided_anew_and_not_scored_again(house: Callable[..., Any]) -> None:
    home = house(source={"start": "beginning"}, policy=INCIDENTS)
    other = house(beside=home, source={"start": "beginning"}, policy=INCIDENTS)
    home.put("mimikatz.exe")
    overtaken: list[str] = []

    def overtake(step: str) -> None:
        if step == "ingest.decide" and not overtaken:
            overtaken.append(step)
            data = process_start("powershell.exe")
            ref = SourceRef(siem="lab", index="pushed", id="pushed")
            other.ingest.batch([RawEvent(deployment="lab", native_id="pushed", ref=ref, data=data)])

    home.at_step = overtake
    home.run(60)
    assert home.steps.count("ingest.scored") == home.steps.count("ingest.committed")
    assert home.steps.count("ingest.decide") == home.steps.count("ingest.committed") + 1
    (alice,) = (state for state in read_entities(home.ledger.riskiest(10)) if state.key.startswith("user:"))
    assert {step.technique for step in alice.steps} == {"T1003", "T1059"}
    assert len(home.ledger.newest_incidents(10)) == 1
