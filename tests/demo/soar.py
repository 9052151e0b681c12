"""``make demo-soar``: the bundled intrusion through the daemon, with a real Node-RED that runs the playbooks.

    start Node-RED with its flow → run the daemon over the events → show what the flow did, as it stands on the verdicts

The daemon's policy is the shipped one, sent to the flow. Every figure of the last line is asked of the target and of Node-RED,
but for the dead letters, which no target holds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from connector import events, wiring
from connector.cli.demo import DEPLOYMENT, SOURCE, summary
from connector.demo import report, scenario_paths
from connector.resources import shipped
from connector.siem.files import open_paths
from connector.types import Event
from tests import environment
from tests.servers.cache import Unavailable
from tests.soar.nodered import NodeRedTestbed

DAEMON_S = 900

CONFIG = """
data_dir = {dir}
[log]
level = "warning"
[policy]
path = {policy}
[targets.verdicts]
type = "files"
path = {verdicts}
"""


def main() -> int:
    """Runs it. 1 where Node-RED cannot be had on this machine."""
    with tempfile.TemporaryDirectory(prefix="triaged-demo-soar-") as name:
        folder = Path(name)
        told("Node-RED starts; it is fetched where it never was")
        try:
            node_red = NodeRedTestbed(folder)
        except Unavailable as reason:
            sys.stderr.write(f"the demo needs Node-RED: {reason}\n")
            return 1
        with node_red:
            told(f"Node-RED answers at {node_red.server.url}, with a flow behind a signed webhook")
            config = set_up(folder, node_red)
            scenario = {
                event.id: event for event in map(events.normalise, open_paths(scenario_paths(), deployment=DEPLOYMENT))
            }
            told(f"{len(scenario)} events; the daemon classifies them and sends the flow what the policy asks for")
            drain(config)
            documents = written(folder)
            verdicts = {d["event"]["id"]: d for d in documents if "verdict" in d["triaged"]}
            show(documents, verdicts, scenario, node_red.finished())
            facts = summary(wiring.load_settings(config), len(scenario), list(verdicts.values()), len(node_red.runs()))
            sys.stdout.write(json.dumps(facts) + "\n")
    return 0


def set_up(folder: Path, node_red: NodeRedTestbed) -> Path:
    """The settings file, and the shipped policy with the flow as its SOAR."""
    shipped_policy = (shipped("playbooks") / "policy.toml").read_text(encoding="utf-8")
    policy = folder / "policy.toml"
    policy.write_text(shipped_policy.replace('soar = "dryrun"', 'soar = "flow"'), encoding="utf-8")
    places = {"dir": folder, "policy": policy, "verdicts": folder / "verdicts.jsonl"}
    text = CONFIG.format(**{key: json.dumps(str(place)) for key, place in places.items()})
    for path in scenario_paths():
        text += SOURCE.format(deployment=DEPLOYMENT, name=path.name.partition(".")[0], path=json.dumps(str(path)))
    config = folder / "triaged.toml"
    config.write_text(text + node_red.settings(), encoding="utf-8")
    return config


def drain(config: Path) -> None:
    """The daemon over all there is, until every run has ended."""
    command = [sys.executable, "-m", "connector.cli", "run", "--drain", "--config", str(config)]
    done = subprocess.run(command, env=environment.clean(), timeout=DAEMON_S, check=False)
    if done.returncode:
        raise SystemExit(f"the daemon ended with status {done.returncode}")


def written(folder: Path) -> Sequence[Mapping[str, Any]]:
    """Every record in the target."""
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]


def show(
    documents: Sequence[Mapping[str, Any]],
    verdicts: Mapping[str, Mapping[str, Any]],
    scenario: Mapping[str, Event],
    finished: Mapping[str, Mapping[str, Any]],
) -> None:
    """What ran and what came back. Its texts are an intruder's too: they are printed as text, on one line."""
    table = Table(expand=True, title="What Node-RED ran, and what stands on the verdicts now", title_justify="left")
    table.add_column("playbook", no_wrap=True)
    table.add_column("host", no_wrap=True)
    table.add_column("ran", justify="right", no_wrap=True)
    table.add_column("the event, its techniques → what came back", ratio=1, overflow="ellipsis", no_wrap=True)
    refused: Counter[str] = Counter()
    for cause, status in ended(documents):
        if status["state"] == "refused":
            refused[status["detail"].partition(":")[0]] += 1
            continue
        verdict = verdicts[cause]
        techniques = verdict.get("threat", {}).get("technique", {}).get("id", ())
        told = Text.assemble(
            report.summary(scenario[cause].ecs),
            f"\n{', '.join(techniques) or 'malicious, of no technique'}\n→ ",
            (f"{status['state']}: {report.printable(status['detail'])}", "bold"),
        )
        host = report.printable(str(verdict.get("host", {}).get("name", "-"))).partition(".")[0]
        table.add_row(status["playbook"], Text(host), f"{finished[status['action_key']]['times']}×", told)
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table)
    for reason, count in refused.items():
        console.print(f"{count} more were refused by the policy: {reason}", markup=False, highlight=False)


def ended(documents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each action's last record, with the event whose verdict it hangs on."""
    for document in documents:
        status = document["triaged"].get("run_status", {"state": "running"})
        if status["state"] != "running":
            yield document["triaged"]["cause"], status


def told(text: str) -> None:
    """Says how far it is, beside the results."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
