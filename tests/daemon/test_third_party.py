"""A SIEM, a SOAR and a member by third parties, each one file and one entry-point line, run through the whole daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

from tests.daemon.site import process_start
from tests.models.tiny import add_member, tiny_store
from tests.running import ROOT

SIEM = '''
"""A SIEM that is a folder with one file an event; verdicts are files too."""

import json
from pathlib import Path
from typing import Literal

from connector.policy import record_document
from connector.ports import SiemPlugin
from connector.settings import SourceSettings, TargetSettings
from connector.types import Batch, Cursor, Delivery, Position, RawEvent, SourceRef, Verdict


class Source:
    class Config(SourceSettings):
        type: Literal["folder"] = "folder"
        folder: Path

    def __init__(self, name, config, clock):
        self.deployment = config.deployment
        self.query_digest = str(config.folder)
        self._folder = config.folder
        self._clock = clock

    def _files(self, span):
        files = [f for f in self._folder.glob("*.json") if span.start <= f.stat().st_mtime_ns // 1000 < span.stop]
        return sorted(files)

    def heads(self):
        return [Position(partition="", offset=int(self._clock().timestamp() * 1e6))]

    def read(self, span, after, limit):
        files = [f for f in self._files(span) if after is None or f.name > after.token]
        items = tuple(
            RawEvent(
                deployment=self.deployment,
                native_id=f.name,
                ref=SourceRef(siem="folder", index="", id=f.name),
                data=f.read_bytes(),
                position=Position(partition="", offset=f.stat().st_mtime_ns // 1000),
                place=f.name,
            )
            for f in files[:limit]
        )
        done = len(files) <= limit
        return Batch(items=items, cursor=Cursor(token=files[limit - 1].name) if not done else None, done=done)

    def count(self, span):
        return len(self._files(span))


class Writer:
    class Config(TargetSettings):
        type: Literal["folder"] = "folder"
        folder: Path

    accepts = frozenset({Verdict})

    def __init__(self, name, config, clock):
        self._folder = config.folder
        self._folder.mkdir(exist_ok=True)

    def write(self, records):
        for record in records:
            (self._folder / record.record_id).write_text(json.dumps(record_document(record)))
        return [Delivery(outcome="delivered")] * len(records)


plugin = SiemPlugin(source=Source, writer=Writer)
'''

SOAR = '''
"""A SOAR that appends a line to a file for each run."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from connector.ports import SoarPlugin
from connector.settings import SoarSettings
from connector.types import RunRef, RunStatus


class Soar:
    class Config(SoarSettings):
        type: Literal["linefile"] = "linefile"
        path: Path

    uniqueness = "search"
    index_delay = 0.0

    def __init__(self, name, config, clock):
        self._name = name
        self._path = config.path

    def run(self, action):
        with self._path.open("a") as file:
            file.write(action.key + "\\n")
        return RunRef(soar=self._name, run_id=action.key)

    def find(self, key):
        known = self._path.read_text().split() if self._path.exists() else []
        return RunRef(soar=self._name, run_id=key) if key in known else None

    def status(self, run, action):
        return RunStatus(
            record_id="", cause=action.cause, action_key=action.key, playbook=action.playbook,
            state="succeeded", detail="", at=datetime.now(UTC), run_id=run.run_id,
        )


plugin = SoarPlugin(soar=Soar)
'''

MEMBER = '''
"""A member that finds everything named evil malicious, and has no view of anything else."""

import numpy as np

from connector.ports import MemberPlugin
from connector.types import Scores, StateChange


class Evil:
    needs = ()

    def __init__(self, spec, directory, threads):
        self.name = spec.name
        self.labels = spec.labels

    def key(self, event):
        return event.fingerprint

    def state_keys(self, events):
        return frozenset()

    def score(self, events, views, state):
        evil = np.array(["evil" in str(e.ecs) for e in events])
        p = np.where(evil, 0.99, np.nan).astype(np.float32)
        techniques = np.repeat(p[:, None], len(self.labels), axis=1)
        return Scores(techniques=techniques, p_malicious=p, notes=((),) * len(events)), StateChange()


plugin = MemberPlugin(member=Evil)
'''

CONFIG = """
data_dir = "{dir}/data"
[model]
store = "{dir}/store"
[policy]
path = "{dir}/policy.toml"
[sources.inbox]
type = "folder"
deployment = "elsewhere"
folder = "{dir}/inbox"
start = "beginning"
settle = "PT0S"
[targets.outbox]
type = "folder"
folder = "{dir}/outbox"
[soars.lines]
type = "linefile"
path = "{dir}/runs.txt"
"""

POLICY = """
soar = "lines"
[[rules]]
name = "evil"
min_confidence = 0.0
mode = "auto"
tier = "note"
playbook = "notify-on-call"
rate = { runs = 1000, per = "1h" }
"""


def install(site: Path, name: str, group: str, source: str) -> None:
    """What installing a wheel of one module does: the module, and its entry point."""
    (site / f"{name}_plugin.py").write_text(source)
    info = site / f"{name}_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_plugin:plugin\n")


def test_third_party_siem_soar_and_member_run_through_the_whole_daemon(tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    install(site, "folder", "triaged.siem", SIEM)
    install(site, "linefile", "triaged.soar", SOAR)
    install(site, "evil", "triaged.member", MEMBER)
    store = tiny_store(tmp_path / "store")
    add_member(store, name="evil", kind="evil", labels=("T1059",))
    (tmp_path / "inbox").mkdir()
    for number in range(30):
        image = "evil.exe" if number == 7 else f"tool{number}.exe"
        (tmp_path / "inbox" / f"{number:03}.json").write_text(json.dumps(process_start(image)))
    (tmp_path / "policy.toml").write_text(POLICY)
    config = tmp_path / "triaged.toml"
    config.write_text(dedent(CONFIG.format(dir=tmp_path)))
    done = subprocess.run(
        [sys.executable, "-m", "connector.cli", "run", "--drain", "--config", str(config)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{site}:{ROOT}"},
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    verdicts = [json.loads(f.read_text()) for f in (tmp_path / "outbox").iterdir()]
    assert len(verdicts) == 30
    votes = {v["triaged"]["source"]["id"]: v["triaged"]["members"] for v in verdicts}
    assert votes["007.json"]["evil"] > 0.9
    assert votes["008.json"]["evil"] is None
    runs = (tmp_path / "runs.txt").read_text().split()
    assert len(runs) == len(set(runs)) == 30
