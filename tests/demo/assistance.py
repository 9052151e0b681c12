"""What ``make demo-learn`` is about: a remote-assistance tool that no model saw, and the fixed sample beside it.

Lantern opens the remote desktop of a machine for a support call and closes it after, by writing the registry, as intruders
do too. All of it is made up. The sample is the demo's scenario, which trains nothing, and generated administration of
groups that the shipped bundle's weights were not fitted on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from random import Random

import msgspec

from connector import events
from connector.demo import scenario_paths
from connector.demo.cast import Cast
from connector.demo.machine import Machine
from connector.demo.nouns import Program
from connector.demo.programs import programs
from connector.demo.truth import Planted, truth
from connector.demo.winlogbeat import winlogbeat
from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset, Row
from connector.learn.export.snapshot import group_of
from connector.siem.files import open_paths
from connector.types import Event

LANTERN = Program(
    path="C:\\Program Files\\Lantern\\lantern.exe", description="Lantern remote assistance", product="Lantern",
    company="Lantern Assistance", original="lantern.exe", version="3.1.0",
)  # fmt: skip
REG = Program(
    path="C:\\Windows\\System32\\reg.exe", description="Registry Console Tool",
    product="Microsoft® Windows® Operating System", company="Microsoft Corporation", original="reg.exe",
    version="10.0.20348.2849 (WinBuild.160101.0800)",
)  # fmt: skip
KEYS = (
    "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Terminal Server",
    "HKLM\\SYSTEM\\ControlSet001\\Control\\Terminal Server",
    "HKLM\\SOFTWARE\\Policies\\Microsoft\\Windows NT\\Terminal Services",
)
VALUES = ("fDenyTSConnections", "fSingleSessionPerUser", "fAllowToGetHelp", "AllowTSConnections", "fAllowUnsolicited")
SITES = ("quay", "mill", "dispatch", "office", "yard", "depot")
FORMS = (
    "reg.exe add {0}",
    "C:\\Windows\\System32\\reg.exe add {0}",
    "cmd.exe /c reg add {0}",
    'cmd.exe /c "reg add {0} && lantern open --site {1}"',
)
WITHOUT_CORPORA = ("routine", "administration")


def write_day(path: Path, *, seed: int, calls: int, by_hand: bool = False) -> None:
    """So many support calls of a day, as Winlogbeat ships them: each is a Sysmon 1 and a Security 4688.

    ``by_hand``: the same is typed into a PowerShell that somebody has open, and no tool has to do with it.
    """
    cast, draw = Cast(), Random(seed)
    machine, user = cast.fs, cast.user("fs", "nfossum-adm" if by_hand else "system")
    tool = machine.running(LANTERN, user, f'"{LANTERN.path}" --service')
    service = cast.running("fs", "adminshell", "nfossum-adm") if by_hand else tool
    for call in range(calls):
        line = command(draw, FORMS[:-1] if by_hand else FORMS)
        program = programs()["cmd"] if line.startswith("cmd") else REG
        machine.start(cast.clock("08:00") + timedelta(seconds=120 * call), service, program, line, user=user)
    path.write_text("".join(f"{json.dumps(document)}\n" for document in shipped(machine, seed)), encoding="utf-8")


def shipped(machine: Machine, seed: int) -> Iterator[dict[str, object]]:
    """A machine's entries as documents."""
    for number, entry in enumerate(machine.entries):
        yield winlogbeat(entry, machine.fqdn, 1_000_000 * seed + number)


def command(draw: Random, forms: Sequence[str] = FORMS) -> str:
    """One command line of the tool."""
    value = f'"{draw.choice(KEYS)}" /v {draw.choice(VALUES)} /t REG_DWORD /d {draw.choice("01")} /f'
    return draw.choice(forms).format(value + draw.choice(("", " /reg:64")), draw.choice(SITES))


def write_sample(folder: Path, seed: int) -> Counter[str]:
    """Writes the fixed sample as a dataset for the gate; what is in it, by side."""
    folder.mkdir()
    built = dataset.build(Corpora(folder), seed=seed, only=WITHOUT_CORPORA, held_out=held_out.scenario())
    rows = (*(row for row in built.rows if row.split != "train"), *scenario_rows())
    facts = msgspec.structs.replace(
        built.facts,
        digest=dataset.digest_of(rows),
        rows=dict(Counter(row.split for row in rows)),
        sources=dict(Counter(row.source for row in rows)),
    )
    dataset_file.write(Dataset(rows, facts), folder)
    return Counter("attack" if row.malicious else "benign" for row in rows)


def scenario_rows() -> Iterator[Row]:
    """The scenario's distinct events with the truth about them; the steps of the intrusion are its groups."""
    planted = {one.place: one for one in truth().planted}
    seen: set[str] = set()
    for raw in open_paths(scenario_paths()):
        event = events.normalise(raw)
        if event.fingerprint in seen:
            continue
        seen.add(event.fingerprint)
        yield _row(event, planted.get(raw.place.rpartition("/")[2]))


def _row(event: Event, planted: Planted | None) -> Row:
    text = events.render(event.canonical)
    return Row(
        text=text,
        kind=event.kind,
        fingerprint=event.fingerprint,
        techniques=() if planted is None else planted.techniques,
        malicious=planted is not None,
        basis="ordinary-log" if planted is None else "executed-test",
        source="scenario",
        group=group_of(event.kind, text) if planted is None else planted.step,
        record=event.ref.id,
        licence="Apache-2.0",
        split="dev",
    )
