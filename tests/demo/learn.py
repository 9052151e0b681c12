"""``make demo-learn``: a bundle that misjudges a benign tool learns from 30 closures, and nothing else gets worse.

    score the tool's day → close 30 of its alerts → export → retrain by the quick path → gate → promote → judge a new day

Everything runs as a user runs it: the daemon over files, and the commands. The closures stand in a file, as a SIEM would tell
them. The fixed sample that the gate judges by, and what was judged before and after, need nothing but this repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from connector.demo import scenario_paths
from connector.demo.truth import truth
from connector.learn.evaluation.gate import report as gate
from connector.models import Store
from connector.resources import shipped
from connector.siem.files import open_paths
from tests import environment
from tests.demo import assistance

SHOWN = 30
NEWEST = "0.3"
"""Of the closures, left out to judge by: the gate asks for five groups of them."""
NEW_DAY, BY_HAND = "new-day.jsonl", "by-hand.jsonl"
ANALYSTS = ("tokafor", "bdrummond", "ihalvorsen")
FLAGGED = frozenset({"suspicious", "malicious"})
STEP_S = 900

CONFIG = """
data_dir = {dir}
[log]
level = "error"
[model]
store = {store}
[export]
key = "a key of this demonstration alone"
[sources.day]
type = "files"
paths = [{day}]
deployment = "demo"
settle = 0
[targets.verdicts]
type = "files"
path = {verdicts}
[soars.dryrun]
type = "dryrun"
path = {runs}
[histories.siem]
type = "files"
path = {closures}
"""


def main() -> int:
    """Runs it. 1 where a step failed, or the gate refused."""
    with tempfile.TemporaryDirectory(prefix="triaged-demo-learn-") as name:
        folder = Path(name)
        config = set_up(folder)
        store = Store(folder / "store")
        incumbent = str(store.production())
        told("a day of a remote-assistance tool, which no model has seen; the daemon judges it")
        triaged("run", "--drain", config=config)
        shown = close(folder)
        told(f"{len(shown)} of its alerts are closed as false positives, and exported")
        triaged("export", config=config)
        assistance.write_day(folder / NEW_DAY, seed=2, calls=60)
        assistance.write_day(folder / BY_HAND, seed=3, calls=60, by_hand=True)
        before = judged(config, shown)
        told("the quick path retrains the bundle")
        triaged("retrain", "--newest", NEWEST, config=config)
        challenger = next(ref for ref in store.list() if ref != incumbent)
        sample = assistance.write_sample(folder / "sample", store.manifest(incumbent).dataset.seed)
        told(f"the gate judges {challenger} on {sample['attack']} attack and {sample['benign']} benign events")
        triaged(
            "promote", challenger, "--rows", str(folder / "sample"), "--export", str(folder / "export"), config=config
        )
        after = judged(config, shown)
        report = gate.standing(store, challenger, incumbent)
        assert report is not None
        show(before, after)
        passed = len(report[0].checks) - len(report[0].failed)
        facts = {
            "closures": len(shown),
            "learnt": store.manifest(challenger).metrics["retrained"]["closures"],
            "checks": len(report[0].checks),
            "passed": passed,
            "production": store.production(),
            **{
                name: {"events": len(before[name]), "before": sum(before[name]), "after": sum(after[name])}
                for name in before
            },
        }
        sys.stdout.write(json.dumps(facts) + "\n")
    return 0


def set_up(folder: Path) -> Path:
    """The settings, a store of its own, and the tool's first day."""
    shutil.copytree(shipped("model_store"), folder / "store")
    assistance.write_day(folder / "day.jsonl", seed=1, calls=60)
    (folder / "closures.jsonl").touch()
    names = {
        "dir": "",
        "store": "store",
        "day": "day.jsonl",
        "verdicts": "verdicts.jsonl",
        "runs": "runs.jsonl",
        "closures": "closures.jsonl",
    }
    config = folder / "triaged.toml"
    places = {key: json.dumps(str(folder / name)) for key, name in names.items()}
    config.write_text(CONFIG.format(**places), encoding="utf-8")
    return config


