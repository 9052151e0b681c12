import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError
from connector.policy import DecisionContext, Policy, decide
from connector.policy.playbooks import load_playbooks
from connector.resources import shipped
from connector.soar.dryrun import ERRORS, DryRunSettings, DryRunSoar, DryRunTestbed, recorded
from connector.types import Action, Event, ModelRef, Prediction, RunRef, SourceRef

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


class Thresholds(msgspec.Struct, frozen=True):
    suspicious: float = 0.3
    malicious: float = 0.6
    trigger: float = 0.8


def action(native: str = "1", playbook: str = "notify-on-call") -> Action:
    table = {"rules": [{"name": "r", "tier": "contain", "mode": "auto", "playbook": playbook}]}
    decision = decide(
        Event(
            id=f"00000000-0000-5000-8000-{native:0>12}",
            ref=SourceRef(siem="files", index="a.jsonl", id=native),
            kind="generic",
            ecs={"host": {"name": "ws-7"}, "agent": {"id": "agent-7"}},
            canonical=(),
            fingerprint="0" * 64,
        ),
        Prediction(p_malicious=0.9, techniques=(), passed=("T1003",), members={"text": 0.9}),
        DecisionContext(
            now=NOW,
            model=ModelRef(name="m", version="1", attack_version="18.1"),
            thresholds=Thresholds(),
            members=1,
            origin_key=b"k",
        ),
        Policy.build(table, load_playbooks(shipped("playbooks"))),
    )
    return decision.actions[0]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "runs.sqlite"


@pytest.fixture
def soar(store: Path) -> Iterator[DryRunSoar]:
    opened = DryRunSoar("dry", DryRunSettings(path=store), lambda: NOW)
    yield opened
    opened.close()


def test_a_run_is_recorded_with_its_rendered_steps(soar: DryRunSoar, store: Path) -> None:
    asked = action()
    ref = soar.run(asked)
    (run,) = recorded(store)
    assert (run.key, run.run_id, run.playbook, run.title) == (asked.key, ref.run_id, "notify-on-call", "Notify on-call")
    assert (run.verdict_id, run.event_id, run.host, run.rule) == (asked.cause, asked.verdict.event_id, "ws-7", "r")
    assert (run.started_at, run.requests) == (NOW, 1)
    sent = json.loads(run.steps[1].commands[0]["content"])
    assert sent["verdict"]["host"] == "ws-7"
    assert sent["verdict"]["event"]["id"] == "1"


def test_one_key_is_one_run_however_often_it_is_asked_for(soar: DryRunSoar, store: Path) -> None:
    assert soar.run(action()) == soar.run(action())
    assert soar.run(action("2")) != soar.run(action())
    assert {run.event_id[-1]: run.requests for run in recorded(store)} == {"1": 3, "2": 1}


def test_a_run_can_be_found_by_its_key_and_its_status_followed(soar: DryRunSoar) -> None:
    asked = action()
    assert soar.find(asked.key) is None
    ref = soar.run(asked)
    assert soar.find(asked.key) == ref
    status = soar.status(ref, asked)
    assert (status.state, status.cause, status.action_key, status.run_id) == (
        "succeeded",
        asked.cause,
        asked.key,
        ref.run_id,
    )
    assert soar.status(ref, asked) == status
    with pytest.raises(PermanentError, match="no run 'other'"):
        soar.status(RunRef(soar="dry", run_id="other"), asked)


def test_what_cannot_be_rendered_or_is_unknown_is_refused_and_leaves_no_run(soar: DryRunSoar, store: Path) -> None:
    with pytest.raises(PermanentError, match=r"it has: .*collect-triage-package"):
        soar.run(msgspec.structs.replace(action(), playbook="absent"))
    unresolved = msgspec.structs.replace(action().entity, agent_id=None)
    with pytest.raises(PermanentError, match="__agent_id__"):
        soar.run(msgspec.structs.replace(action(playbook="isolate-host"), entity=unresolved))
    assert recorded(store) == ()


