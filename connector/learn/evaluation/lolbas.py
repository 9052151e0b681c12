"""LOLBAS: each documented command as the process start that it would leave. For evaluation alone, never for training.

The project's licence (GPL-3.0) does not allow weights made from it to be given away, so this recipe stands here and not
among those of the dataset. The placeholders of its commands are filled with plain values of the right ending.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import yaml

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME: Final = "lolbas"

_HOLE = re.compile(r"\{([A-Z_]+)(?::([^{}]*))?\}")
_NAMES = ("update", "report", "data", "setup", "backup", "file", "demo", "output")
_FOLDERS = ("C:\\Users\\Public", "C:\\Temp", "C:\\Tools", "C:\\ProgramData\\app", "D:\\work")
_COMMANDS = ("calc.exe", "notepad.exe", "cmd.exe /c whoami", "C:\\Windows\\System32\\calc.exe")
_ENDING = ".exe"


def samples(corpora: Corpora) -> Iterator[Sample]:
    """One process start a command that names a technique; groups are programs."""
    for path, content in corpora.files(NAME, ".yml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        for number, command in enumerate((document or {}).get("Commands") or ()):
            yield from _command(path, number, command)


def _command(path: str, number: int, command: Any) -> Iterator[Sample]:
    line, technique = str(command.get("Command") or "").strip(), str(command.get("MitreID") or "")
    if not line or not technique:
        return
    draw = wrap.seeded(NAME, path, str(number))
    for data in wrap.events(wrap.Command(filled(line, draw), "cmd"), draw):
        yield Sample(
            data=data,
            group=path,
            record=str(number),
            basis="executed-test",
            techniques=(technique,),
            malicious=True,
        )


def filled(line: str, draw: Random) -> str:
    """The line with a value in place of each ``{PATH:.dll}``, ``{REMOTEURL:.exe}``, ``{CMD}`` and the like."""
    return _HOLE.sub(lambda hole: _value(hole[1], hole[2] or "", draw), line)


def _value(what: str, ending: str, draw: Random) -> str:
    name = draw.choice(_NAMES) + (ending if ending.startswith(".") else "" if ending == "folder" else _ENDING)
    match what:
        case "CMD":
            return "-a" if ending == "args" else draw.choice(_COMMANDS)
        case "REMOTEURL":
            return f"http://www.example.org/{name}"
        case "PATH_SMB":
            return f"\\\\10.0.4.{draw.randrange(2, 250)}\\share\\{name}"
        case "PATH_ABSOLUTE":
            return f"{draw.choice(_FOLDERS)}\\{name}"
        case "PID":
            return str(draw.randrange(400, 12_000, 4))
        case _:
            return name
