"""The plug-ins that the guides show work as they stand there."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np
import pytest

from connector import identity, settings
from connector.errors import ConfigError, PermanentError, TransientError
from connector.ports import MemberPlugin, MemberSpec, SiemPlugin, SoarPlugin
from connector.types import (
    Action,
    Cursor,
    Entity,
    Event,
    ModelRef,
    RawEvent,
    SourceRef,
    Span,
    TechniqueScore,
    Verdict,
)
from tests.docs.examples import block, module

NOW = datetime(2026, 3, 17, 12, tzinfo=UTC)
REF = SourceRef(siem="table-prod", index="events", id="1")
VERDICT = Verdict(
    record_id=identity.event_id("table-prod", "1"),
    event_id=identity.event_id("table-prod", "1"),
    revision=1,
    verdict="malicious",
    confidence=0.9,
    techniques=(TechniqueScore(id="T1003", probability=0.9),),
    passed=("T1003",),
    members={"text": 0.9},
    model=ModelRef(name="triaged", version="1", attack_version="18.1"),
    fingerprint="00" * 32,
    source=REF,
    origin="mark",
)
ACTION = Action(
    key=identity.action_key(VERDICT.event_id, "rule"),
    cause=VERDICT.record_id,
    rule="rule",
    playbook="notify-on-call",
    soar="rest",
    tier="note",
    mode="auto",
    subject=VERDICT.event_id,
    entity=Entity(host="LMR-WS-0147"),
    entity_key="host:lmr-ws-0147",
    verdict=VERDICT,
    proposed_at=NOW,
)


def clock() -> datetime:
    return NOW


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("adding-a-siem.md", "triaged_table"),
        ("adding-a-soar.md", "triaged_rest"),
        ("adding-a-member.md", "triaged_words"),
    ],
)
def test_each_example_keeps_the_contract_of_its_port_as_its_own_tests_say(page: str, name: str, tmp_path: Path) -> None:
    module(page, name, tmp_path)
    module(page, f"{name}_testbed", tmp_path, 1)
    tests = module(page, f"{name}_tests", tmp_path, 2)
    run = [test for test_name, test in vars(tests).items() if test_name.startswith("test_")]
    assert run
    for number, test in enumerate(run):
        directory = tmp_path / str(number)
        directory.mkdir()
        test(directory)


@pytest.fixture
def siem(tmp_path: Path) -> Iterator[tuple[Any, Any, sqlite3.Connection]]:
    """The guide's source and writer, made from the guide's own settings."""
    found = module("adding-a-siem.md", "triaged_table", tmp_path)
    assert isinstance(found.plugin, SiemPlugin)
    path = tmp_path / "siem.sqlite"
    table = tmp_path / "triaged.toml"
    table.write_text(block("adding-a-siem.md", "toml", 1).replace("/var/lib/siem.sqlite", str(path)), encoding="utf-8")
    kinds = {"sources": [found.plugin.source.Config], "targets": [found.plugin.writer.Config]}
    loaded = settings.load(table, kinds)
    source = found.plugin.source("table", loaded.sources["table"], clock)
    writer = found.plugin.writer("table", loaded.targets["table"], clock)
    store = found.connect(path)
    yield source, writer, store
    store.close()


def put(store: sqlite3.Connection, *ingested: int) -> None:
    with store:
        store.executemany(
            "INSERT INTO events (ingested, body) VALUES (?, ?)", [(at, '{"message": "m"}') for at in ingested]
        )


def read_all(source: Any, span: Span, limit: int) -> list[RawEvent]:
    items: list[RawEvent] = []
    after: Cursor | None = None
    while True:
        batch = source.read(span, after, limit)
        assert len(batch.items) <= limit
        items += batch.items
        if batch.done:
            return items
        after = batch.cursor


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_siem_example_reads_each_event_of_a_span_once_even_where_events_share_a_time(siem: Any, limit: int) -> None:
    source, _, store = siem
    put(store, 10, 20, 20, 20, 30)
    items = read_all(source, Span(partition="", start=10, stop=30), limit)
    assert [item.native_id for item in items] == ["1", "2", "3", "4"]
    assert source.count(Span(partition="", start=10, stop=30)) == 4


def test_the_siem_example_stays_behind_the_clock_by_its_settle_time(siem: Any) -> None:
    source, _, _ = siem
    (head,) = source.heads()
    assert head.offset == int((NOW - timedelta(seconds=5)).timestamp() * 1_000_000)


def test_the_siem_example_holds_a_record_once_however_often_it_is_written(siem: Any) -> None:
    _, writer, store = siem
    assert [d.outcome for d in writer.write([VERDICT, VERDICT])] == ["delivered", "delivered"]
    writer.write([VERDICT])
    ((body,),) = store.execute("SELECT body FROM verdicts").fetchall()
    assert json.loads(body)["triaged"]["verdict"] == "malicious"


def test_the_siem_example_tells_a_store_that_cannot_be_reached_as_transient(siem: Any, tmp_path: Path) -> None:
    source, writer, _ = siem
    source._path = writer._path = tmp_path / "gone" / "siem.sqlite"
    with pytest.raises(TransientError):
        source.count(Span(partition="", start=0, stop=1))
    with pytest.raises(TransientError):
        writer.write([VERDICT])


class Service(BaseHTTPRequestHandler):
    """The other side of the guide's SOAR: runs by idempotency key."""

    runs: dict[str, dict[str, Any]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers["Authorization"] != "Bearer s3cret":
            self.answer(401, {})
            return
        if body["playbook"] == "broken":
            self.answer(int(body["verdict"]["triaged"]["fingerprint"]), {})
            return
        key = self.headers["Idempotency-Key"]
        run = self.runs.setdefault(key, {"id": f"run-{len(self.runs) + 1}", "key": key, "state": "queued"})
        self.answer(200, run)

    def do_GET(self) -> None:
        path, _, key = self.path.partition("?key=")
        if key:
            self.answer(200, [run for run in self.runs.values() if run["key"] == key])
        else:
            self.answer(200, next(run for run in self.runs.values() if path.endswith(run["id"])))

    def answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing is logged."""


@pytest.fixture
def soar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, dict[str, dict[str, Any]]]]:
    """The guide's SOAR against a server, with its token from the environment."""
    found = module("adding-a-soar.md", "triaged_rest", tmp_path)
    assert isinstance(found.plugin, SoarPlugin)
    runs: dict[str, dict[str, Any]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Runs", (Service,), {"runs": runs}))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    table = tmp_path / "triaged.toml"
    url = f"http://127.0.0.1:{server.server_address[1]}"
    table.write_text(block("adding-a-soar.md", "toml", 1).replace("https://soar.example/api", url), encoding="utf-8")
    monkeypatch.setenv("TRIAGED_SOARS__REST__TOKEN", "s3cret")
    loaded = settings.load(table, {"soars": [found.plugin.soar.Config]})
    yield found.plugin.soar("rest", loaded.soars["rest"], clock), runs
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_soar_example_starts_one_run_however_often_the_action_is_sent(soar: Any) -> None:
    platform, runs = soar
    assert platform.find(ACTION.key) is None
    assert platform.run(ACTION) == platform.run(ACTION) == platform.find(ACTION.key)
    assert list(runs) == [ACTION.key]


def test_the_soar_example_tells_how_a_run_stands(soar: Any) -> None:
    platform, runs = soar
    run = platform.run(ACTION)
    assert platform.status(run, ACTION).state == "running"
    runs[ACTION.key]["state"] = "done"
    assert platform.status(run, ACTION).state == "succeeded"


@pytest.mark.parametrize(("status", "error"), [("403", ConfigError), ("503", TransientError), ("422", PermanentError)])
def test_the_soar_example_maps_each_refusal_to_one_of_the_three_errors(
    soar: Any, status: str, error: type[Exception]
) -> None:
    platform, _ = soar
    verdict = msgspec.structs.replace(VERDICT, fingerprint=status)
    with pytest.raises(error) as caught:
        platform.run(msgspec.structs.replace(ACTION, playbook="broken", verdict=verdict))
    assert getattr(caught.value, "sent", True)


def test_the_soar_example_says_that_nothing_left_where_no_connection_was_made(soar: Any) -> None:
    platform, _ = soar
    platform._url = "http://127.0.0.1:1"
    with pytest.raises(TransientError) as caught:
        platform.run(ACTION)
    assert caught.value.sent is False


def event(command: str | None) -> Event:
    ecs = {"process": {"command_line": command}} if command else {"message": "no command"}
    return Event(id="e", ref=REF, kind="generic", ecs=ecs, canonical=(), fingerprint="00" * 32)


@pytest.fixture
def member(tmp_path: Path) -> Any:
    """The guide's member, from the guide's own line of the manifest."""
    found: ModuleType = module("adding-a-member.md", "triaged_words", tmp_path)
    assert isinstance(found.plugin, MemberPlugin)
    spec = msgspec.json.decode(block("adding-a-member.md", "json"), type=MemberSpec)
    (tmp_path / "words.json").write_text('{"lsass": "T1003", "delete shadows": "T1490"}', encoding="utf-8")
    return found.plugin.member(spec, tmp_path, 1)


def test_the_member_example_scores_what_it_sees_and_has_no_view_of_the_rest(member: Any) -> None:
    events = [event("vssadmin delete shadows /all"), event("notepad"), event(None)]
    scores, change = member.score(events, {}, {})
    assert np.array_equal(scores.techniques[:2], [[0, 1], [0, 0]])
    assert scores.p_malicious[:2].tolist() == pytest.approx([0.8, 0.0])
    assert np.isnan(scores.techniques[2]).all()
    assert np.isnan(scores.p_malicious[2])
    assert scores.notes[0] == ("word: delete shadows",)
    assert change.rows == {}


def test_the_member_example_gives_equal_keys_to_what_scores_equal(member: Any) -> None:
    assert member.key(event("whoami")) == member.key(event("whoami"))
    assert member.key(event("whoami")) != member.key(event("whoami /all"))