def test_threads_and_a_second_connection_on_one_file_still_give_one_run_a_key(soar: DryRunSoar, store: Path) -> None:
    asked = [action(str(number)) for number in range(5)]
    other = DryRunSoar("dry", DryRunSettings(path=store), lambda: NOW)
    threads = [threading.Thread(target=lambda s=s: [s.run(a) for a in asked]) for s in (soar, other, soar, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert [run.requests for run in recorded(store)] == [4] * 5


def test_a_run_that_was_answered_survives_sigkill(store: Path, tmp_path: Path) -> None:
    payload = tmp_path / "action.json"
    payload.write_bytes(msgspec.json.encode(action()))
    code = f"""
        import sys, time, msgspec
        from datetime import datetime, UTC
        from pathlib import Path
        from connector.soar.dryrun import DryRunSettings, DryRunSoar
        from connector.types import Action
        soar = DryRunSoar("dry", DryRunSettings(path=Path({str(store)!r})), lambda: datetime.now(UTC))
        print(soar.run(msgspec.json.decode(Path({str(payload)!r}).read_bytes(), type=Action)).run_id, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        run_id = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
    again = DryRunSoar("dry", DryRunSettings(path=store), lambda: NOW)
    assert again.find(action().key) == again.run(action()) == RunRef(soar="dry", run_id=run_id)
    again.close()
    assert [run.requests for run in recorded(store)] == [2]


def test_a_locked_store_is_transient_and_nothing_was_sent(
    soar: DryRunSoar, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soar._store.execute("PRAGMA busy_timeout = 10")
    blocker = sqlite3.connect(store, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match="locked") as caught:
        soar.run(action())
    assert caught.value.sent is False
    blocker.execute("ROLLBACK")
    blocker.close()
    soar.run(action())
    assert len(recorded(store)) == 1


def test_a_file_that_is_no_store_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is a text and no database at all" * 50)
    with pytest.raises(ConfigError, match="not a database"):
        DryRunSoar("dry", DryRunSettings(path=tmp_path / "text"), lambda: NOW)
    for path in (tmp_path / "text" / "under", tmp_path):
        with pytest.raises(ConfigError):
            DryRunSoar("dry", DryRunSettings(path=path), lambda: NOW)


@pytest.mark.parametrize("raised", [*ERRORS, sqlite3.ProgrammingError, sqlite3.InterfaceError])
def test_every_error_of_the_store_has_one_meaning(raised: type[sqlite3.Error]) -> None:
    from connector.soar.dryrun import _mapped

    with pytest.raises(TriagedError) as caught, _mapped(Path("x")):
        raise raised("boom")
    expected = next(
        ours for theirs, ours in (*ERRORS.items(), (sqlite3.Error, TransientError)) if issubclass(raised, theirs)
    )
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, TransientError),
        (sqlite3.SQLITE_LOCKED, TransientError),
        (sqlite3.SQLITE_FULL, TransientError),
        (sqlite3.SQLITE_IOERR_WRITE, TransientError),
        (sqlite3.SQLITE_CANTOPEN, ConfigError),
        (sqlite3.SQLITE_READONLY, ConfigError),
        (sqlite3.SQLITE_ERROR, ConfigError),
    ],
)
def test_only_what_may_pass_by_itself_is_tried_again(code: int, expected: type[TriagedError]) -> None:
    from connector.soar.dryrun import _mapped

    error = sqlite3.OperationalError("boom")
    error.sqlite_errorcode = code
    with pytest.raises(expected), _mapped(Path("x")):
        raise error


def test_no_file_is_no_runs(tmp_path: Path) -> None:
    assert recorded(tmp_path / "none") == ()
    with DryRunTestbed(tmp_path) as testbed:
        assert testbed.runs() == {}
        config = DryRunSettings.model_validate(testbed.soar_config())
        soar = DryRunSoar("dry", config, lambda: NOW)
        soar.run(action())
        soar.close()
        assert testbed.runs() == {action().key: 1}
