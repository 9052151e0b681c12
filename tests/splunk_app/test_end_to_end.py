"""The app's processes against the real API of the daemon, over the tiny model and a real ledger."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess

import pytest

from tests.api.house import TOKENS, event, opened
from tests.splunk_app.conftest import SECRETS
from tests.splunk_app.pythons import VERSIONS, python
from tests.splunk_app.search import table

assert {"search": TOKENS["search"], "inlet": TOKENS["push"]} == SECRETS


def row(number: int, **more: str) -> dict[str, str]:
    """An indexed event as a search shows it."""
    return {
        "_raw": json.dumps(event(number)),
        "_time": f"{1_700_000_000 + number}.5",
        "_bkt": f"main~{number % 3}~GUID",
        "_cd": f"{number % 3}:{number}",
        "host": "ws-1",
        **more,
    }


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with opened(tmp_path_factory.mktemp("h")) as found:
        yield found


@pytest.fixture
def app(installed, house):
    return installed(url=f"unix:{house.call.path}", deployment="lab")


def alert(app, rows, folder, sid="scheduler__1"):
    """Runs the alert action on these results, as Splunk runs it."""
    results = folder / "results.csv.gz"
    header = sorted({name for found in rows for name in found})
    with gzip.open(results, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)
    payload = {
        "server_uri": app.splunkd,
        "session_key": app.session_key,
        "sid": sid,
        "search_name": 'A "search"\nof mine',
        "app": "search",
        "owner": "analyst",
        "results_file": str(results),
        "configuration": {},
    }
    command = [*app.command("triaged_run"), "--execute"]
    return subprocess.run(
        command, input=json.dumps(payload), capture_output=True, text=True, timeout=60, env=app.environment()
    )


@pytest.mark.parametrize("version", VERSIONS)
def test_events_of_a_search_get_the_verdicts_that_the_api_gives(version, app, house):
    rows = [row(number) for number in range(1, 30)]
    done = app.run(bodies=[table(rows)], python=python(version))
    assert done.status == 0, done.stderr
    assert not done.warnings
    items = [{"data": found} for found in rows]
    documents = house.call("POST", "/v1/classify", {"events": items}, token="search").json["verdicts"]
    for before, after, document in zip(rows, done.rows, documents, strict=True):
        triaged = document["triaged"]
        assert after["_raw"] == before["_raw"]
        assert after["triage_verdict"] == triaged["verdict"]
        assert float(after["triage_confidence"]) == pytest.approx(triaged["confidence"], abs=1e-4)
        assert after["triage_model"] == f"{triaged['model']['name']} {triaged['model']['version']}"
        assert after["triage_error"] == ""


def test_a_score_leaves_no_trace_in_the_ledger(app, house):
    before = house.stored()
    app.run(bodies=[table([row(number) for number in range(100, 110)])])
    assert house.stored() == before


def test_a_threshold_shows_what_the_model_thought_of_every_event(app):
    done = app.run("threshold=0", "top=2", bodies=[table([row(1)])])
    (found,) = done.rows
    ids, names = found["attack_technique"].split("\n"), found["attack_technique_name"].split("\n")
    assert len(ids) == len(names) >= 2
    assert sum("." not in technique for technique in ids) == 2
    assert found["__mv_attack_technique"] == ";".join(f"${technique}$" for technique in ids)
    assert found["attack_tactic"]


def test_what_the_alert_action_sent_is_found_by_a_lookup_of_the_same_events(app, house, tmp_path):
    rows = [row(number) for number in range(200, 230)]
    before = house.stored()
    done = alert(app, rows, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "30 taken, 30 verdicts, 0 known, 0 dead_letters" in done.stderr
    assert house.stored() == before + 30

    again = alert(app, rows, tmp_path, sid="scheduler__2")
    assert "30 taken, 0 verdicts, 30 known" in again.stderr
    assert house.stored() == before + 30

    unknown = row(999)
    looked = app.run("mode=lookup", bodies=[table([*rows, unknown, rows[0]], ["_bkt", "_cd"])])
    assert not looked.warnings
    *found, missing, first = looked.rows
    assert all(one["triage_verdict"] and one["triage_model"] for one in found)
    assert missing["triage_verdict"] == missing["triage_error"] == ""
    assert first == found[0]


def test_enterprise_security_reads_how_the_action_went(app, tmp_path):
    log = app.folder.parent / "var" / "log" / "splunk"
    log.mkdir(parents=True)
    assert alert(app, [row(400)], tmp_path, sid="scheduler__4").returncode == 0
    app.set_up(url=f"unix:{tmp_path}/nothing.sock")
    assert alert(app, [row(400)], tmp_path, sid="1700.5").returncode == 2
    good, bad = (log / "triaged_run_modalert.log").read_text().splitlines()
    for line, mode, status in ((good, "saved", "success"), (bad, "adhoc", "failure")):
        pairs = dict(re.findall(r'(\w+)="([^"]*)"', line))
        assert pairs["search_name"] == "A 'search' of mine"
        assert (pairs["action_name"], pairs["action_mode"], pairs["action_status"]) == ("triaged_run", mode, status)
        assert (pairs["user"], pairs["app"]) == ("analyst", "search")


def test_results_without_a_place_are_known_by_the_search_and_their_number(app, house, tmp_path):
    rows = [
        {name: value for name, value in row(number).items() if name[0] != "_" or name == "_raw"}
        for number in (300, 301)
    ]
    before = house.stored()
    for _ in range(2):
        assert alert(app, rows, tmp_path, sid="scheduler__9").returncode == 0
    assert house.stored() == before + 2


def test_an_alert_action_that_cannot_deliver_ends_with_an_error(app, house, tmp_path):
    app.set_up(url=f"unix:{tmp_path}/nothing.sock")
    done = alert(app, [row(1)], tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("ERROR ")
    assert "Traceback" not in done.stderr
    assert SECRETS["inlet"] not in done.stderr


def test_an_alert_action_that_is_started_by_hand_says_what_it_is(app):
    done = subprocess.run(app.command("triaged_run"), capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "--execute" in done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_the_status_is_one_row(version, app, tmp_path):
    done = app.run(command="triagestatus", bodies=[b""], python=python(version))
    assert done.status == 0, done.stderr
    assert done.replies[0].metadata == {"type": "stateful", "generating": True}
    assert done.replies[1].metadata["finished"] is True
    (found,) = done.rows
    assert (found["reachable"], found["ready"], found["reason"]) == ("yes", "yes", "")
    assert found["deployment"] == "lab"
    assert found["model"]

    app.set_up(url=f"unix:{tmp_path}/nothing.sock")
    (found,) = app.run(command="triagestatus", bodies=[b""], python=python(version)).rows
    assert (found["reachable"], found["ready"]) == ("no", "no")
    assert "does not answer" in found["reason"]


def test_the_status_takes_no_options(app):
    done = app.run("now", command="triagestatus", bodies=[b""])
    assert done.status == 1
    assert done.replies[0].messages == [["ERROR", "triagestatus takes no options"]]


@pytest.mark.parametrize("script", ["triage", "triagestatus", "triaged_run"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_script_imports_nothing_but_the_standard_library(version, script, app):
    code = (
        "import runpy, sys; sys.path.insert(0, sys.argv[1]); "
        f"runpy.run_module({script!r}, run_name='imported'); "
        "print(sorted(name for name in sys.modules if 'site-packages' in str(getattr(sys.modules[name], '__file__', ''))))"
    )
    found = subprocess.run(
        [python(version), "-I", "-S", "-W", "error", "-c", code, str(app.folder / "bin")],
        capture_output=True,
        text=True,
    )
    assert (found.stdout.strip(), found.stderr) == ("[]", "")
