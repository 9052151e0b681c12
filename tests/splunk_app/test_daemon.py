"""What becomes of a search when the daemon misbehaves: events pass, in their order, and the search is warned once."""

from __future__ import annotations

import json
import ssl
import subprocess
import time

import pytest
from triaged_daemon import DaemonError, Server, settings

from tests.servers.cache import Unavailable
from tests.servers.certificates import Certificates
from tests.splunk_app.conftest import SECRETS
from tests.splunk_app.daemons import broken, moody, said, scored, silent, verdict
from tests.splunk_app.pythons import VERSIONS, python
from tests.splunk_app.search import conversation, table
from tests.splunkd.server import Splunkd

ROWS = [{"n": str(n)} for n in range(2500)]


@pytest.fixture
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("s") / "api.sock"


def explained(done) -> list[str]:
    return [row["triage_explanation"] for row in done.rows]


@pytest.mark.parametrize("version", VERSIONS)
def test_events_go_in_batches_and_verdicts_come_back_in_their_order(version, installed, place):
    with moody(place, scored) as daemon:
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS), table(ROWS[:10])], python=python(version))
    assert done.status == 0, done.stderr
    assert not done.warnings
    assert explained(done) == [f"event {row['n']}" for row in [*ROWS, *ROWS[:10]]]
    assert sorted(len(body["events"]) for body in daemon.bodies) == [10, 500, 1000, 1000]


@pytest.mark.parametrize("trouble", [said(503), said(429, Retry_After="0"), said(502), broken])
def test_a_daemon_that_is_busy_for_a_moment_is_asked_again(trouble, installed, place):
    with moody(place, trouble, trouble, scored):
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS[:3])])
    assert explained(done) == ["event 0", "event 1", "event 2"]
    assert not done.warnings


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (said(503), "answered 503: no"),
        (said(401), "answered 401: no"),
        (said(403, b'{"error": "token lacks the scope"}'), "answered 403: token lacks the scope"),
        (said(500, b"<html>"), "answered 500"),
        (broken, "does not answer"),
        (said(200, b"no json"), "answered what is no JSON"),
        (said(200, b'{"verdicts": []}'), "does not hold one verdict for each event"),
        (said(200, b"[]"), "does not hold one verdict for each event"),
    ],
)
def test_events_pass_with_the_reason_and_the_search_is_warned_once(trouble, reason, installed, place):
    with moody(place, trouble):
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS), table(ROWS[:2]), table(ROWS[:2])])
    assert done.status == 0, done.stderr
    assert [row["n"] for row in done.rows] == [row["n"] for row in [*ROWS, *ROWS[:2], *ROWS[:2]]]
    assert all(reason in row["triage_error"] for row in done.rows)
    assert {row["triage_verdict"] for row in done.rows} == {""}
    (warning,) = done.warnings
    assert warning.startswith("triage: events pass without a verdict: ")
    assert reason in warning


def test_a_daemon_that_gave_no_answer_is_left_alone_for_the_rest_of_a_short_search(installed, place):
    with moody(place, said(503)) as daemon:
        installed(url=f"unix:{place}").run(bodies=[table(ROWS), *[table(ROWS[:5])] * 20])
    assert len(daemon.bodies) <= 6


def test_a_batch_that_is_refused_for_itself_does_not_stop_the_others(installed, place):
    with moody(place, said(413, b'{"error": "too much"}'), scored):
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS)])
    failed = [row["n"] for row in done.rows if "answered 413: too much" in row["triage_error"]]
    assert len(failed) in {500, 1000}
    assert explained(done).count("") == len(failed)
    assert len(done.warnings) == 1


def test_a_daemon_that_hangs_costs_one_timeout_and_not_three(installed, place):
    with moody(place, silent(3)):
        begun = time.monotonic()
        done = installed(url=f"unix:{place}", timeout="0.5").run(bodies=[table(ROWS[:2]), table(ROWS[:2])])
    assert time.monotonic() - begun < 2.5
    assert all("does not answer" in row["triage_error"] for row in done.rows)


def test_a_cancelled_search_stops_asking(installed, place):
    app = installed(url=f"unix:{place}")

    def slow(asked):
        time.sleep(0.2)
        scored(asked)

    sent = conversation(app.info(), [table([{"n": str(n)} for n in range(50_000)])])
    with moody(place, slow) as daemon:
        process = subprocess.Popen(
            app.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=app.environment()
        )
        with process:
            process.stdin.write(sent)
            process.stdin.flush()
            while not daemon.bodies:
                time.sleep(0.02)
            process.stdout.close()
            assert process.wait(timeout=5) == 0
            assert process.stderr.read() == b""
    assert len(daemon.bodies) < 10


def test_a_search_that_is_cancelled_while_the_daemon_hangs_does_not_wait_for_it(installed, place):
    app = installed(url=f"unix:{place}")
    with moody(place, silent(20)) as daemon:
        process = subprocess.Popen(
            app.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=app.environment()
        )
        with process:
            process.stdin.write(conversation(app.info(), [table(ROWS[:2])]))
            process.stdin.flush()
            while not daemon.bodies:
                time.sleep(0.02)
            process.stdout.close()
            begun = time.monotonic()
            assert process.wait(timeout=10) == 0
            assert process.stderr.read() == b""
    assert time.monotonic() - begun < 5


