"""What may never reach a training file, whatever events, people and machines come: the rules of privacy, origin and time."""

from __future__ import annotations

import base64
import re
from contextlib import closing
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector import identity
from connector.errors import ConfigError
from connector.events import render
from connector.learn.export import Fact, LabelMap, Machines, Pseudonyms
from connector.learn.export.machine import ACCOUNTS
from connector.learn.export.rows import Sighted
from connector.learn.export.snapshot import found_in, sighted
from connector.learn.export.view import Rules, view
from connector.ledger import Scored
from connector.pipeline.snapshot import snapshot
from connector.testing.clock import START
from connector.types import Event, ModelRef, SourceRef, Verdict
from tests.learn.export.make import KEY, House, process, scored

PSEUDONYMS = Pseudonyms(KEY)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD = st.text(LETTERS, min_size=7, max_size=12).map(lambda word: f"q{word}x")
NUMBER = st.integers(0, 255)
ADDRESS = st.tuples(st.integers(11, 126), NUMBER, NUMBER, st.integers(1, 254)).map(lambda n: ".".join(map(str, n)))
SECRET = st.text(LETTERS + LETTERS.upper() + "0123456789!#%+", min_size=8, max_size=20).map(lambda s: f"Z9{s}")
COMMANDS = (
    r"net use z: \\{host}\share {secret} /user:{domain}\{user}",
    r"net user {user} {secret} /add",
    r"powershell -c $p = '{secret}'; password = \"{secret}\" ; ping {address}",
    r"psexec \\{host} -u {user} -p {secret} cmd /c whoami",
    r"curl -u {user}:{secret} https://{host}.{domain}.example/x",
    r"cmd /c type C:\Users\{user}\notes.txt & mail {mail}",
    r"schtasks /create /ru {domain}\{user} /rp {secret} /tr C:\x.exe",
    r"https://{user}:{secret}@{address}/path?token={secret}",
)


def encoded(command: str) -> str:
    return "powershell -enc " + base64.b64encode(command.encode("utf-16-le")).decode()


@st.composite
def told(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, Any]]:
    """Names and a secret, and an event that tells them in many places."""
    who = {name: f"{name[0]}{draw(WORD)}" for name in ("user", "host", "domain")}
    who |= {"address": draw(ADDRESS), "mail": f"{draw(WORD)}@{draw(WORD)}.example", "secret": draw(SECRET)}
    command = draw(st.sampled_from(COMMANDS)).format(**who)
    shown = encoded(command) if draw(st.booleans()) else command
    document = process(draw(st.integers(0, 9)), shown, user=who["user"], host=who["host"])
    document["winlog"]["event_data"]["User"] = f"{who['domain'].upper()}\\{who['user']}"
    document["source"] = {"ip": who["address"]}
    document["user"] = {"email": who["mail"], "name": draw(st.sampled_from([who["user"], who["user"].upper()]))}
    document["process"] = {"args": shown.split(" ")}
    document["message"] = f"{command} ran for {who['mail']} at {who['address']} with password: {who['secret']}"
    document["odd"] = {"deep": [{who["user"]: [f"x{who['host']}y", command]}], "note": who["secret"]}
    return who, document


@settings(max_examples=25, deadline=None)
@given(told())
def test_no_name_and_no_secret_of_an_event_reaches_a_row(case: tuple[dict[str, str], dict[str, Any]]) -> None:
    who, document = case
    made = _exported(scored("e", document))
    assert _told_of(who, msgspec.json.encode(made).decode()) == []
    document = msgspec.json.decode(made.event)
    assert PSEUDONYMS.reveal(document["user"]["email"]) == ("mail", who["mail"])
    assert PSEUDONYMS.reveal(document["source"]["ip"]) == ("ip", who["address"])
    assert document["winlog"]["event_data"]["User"].endswith(PSEUDONYMS.of("user", who["user"]))
    assert not any(
        f"{kind}-" in made.text for kind in ("user", "mail", "ip") if PSEUDONYMS.of(kind, "x")[:9] in made.text
    )


def test_no_body_makes_names_of_the_words_of_a_rule() -> None:
    login = base64.b64encode(
        b"POST /login HTTP/1.1\r\nHost: shop.example\r\n\r\nuser=request&login=web_server"
    ).decode()
    alert = {"action": "allowed", "signature_id": 1, "signature": "ET WEB_SERVER HTTP request to a login page"}
    ends = {"src_ip": "192.168.2.14", "dest_ip": "209.53.113.5", "proto": "TCP"}
    event = scored("e", {"flow_id": 1, "event_type": "alert", **ends, "alert": alert, "payload": login})
    assert event.ecs["suricata"]["eve"]["payload"] == login
    made = _exported(event)
    assert made.fingerprint == event.fingerprint
    assert made.text == render(event.canonical)


@settings(max_examples=3, deadline=None)
@given(st.lists(told(), min_size=4, max_size=4))
def test_no_file_of_an_export_holds_a_name_or_a_secret(cases: list[tuple[dict[str, str], dict[str, Any]]]) -> None:
    with TemporaryDirectory() as place, closing(House(Path(place))) as house:
        for number, (who, document) in enumerate(cases):
            house.said(
                f"A-{number}",
                house.score(scored(f"e{number}", document)),
                disposition="false_positive",
                analyst=who["mail"],
                tags=("administration", who["host"].upper()),
                comment="asked {user} ({mail}) at {address}: password: {secret}, on {host}".format(**who),
            )
        house.export().run()
        files = [path.read_text("utf-8") for path in house.folder.iterdir() if path.suffix in {".json", ".jsonl"}]
        assert len(files) == 4
        assert [row.malicious for row in house.rows()] == [False] * 4
        assert [_told_of(who, text) for who, _ in cases for text in files] == [[]] * 16


