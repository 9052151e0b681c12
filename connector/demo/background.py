"""The ordinary day: routines from ``background.toml``, and people who open files on shares."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from connector.demo.audit import logon, service_state, share
from connector.demo.cast import Cast
from connector.demo.dice import Dice
from connector.demo.machine import Machine
from connector.demo.nouns import Process
from connector.demo.powershell import invoke, script
from connector.demo.programs import programs

_TEAM = (("ihalvorsen", "10.44.7.147"), ("tokafor", "10.44.7.112"), ("bdrummond", "10.44.7.139"))
_FILES = ("tally", "waybill", "claims", "rota", "tariff")


def background(cast: Cast) -> None:
    """Lets the ordinary day happen on both machines."""
    table = tomllib.loads(Path(__file__).with_name("background.toml").read_text(encoding="utf-8"))
    for number, routine in enumerate(table["routine"]):
        _routine(cast, routine, Dice(f"routine/{number}/{routine['program']}"))
    _shares(cast, Dice("shares"))
    _services(cast, Dice("services"))


def _routine(cast: Cast, routine: Mapping[str, Any], dice: Dice) -> None:
    machine = cast.machine(routine["machine"])
    for run in range(routine["times"]):
        at = cast.clock(routine["from"]) + timedelta(
            seconds=run * routine["every"] + dice.below(max(2, routine["every"] // 8)),
            milliseconds=dice.below(1000),
        )
        process = _start(cast, machine, routine, at, dice)
        for verb, *arguments in routine["then"]:
            at += timedelta(milliseconds=dice.between(150, 2600))
            _act(cast, machine, process, at, [verb, *(_fill(text, dice) for text in arguments)])
        if "stops" in routine:
            machine.stop(at + timedelta(seconds=routine["stops"], milliseconds=dice.below(900)), process)


def _start(cast: Cast, machine: Machine, routine: Mapping[str, Any], at: datetime, dice: Dice) -> Process:
    key = routine["machine"]
    if "command" not in routine:
        return cast.running(key, routine["program"], routine["user"])
    return machine.start(
        at,
        cast.running(key, routine["parent"], routine["user"]),
        programs()[routine["program"]],
        _fill(routine["command"], dice),
        user=cast.user(key, routine["user"]),
        audit=routine.get("audit", True),
    )


def _act(cast: Cast, machine: Machine, process: Process, at: datetime, act: list[str]) -> None:
    match act:
        case ["load", library, signature]:
            machine.load(at, process, programs()[library], signature=signature)
        case ["resolve", name, answers]:
            machine.resolve(at, process, name, answers)
        case ["connect", address, port, *host]:
            machine.connect(at, process, address, int(port), *host)
        case ["create", path]:
            machine.create(at, process, path)
        case ["set_value", key, details]:
            machine.set_value(at, process, key, details)
        case ["access", target, mask, through]:
            other = cast.running("ws" if machine is cast.ws else "fs", target, "system")
            machine.access(at, process, other, mask, through)
        case ["script", text, path]:
            script(machine, at, process, text, path)
        case ["invoke", command, payload, path]:
            invoke(machine, at, process, command, payload, path=path)
        case _:
            raise ValueError(f"background.toml: {act[0]!r} does not take {len(act) - 1} arguments, or is no verb")


def _fill(text: str, dice: Dice) -> str:
    """Replaces ``{n}``, ``{n:limit}``, ``{hex}`` and ``{pick:a|b}``."""
    head, brace, rest = text.partition("{")
    if not brace:
        return text
    inside, _, tail = rest.partition("}")
    kind, _, argument = inside.partition(":")
    if kind == "n":
        value = str(dice.between(1, int(argument or 999)))
    elif kind == "hex":
        value = dice.hex(8)
    else:
        value = dice.pick(argument.split("|"))
    return head + value + _fill(tail, dice)


def _shares(cast: Cast, dice: Dice) -> None:
    """Colleagues open the freight share and read or save files on it, all morning."""
    for visit in range(26):
        name, address = dice.pick(_TEAM)
        user = cast.user("fs", name)
        at = cast.clock("08:03") + timedelta(seconds=visit * 520 + dice.below(300))
        opens = partial(share, cast.fs, user=user, name="freight", folder="D:\\Shares\\freight", address=address)
        opens(at)
        for _ in range(dice.between(1, 4)):
            at += timedelta(seconds=dice.between(2, 50), milliseconds=dice.below(1000))
            file = f"{dice.pick(('Quay', 'Mill', 'Dispatch'))}\\{dice.pick(_FILES)}_{dice.between(1, 400)}.xlsx"
            opens(at, file=file, write=dice.below(3) == 0)


def _services(cast: Cast, dice: Dice) -> None:
    """Services come and go, and the backup account logs on for each of its jobs."""
    agent = cast.running("fs", "quillback", "system")
    account = cast.user("fs", "svc-quillback")
    for job in range(9):
        at = cast.clock("07:59") + timedelta(seconds=job * 1750 + dice.below(60))
        logon(
            cast.fs,
            at,
            account,
            4,
            by=agent,
            through="Quillback",
            privileges=("SeBackupPrivilege", "SeRestorePrivilege", "SeManageVolumePrivilege"),
        )
        service_state(cast.fs, at + timedelta(seconds=1), "Quillback Deduplication Store", "running")
        service_state(cast.fs, at + timedelta(seconds=95), "Quillback Deduplication Store", "stopped")
    for check in range(4):
        at = cast.clock("08:10") + timedelta(seconds=check * 3500 + dice.below(400))
        service_state(cast.ws, at, "Fernwatch Software Metering", dice.pick(("running", "stopped")))
