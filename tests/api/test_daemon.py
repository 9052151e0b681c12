"""The API in the daemon: what it said yes to survives SIGKILL, reloads lose no request, and stopping finishes them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from connector import wiring
from tests.api.house import TOKENS, Caller, api_settings, event
from tests.daemon.site import Site, stop, wait_until
from tests.environment import clean
from tests.running import ROOT


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path, level="info", extra=api_settings(tmp_path), lease="PT1S")


def call_of(site) -> Caller:
    return Caller(site.dir / "api.sock")


def answers(site, daemon):
    """Waits until it does. A process that was killed leaves its socket's file behind."""

    def does():
        try:
            return call_of(site)("GET", "/healthz").status == 200
        except OSError:
            return False

    wait_until(does, "the API answers", of=daemon)


@pytest.mark.parametrize(
    "step",
    ["ingest.commit", *(pytest.param(step, marks=pytest.mark.full) for step in ("ingest.committed", "ingest.scored"))],
)
def test_what_got_a_202_survives_sigkill_and_what_did_not_may_be_sent_again(site, step):
    call = call_of(site)
    daemon = site.start("-m", "tests.daemon.crash", str(site.config), step, "3")
    answers(site, daemon)
    sent, taken = [], set()
    for number in range(10):
        sent.append({"events": [{"key": f"{number}", "data": event(number)}]})
        try:
            answer = call("POST", "/v1/events", sent[-1], token="push")
        except OSError:
            break
        assert answer.status == 202
        taken |= set(answer.json["ids"])
    daemon.communicate(timeout=60)
    assert daemon.returncode == -signal.SIGKILL
    assert len(taken) == 2
    daemon = site.start()
    answers(site, daemon)
    for event_id in taken:
        assert call("GET", f"/v1/verdicts/{event_id}", token="boss").status == 200
    again = [call("POST", "/v1/events", request, token="push") for request in sent]
    ids = {event_id for answer in again for event_id in answer.json["ids"]}
    wait_until(lambda: set(site.verdict_ids()) >= ids and len(site.runs()) >= len(ids), "all is delivered", of=daemon)
    stop(daemon)
    assert taken <= ids
    assert set(site.verdict_ids().values()) == {1}
    assert set(site.runs().values()) == {1}


def test_a_reload_takes_new_tokens_refuses_no_connection_and_logs_no_token(site):
    call = call_of(site)
    daemon = site.start()
    answers(site, daemon)
    done, failed = threading.Event(), []

    def ask():
        while not done.is_set():
            try:
                if call("GET", "/healthz").status != 200:
                    failed.append("status")
            except OSError as error:
                failed.append(repr(error))

    asker = threading.Thread(target=ask)
    asker.start()
    fresh = "a fresh token, which has 32 characters and more"
    try:
        site.config.write_text(site.config.read_text().replace(TOKENS["search"], fresh))
        daemon.send_signal(signal.SIGHUP)
        wait_until(lambda: call("GET", "/metrics", token=fresh).status == 200, "the new token holds", of=daemon)
        old = call("GET", "/metrics", token="search").status
    finally:
        done.set()
        asker.join(90)
        log = "\n".join(stop(daemon))
    assert (old, failed) == (401, [])
    assert log.count("api.listening") == 2
    assert not any(token in log for token in (*TOKENS.values(), fresh))
    assert not (site.dir / "api.sock").exists()


@pytest.mark.full
def test_a_reload_with_a_place_that_is_taken_keeps_what_answers(site, tmp_path):
    call = call_of(site)
    daemon = site.start()
    answers(site, daemon)
    (tmp_path / "taken").write_text("no socket")
    site.config.write_text(site.config.read_text().replace("api.sock", "taken"))
    daemon.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert call("GET", "/readyz").status == 200
    lines = stop(daemon)
    assert any("reload_refused" in line and "no socket" in line for line in lines)


@pytest.mark.full
def test_a_daemon_may_have_an_api_and_no_source(tmp_path):
    site = Site(tmp_path, extra=api_settings(tmp_path))
    text = site.config.read_text()
    before, _, rest = text.partition("[sources.lab]")
    site.config.write_text(before + rest[rest.index("[targets") :])
    daemon = site.start()
    answers(site, daemon)
    answer = call_of(site)("POST", "/v1/events", {"events": [{"id": "a", "data": event(1)}]}, token="push")
    assert answer.status == 202
    wait_until(lambda: set(site.verdict_ids()) == set(answer.json["ids"]), "it is delivered", of=daemon)
    stop(daemon)


WITHOUT = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"fastapi", "uvicorn", "starlette", "anyio"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
for name in ("fastapi", "uvicorn"):
    sys.modules[name] = None
from connector.cli import main
sys.argv = ["triaged", *sys.argv[1:]]
main()
"""


def test_without_the_extra_the_daemon_says_what_to_install(site):
    command = [sys.executable, "-c", WITHOUT, "run", "--config", str(site.config)]
    done = subprocess.run(command, cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "pip install 'triaged[api]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_extra_and_without_an_api_everything_else_goes_on(tmp_path):
    site = Site(tmp_path)
    site.events(3)
    command = [sys.executable, "-c", WITHOUT, "run", "--drain", "--config", str(site.config)]
    done = subprocess.run(command, cwd=ROOT, env=clean(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(site.verdict_ids()) == 3


@pytest.mark.full
def test_a_dead_letter_of_an_inlet_is_replayed(site):
    daemon = site.start()
    answers(site, daemon)
    call_of(site)("POST", "/v1/events", {"events": [{"id": "a", "data": [1]}]}, token="push")
    stop(daemon)
    done = site.start("-m", "connector.cli", "replay", "--all", "--config", str(site.config))
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors.decode()
    with wiring.opened_ledger(wiring.load_settings(site.config)) as ledger:
        (letter,) = ledger.dead_letters()
    assert letter.attempts == 2