def triaged(*arguments: str, config: Path) -> str:
    """Runs a command of ours; what it printed. Ends the demo where it fails."""
    command = [sys.executable, "-m", "connector.cli", *arguments, "--config", str(config)]
    done = subprocess.run(command, env=environment.clean(), stdout=subprocess.PIPE, text=True, timeout=STEP_S)
    if done.returncode:
        raise SystemExit(f"{done.stdout}triaged {arguments[0]} ended with status {done.returncode}")
    return done.stdout


def close(folder: Path) -> frozenset[str]:
    """Closes the first alerts on distinct events, as people do: some minutes apart. The fingerprints that were shown."""
    lines = (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    alerts: dict[str, str] = {}
    for document in map(json.loads, lines):
        stamp = document["triaged"]
        if stamp.get("verdict") in FLAGGED and len(alerts) < SHOWN:
            alerts.setdefault(stamp["fingerprint"], document["event"]["id"])
    if len(alerts) < SHOWN:
        raise SystemExit(f"only {len(alerts)} distinct events of the tool are misjudged: there is nothing to learn")
    start = datetime.now(UTC) - timedelta(days=2)
    closures = (
        {
            "alert_id": f"A-{number}",
            "event_ids": [event_id],
            "status": "closed",
            "disposition": "false_positive",
            "tags": ["cause:benign_software"],
            "comment": "Lantern, our remote assistance",
            "analyst": ANALYSTS[number % len(ANALYSTS)],
            "changed_at": (at := (start + timedelta(minutes=20 * number)).isoformat()),
            "observed_at": at,
        }
        for number, event_id in enumerate(alerts.values())
    )
    (folder / "closures.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in closures), encoding="utf-8")
    return frozenset(alerts)


def judged(config: Path, shown: frozenset[str]) -> Mapping[str, Sequence[bool]]:
    """Which events are flagged: of the tool's new day, but for those that were shown; of its commands typed by hand; of the
    demo's intrusion, and of the ordinary events beside it.
    """
    days = [config.with_name(NEW_DAY), config.with_name(BY_HAND)]
    planted = {one.place for one in truth().planted}
    found: dict[str, list[bool]] = {"tool": [], "by_hand": [], "intrusion": [], "ordinary": []}
    raws = open_paths([*days, *scenario_paths()])
    lines = triaged("classify", *map(str, (*days, *scenario_paths())), config=config).splitlines()
    for raw, line in zip(raws, lines, strict=True):
        stamp, file = json.loads(line)["triaged"], raw.place.rpartition("/")[2]
        name = {NEW_DAY: "tool", BY_HAND: "by_hand"}.get(file.partition(":")[0])
        if name != "tool" or stamp["fingerprint"] not in shown:
            found[name or ("intrusion" if file in planted else "ordinary")].append(stamp["verdict"] in FLAGGED)
    return found


def show(before: Mapping[str, Sequence[bool]], after: Mapping[str, Sequence[bool]]) -> None:
    """Flagged events before and after."""
    names = {
        "tool": "the tool, a new day, events that were not shown",
        "by_hand": "the same commands from somebody's shell",
        "intrusion": "the demo's intrusion: flagged is right",
        "ordinary": "the demo's ordinary events: flagged is wrong",
    }
    table = Table(title="Flagged as suspicious or malicious", title_justify="left")
    for column in ("events", "before", "after"):
        if not table.columns:
            table.add_column("")
        table.add_column(column, justify="right")
    for key, name in names.items():
        table.add_row(name, str(len(before[key])), str(sum(before[key])), str(sum(after[key])))
    Console(width=None if sys.stdout.isatty() else 110).print(table)


def told(text: str) -> None:
    """Says how far it is, beside the results."""
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
