"""Example events, records and actions, the same for every contract suite. Nothing in them is of any site."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from connector import identity
from connector.events import normalise
from connector.testing.clock import START
from connector.types import (
    Action,
    AlertUpdate,
    Entity,
    EntityRisk,
    Event,
    Incident,
    IncidentStep,
    LookupEntry,
    ModelRef,
    Note,
    PolicyRef,
    RawEvent,
    Record,
    ReviewRequest,
    RiskEvent,
    RunStatus,
    SourceRef,
    TechniqueScore,
    Tier,
    Verdict,
)

MODEL = ModelRef(name="example", version="1", attack_version="18.1")
_KEY = b"an example key"
_COMMANDS = (
    r"C:\Windows\System32\whoami.exe /all",
    r"powershell.exe -nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA",
    r"C:\Windows\System32\svchost.exe -k netsvcs -p -s Schedule",
    r"reg.exe save HKLM\SAM C:\Temp\sam.save",
    "",
    "日本語のコマンド --flag",
)


def documents(count: int, *, first: int = 0) -> list[dict[str, Any]]:
    """That many process starts as a Winlogbeat-like agent ships them; ``message`` tells them apart: ``example-<n>``."""
    return [_document(number) for number in range(first, first + count)]


def _document(number: int) -> dict[str, Any]:
    moment = (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return {
        "@timestamp": moment,
        "message": f"example-{number:05d}",
        "event": {"code": "1", "kind": "event", "provider": "Microsoft-Windows-Sysmon"},
        "host": {"name": f"host-{number % 3}"},
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "provider_name": "Microsoft-Windows-Sysmon",
            "event_id": "1",
            "computer_name": f"host-{number % 3}",
            "record_id": number,
            "event_data": {
                "CommandLine": _COMMANDS[number % len(_COMMANDS)],
                "Image": r"C:\Windows\System32\cmd.exe",
                "ParentImage": r"C:\Windows\explorer.exe",
                "User": f"EXAMPLE\\user{number % 4}",
                "ProcessId": str(1000 + number),
            },
        },
    }


def events(count: int) -> list[Event]:
    """The documents as the product sees them; each sixth has the same command, and so the same canonical form."""
    return [
        normalise(
            RawEvent(
                deployment="example",
                native_id=f"{number}",
                ref=SourceRef(siem="example", index="events", id=f"{number}"),
                data=document,
            )
        )
        for number, document in enumerate(documents(count))
    ]


def verdict(number: int, *, revision: int = 1) -> Verdict:
    """A malicious verdict of the n-th example event."""
    event = identity.event_id("example", str(number))
    record = identity.record_id(event, revision)
    return Verdict(
        record_id=record,
        event_id=event,
        revision=revision,
        verdict="malicious",
        confidence=0.97,
        techniques=(
            TechniqueScore(id="T1059", probability=0.9, subtechnique=TechniqueScore(id="T1059.001", probability=0.8)),
        ),
        passed=("T1059", "T1059.001"),
        members={"text": 0.97},
        model=MODEL,
        fingerprint="ab" * 32,
        source=SourceRef(siem="example", index="events", id=str(number)),
        origin=identity.origin_mark(_KEY, record),
        timestamp=START.isoformat(),
        at=START,
        kind="sysmon-1",
        entity=Entity(host="host-1", user="user1"),
        explanation=("process.command_line",),
        policy=PolicyRef(rule="example", mode="suggest", playbook=None),
        supersedes=None if revision == 1 else event,
    )


def records() -> Mapping[type[Record], Record]:
    """One record of each kind, all caused by the first verdict."""
    cause = verdict(0)
    made: Sequence[Record] = (cause, *_followed(cause), *_risks(cause), *_told(cause))
    marked = (msgspec.structs.replace(r, origin=identity.origin_mark(_KEY, r.record_id)) for r in made)
    return {type(record): record for record in marked}


def _named(cause: Verdict, kind: str) -> str:
    return identity.follow_up_id(cause.record_id, kind, "example")


def _followed(cause: Verdict) -> tuple[Record, ...]:
    """What became of the verdict."""
    return (
        RunStatus(
            record_id=_named(cause, "run_status"),
            cause=cause.record_id,
            action_key=identity.action_key(cause.event_id, "example"),
            playbook="notify-on-call",
            state="succeeded",
            detail="",
            at=START,
        ),
        Note(record_id=_named(cause, "note"), cause=cause.record_id, text="a note", at=START),
    )


def _risks(cause: Verdict) -> tuple[Record, ...]:
    """What the verdict says of its host and user."""
    return (
        RiskEvent(
            record_id=_named(cause, "risk_event"),
            cause=cause.record_id,
            entity=cause.entity,
            score=40.0,
            techniques=("T1059",),
            message="a contribution",
            at=START,
        ),
        EntityRisk(
            record_id=_named(cause, "entity_risk"),
            entity=cause.entity,
            risk=80.0,
            tactics=("TA0002",),
            at=START,
            techniques=("T1059",),
            as_of=START,
        ),
        Incident(
            record_id=_named(cause, "incident"),
            cause=cause.record_id,
            incident=_named(cause, "the incident"),
            entities=(Entity(host="host-1"), Entity(user="user1")),
            tactics=("TA0002",),
            steps=(
                IncidentStep(technique="T1059", first=START, event_id=cause.event_id, entity=Entity(host="host-1")),
            ),
            risk=120.0,
            events=2,
            opened=START,
            newest=START,
            at=START,
        ),
    )


def _told(cause: Verdict) -> tuple[Record, ...]:
    """What is written elsewhere, asked and looked up of the verdict."""
    return (
        AlertUpdate(
            record_id=_named(cause, "alert_update"),
            cause=cause.record_id,
            alert=SourceRef(siem="example", index="alerts", id="alert-1"),
            tags=("triaged",),
            note="a note",
        ),
        ReviewRequest(record_id=_named(cause, "review_request"), cause=cause.record_id, reason="uncertain", at=START),
        LookupEntry(
            record_id=_named(cause, "lookup_entry"),
            fingerprint=cause.fingerprint,
            canonical_version="1",
            model=MODEL,
            p_malicious=0.97,
            techniques=cause.techniques,
            expires_at=START + timedelta(days=1),
        ),
    )


def action(number: int, *, playbook: str = "notify-on-call", tier: Tier = "note") -> Action:
    """A proposed run for the n-th example event."""
    cause = verdict(number)
    return Action(
        key=identity.action_key(cause.event_id, "example"),
        cause=cause.record_id,
        rule="example",
        playbook=playbook,
        soar="example",
        tier=tier,
        mode="auto",
        subject=cause.event_id,
        entity=cause.entity,
        entity_key="host:host-1",
        verdict=cause,
        proposed_at=START,
    )