def test_a_batch_holds_no_more_bytes_than_it_may(installed, place):
    with moody(place, scored) as daemon:
        done = installed(url=f"unix:{place}").run(
            bodies=[table([{"n": str(n), "x": "y" * 1_500_000} for n in range(3)])]
        )
    assert explained(done) == [f"event {n}" for n in range(3)]
    assert sorted(len(body["events"]) for body in daemon.bodies) == [1, 2]


def test_text_that_is_no_unicode_is_sent_as_text_that_is(installed, place):
    with moody(place, scored) as daemon:
        done = installed(url=f"unix:{place}").run(bodies=[table([{"n": "1", "x": "a\udc80b\0c"}])])
    assert explained(done) == ["event 1"]
    assert daemon.bodies[0] == {"events": [{"data": {"n": "1", "x": "a?b\0c"}}]}
    assert done.rows[0]["x"] == "a\udc80b\0c"


def test_an_event_that_the_daemon_cannot_read_is_told_alone_and_without_a_warning(installed, place):
    bad = verdict({}, error={"reason": "no event in it", "place": "events[0]"}, verdict=None)
    with moody(place, said(200, json.dumps({"verdicts": [bad, verdict({"n": 2})]}).encode())):
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS[:2])])
    assert [row["triage_error"] for row in done.rows] == ["no event in it", ""]
    assert not done.warnings


def test_a_lookup_without_a_deployment_or_a_place_says_what_is_missing(installed, place):
    with moody(place, scored):
        app = installed(url=f"unix:{place}")
        done = app.run("mode=lookup", bodies=[table([{"_bkt": "main~1~X", "_cd": "1:1"}])])
        assert "names no deployment" in done.rows[0]["triage_error"]
        app.set_up(url=f"unix:{place}", deployment="lab")
        done = app.run("mode=lookup", bodies=[table([{"_bkt": "", "_cd": ""}])])
        assert "needs _bkt and _cd" in done.rows[0]["triage_error"]


def test_a_user_who_may_not_read_the_token_learns_which_role_may(installed, place):
    done = installed("guest", url=f"unix:{place}").run(bodies=[table(ROWS[:1])])
    assert "the role triaged_analyst may" in done.rows[0]["triage_error"]


def test_a_token_that_no_header_can_carry_is_in_no_field_of_the_events(installed, search_head, place):
    search_head.passwords.put("search", "s3cr3t\nof-two-lines", "triaged", "triaged")
    try:
        done = installed(url=f"unix:{place}").run(bodies=[table(ROWS[:1])])
    finally:
        search_head.passwords.put("search", SECRETS["search"], "triaged", "triaged")
    assert "ValueError" in done.rows[0]["triage_error"]
    assert not [text for text in (*done.rows[0].values(), *done.warnings, done.stderr) if "s3cr3t" in text]


def test_a_search_head_that_does_not_answer_is_told(app, place):
    app.set_up(url=f"unix:{place}")
    done = app.run(bodies=[table(ROWS[:1])])
    assert "https://127.0.0.1:1 does not answer" in done.rows[0]["triage_error"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    try:
        return Certificates(tmp_path_factory.mktemp("certificates"))
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_management_port_is_verified_by_the_authority_that_is_named(version, certificates, app, place):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.folder / "server.crt", certificates.folder / "server.key")
    with Splunkd(tls=context) as splunkd, moody(place, scored):
        splunkd.passwords.put("search", "a-token", "triaged", "triaged")
        app.splunkd, app.session_key = splunkd.url, splunkd.sessions.session("admin")
        for authority, fine in (("stranger.crt", False), ("ca.crt", True)):
            app.set_up(url=f"unix:{place}", splunkd_ca_file=str(certificates.folder / authority))
            done = app.run(bodies=[table(ROWS[:1])], python=python(version))
            assert (not done.warnings) is fine, done.warnings
            assert fine or "certificate verify failed" in done.warnings[0]


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:8000", "ftp://x", "unix:", "https://", "https://h:port", "triaged.example", "http://127.0.0.1"],
)
def test_no_token_travels_by_a_way_that_is_not_safe(url):
    with pytest.raises(DaemonError, match="the URL must be https"):
        Server(url, None, 1.0).connection()


def test_settings_of_the_site_win_over_those_of_the_app(app):
    app.set_up(url="https://triaged.example:9443/base", deployment="prod", timeout="5")
    found = settings(app.folder)
    assert (found.url, found.deployment, found.timeout, found.ca_file) == (
        "https://triaged.example:9443/base", "prod", 5.0, None,
    )  # fmt: skip
    assert Server(found.url, None, 1.0).prefix == "/base"


@pytest.mark.parametrize("text", ["no stanza", "[daemon]\ntimeout = long\nurl = https://x"])
def test_settings_that_cannot_be_read_are_told_and_do_not_end_the_search(text, app):
    (app.folder / "local").mkdir()
    (app.folder / "local" / "triaged.conf").write_text(text)
    done = app.run(bodies=[table(ROWS[:1])])
    assert "triaged.conf cannot be read" in done.rows[0]["triage_error"]
