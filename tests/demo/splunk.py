"""``make demo-splunk``: the bundled intrusion through a Splunk: polled, written back, and shown by the search command.

    start the stand-in and install the app → index the events → run the daemon with its API → search `… | triage`

Splunk itself cannot be had here: the server is the stand-in of ``tests/splunkd``. Daemon, API, app and client (splunklib)
are the real ones. Every figure of the last line is asked of the server by a search, but for the playbooks that the
dry-run SOAR recorded.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from splunklib import client, results

from connector.cli.demo import DEPLOYMENT
from connector.demo import scenario_paths
from connector.events import normalise
from connector.siem.files import open_paths
from connector.soar.dryrun import recorded
from tests import environment
from tests.splunkd import Splunkd

APP = Path(__file__).parents[2] / "splunk_app" / "triaged"
TOKEN = "a-token-of-this-demonstration-alone"
INDEX = "win"
FOUND_S = 600
SHOWN = 15

CONFIG = """
data_dir = {dir}
[log]
level = "warning"
[api]
socket = {socket}
[api.tokens.search]
token = "{token}"
scopes = ["classify"]
[sources.splunk]
type = "splunk"
deployment = "{deployment}"
hosts = [{url}]
token = "{splunk_token}"
search = "index={index}"
start = "beginning"
settle = 0
every = "PT1S"
[targets.splunk]
type = "splunk"
hec = [{hec_url}]
hec_token = "{hec_token}"
every = "PT1S"
[soars.dryrun]
type = "dryrun"
path = {runs}
"""

SHOW = (
    "search index={index} | triage mode=lookup"
    ' | where triage_verdict="malicious" OR triage_verdict="suspicious"'
    " | sort 0 - triage_confidence"
    " | table _time, host, attack_technique, attack_technique_name, triage_verdict, triage_confidence"
)


VERDICTS = "search index=triaged sourcetype=triaged:verdict"
TECHNIQUES = "threat.technique.id{}"


def main() -> int:
    """Runs it."""
    with tempfile.TemporaryDirectory(prefix="triaged-demo-splunk-") as name:
        folder = Path(name)
        app = _set_up(folder)
        with Splunkd() as splunkd:
            splunkd.install(app)
            splunkd.passwords.put("search", TOKEN, "triaged", "triaged")
            told(f"a stand-in of splunkd answers at {splunkd.url}, with the app installed")
            events = put(splunkd)
            told(f"{events} events indexed; the daemon classifies them")
            service = _connected(splunkd)
            with daemon(folder, splunkd):
                until(lambda: count(service, VERDICTS) >= events)
                told(SHOW.format(index=INDEX))
                rows = searched(service, SHOW.format(index=INDEX))
                facts = summary(service, len(recorded(folder / "runs.sqlite")))
            Console(width=None if sys.stdout.isatty() else 150).print(shown(rows))
            sys.stdout.write(json.dumps(facts) + "\n")
    return 0


def _set_up(folder: Path) -> Path:
    """A copy of the app, set up as its set-up page would."""
    app = folder / "etc" / "apps" / "triaged"
    shutil.copytree(APP, app)
    (app / "local").mkdir()
    stanza = f"[daemon]\nurl = unix:{folder / 'api.sock'}\ndeployment = {DEPLOYMENT}\n"
    (app / "local" / "triaged.conf").write_text(stanza, encoding="utf-8")
    return app


def put(splunkd: Splunkd) -> int:
    """Indexes the demo's events, each at its own time; how many there are."""
    total = 0
    for raw in open_paths(scenario_paths(), deployment=DEPLOYMENT):
        event = normalise(raw)
        moment = datetime.fromisoformat(str(event.ecs["@timestamp"]))
        host = event.ecs.get("host")
        text = raw.data.decode() if isinstance(raw.data, bytes) else json.dumps(raw.data)
        named = host.get("name", "") if isinstance(host, Mapping) else ""
        splunkd.put(text, index=INDEX, sourcetype="_json", host=str(named), time=moment.timestamp())
        total += 1
    return total


@contextmanager
def daemon(folder: Path, splunkd: Splunkd) -> Iterator[None]:
    """The daemon with its API on a socket, ended at the end of the block."""
    config = folder / "triaged.toml"
    places = {"dir": folder, "socket": folder / "api.sock", "runs": folder / "runs.sqlite"}
    quoted = {key: json.dumps(str(place)) for key, place in places.items()}
    text = CONFIG.format(
        **quoted,
        url=json.dumps(splunkd.url),
        hec_url=json.dumps(splunkd.hec_url),
        hec_token=splunkd.hec_ack_token,
        splunk_token=splunkd.token,
        token=TOKEN,
        deployment=DEPLOYMENT,
        index=INDEX,
    )
    config.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "connector.cli", "run", "--config", str(config)]
    process = subprocess.Popen(command, env=environment.clean())
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def _connected(splunkd: Splunkd) -> Any:
    return client.connect(
        host=splunkd.host, port=splunkd.port, scheme="http", username=splunkd.username, password=splunkd.password
    )


def searched(service: Any, search: str) -> list[Mapping[str, Any]]:
    """The rows of a search over all of time."""
    stream = service.jobs.oneshot(
        search, output_mode="json", count=0, earliest_time=1, latest_time="2100-01-01T00:00:00"
    )
    return [row for row in results.JSONResultsReader(stream) if isinstance(row, Mapping)]


def count(service: Any, search: str) -> int:
    """How many events a search finds."""
    return int(searched(service, f"{search} | stats count")[0]["count"])


def summary(service: Any, runs: int) -> dict[str, int]:
    """The last line. ``dead`` are events that have no verdict in Splunk; ``enriched`` those that the command found one for."""
    events, verdicts = count(service, f"search index={INDEX}"), count(service, f"{VERDICTS} | dedup triaged.record_id")
    named = searched(service, f'{VERDICTS} | table "{TECHNIQUES}"')
    return {
        "events": events,
        "verdicts": verdicts,
        "dead": events - verdicts,
        "techniques": len({technique for row in named for technique in listed(row.get(TECHNIQUES))}),
        "written": count(service, VERDICTS),
        "enriched": count(service, f"search index={INDEX} | triage mode=lookup | where isnotnull(triage_verdict)"),
        "runs": runs,
    }


def until(done: Any) -> None:
    """Waits, but not for ever."""
    end = time.monotonic() + FOUND_S
    while not done():
        if time.monotonic() > end:
            raise SystemExit("the daemon did not write its verdicts in time")
        time.sleep(1)


def listed(value: Any) -> Sequence[str]:
    """A field's values: one is a text, several a list."""
    return value if isinstance(value, list) else [value] if value else []


def shown(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The first rows, as the search's own table has them."""
    table = Table(title=f"{min(len(rows), SHOWN)} of {len(rows)} rows")
    columns = ("_time", "host", "attack_technique", "attack_technique_name", "triage_verdict", "triage_confidence")
    for name in columns:
        table.add_column(name)
    for row in rows[:SHOWN]:
        values = ("\n".join(map(str, listed(row.get(name)))) for name in columns[1:])
        table.add_row(str(row["_time"])[:19], *values)
    return table


def told(text: str) -> None:
    """Says what happens, beside the table."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