def _exported(event: Event) -> Sighted:
    """The event's line in an export, from the snapshot that the pipeline keeps."""
    document = snapshot(event)
    assert document is not None
    kept = Scored(verdict=_verdict(event.id, event.fingerprint), at=START, snapshot=document)
    found = found_in(kept)
    assert found is not None
    made = sighted(kept, found, PSEUDONYMS)
    assert made is not None
    return made


def _told_of(who: dict[str, str], written: str) -> list[str]:
    """Which of someone's names can be read in what was written, encoded commands included."""
    words = re.split(r"[\s\"\\]+", written)
    read = " ".join((written, *(_decoded(word) for word in words))).lower()
    return [name for name, value in who.items() if value.lower() in read]


def _decoded(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode("utf-16-le", "replace")
    except ValueError:
        return ""


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=80), st.sampled_from(["user", "host", "ip", "mail"]))
def test_a_pseudonym_is_the_same_each_time_and_only_its_key_takes_it_back(name: str, kind: Any) -> None:
    pseudonym = PSEUDONYMS.of(kind, name)
    assert pseudonym == Pseudonyms(KEY).of(kind, name)
    assert PSEUDONYMS.reveal(pseudonym) == (kind, name)
    other = Pseudonyms(b"another key, of some length")
    assert other.of(kind, name) != pseudonym
    with pytest.raises(ConfigError, match="no pseudonym of this key"):
        other.reveal(pseudonym)


ANALYSTS = ("ana", "ben", "cleo", "dan", "svc-triage", "soar_prod")
EVENTS = tuple(f"event-{n}" for n in range(3))
SCORED = {event: START + timedelta(minutes=20 * n) for n, event in enumerate(EVENTS)}


@st.composite
def history(draw: st.DrawFn) -> list[Fact]:
    facts = []
    for number in range(draw(st.integers(2, 12))):
        changed = START + timedelta(minutes=draw(st.integers(0, 90)))
        status = draw(st.sampled_from(["closed", "closed", "closed", "open", "resolved", "in_progress"]))
        words = [None, "true_positive", "false_positive", "benign_positive", "automated_closure", "duplicate", "odd"]
        facts.append(
            Fact(
                id=identity.derive("fact", str(number)),
                history=draw(st.sampled_from(["elastic", "splunk"])),
                alert=draw(st.sampled_from(["A", "B"])),
                event_ids=tuple(
                    draw(st.lists(st.sampled_from([*EVENTS, "unknown"]), min_size=1, max_size=2, unique=True))
                ),
                status=status,
                disposition=draw(st.sampled_from(words)) if status in {"closed", "resolved"} else None,
                changed_at=changed,
                observed_at=changed + timedelta(minutes=draw(st.integers(0, 30))),
                analyst=draw(st.sampled_from(ANALYSTS)),
                comment=draw(
                    st.sampled_from(["", "technique: T1033", "x", "Triaged 7b1c0a52-5f0e-5d0a-9c57-3f2f4f6a9e11"])
                ),
                tags=(),
                techniques=(),
                machine=draw(st.sampled_from([False, False, False, True])),
                query="",
                run=number,
            )
        )
    return facts


RULES = Rules(LabelMap(), Machines(closures=3, within=timedelta(minutes=5)))


@settings(max_examples=60, deadline=None)
@given(history(), st.integers(0, 11), st.integers(0, 15))
def test_labels_of_a_time_are_those_that_were_exported_then_and_know_nothing_later(
    facts: list[Fact], chosen: int, minutes: int
) -> None:
    until = facts[chosen % len(facts)].changed_at + timedelta(minutes=minutes)
    then = [fact for fact in facts if fact.observed_at <= until]
    there = {event: at for event, at in SCORED.items() if at <= until}
    now = view(facts, SCORED, RULES, until)
    assert now.labels == view(then, there, RULES).labels
    assert all(label.fact.observed_at <= until and SCORED[label.event_id] <= until for label in now.labels)
    ids = {fact.id for fact in then}
    assert all(label.superseded_by is None or label.superseded_by in ids for label in now.labels)


@settings(max_examples=60, deadline=None)
@given(history())
def test_no_closure_of_a_machine_is_a_row_and_an_event_has_one_label_at_most(facts: list[Fact]) -> None:
    found = view(facts, SCORED, RULES)
    standing: dict[str, int] = {}
    for label in found.labels:
        assert not any(fnmatchcase(label.fact.analyst or "", pattern) for pattern in ACCOUNTS)
        assert not label.fact.machine
        assert label.fact.disposition != "automated_closure"
        assert "Triaged " not in label.fact.comment
        if label.meaning.malicious is not None and label.superseded_by is None:
            standing[label.event_id] = standing.get(label.event_id, 0) + 1
    assert set(standing.values()) <= {1}
    assert view(list(reversed(facts)), SCORED, RULES) == found


def _verdict(event_id: str, fingerprint: str) -> Verdict:
    return Verdict(
        record_id=event_id,
        event_id=event_id,
        revision=1,
        verdict="malicious",
        confidence=0.9,
        techniques=(),
        passed=(),
        members={},
        model=ModelRef(name="triaged", version="1", attack_version="18.1"),
        fingerprint=fingerprint,
        source=SourceRef(siem="site", index="logs", id="e"),
        origin=None,
    )
