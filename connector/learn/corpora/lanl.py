"""Los Alamos' "Comprehensive, Multi-Source Cyber-Security Events": authentication, processes, flows and the red team's logons.

Source: A. D. Kent, Los Alamos National Laboratory, 2015, doi:10.17021/1179829, which describes each file: lines of
comma-separated values that start with a second of the recording, ``?`` where a value is not known. The files are the user's own (58 days, over
a billion lines); they are read line by line, plain or gzip, and of a long line or a malformed one nothing is kept.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from connector.errors import ConfigError

AUTH, PROC, FLOWS, RED = "auth.txt", "proc.txt", "flows.txt", "redteam.txt"
_LONGEST: Final = 4_096
_UNKNOWN: Final = "?"


class Logon(NamedTuple):
    """One line of ``auth.txt``: who logged on from where to where, how, and whether it worked."""

    time: int
    user: str
    target_user: str
    source: str
    destination: str
    kind: str
    logon_type: str
    orientation: str
    success: bool


class Start(NamedTuple):
    """One line of ``proc.txt`` that tells of a process' start."""

    time: int
    user: str
    computer: str
    process: str


class LanlFlow(NamedTuple):
    """One line of ``flows.txt``. A port is a text: the well-known ones are numbers, all others are names made up for them."""

    time: int
    seconds: int
    source: str
    source_port: str
    destination: str
    destination_port: str
    protocol: int
    packets: int
    bytes: int


class RedTeam(NamedTuple):
    """One line of ``redteam.txt``: a logon that the red team made."""

    time: int
    user: str
    source: str
    destination: str


def logons(folder: Path) -> Iterator[Logon]:
    """The authentication events, in the file's order."""
    for row in _rows(folder, AUTH, 9):
        yield Logon(int(row[0]), row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8] == "Success")


def starts(folder: Path) -> Iterator[Start]:
    """The process starts, in the file's order."""
    for row in _rows(folder, PROC, 5):
        if row[4] == "Start":
            yield Start(int(row[0]), row[1], row[2], row[3])


def flows(folder: Path) -> Iterator[LanlFlow]:
    """The flows, in the file's order; a line whose counts are no numbers is left out."""
    for row in _rows(folder, FLOWS, 9):
        if all(row[place].isdigit() for place in (1, 6, 7, 8)):
            numbers = (int(row[6]), int(row[7]), int(row[8]))
            yield LanlFlow(int(row[0]), int(row[1]), row[2], row[3], row[4], row[5], *numbers)


def red_team(folder: Path) -> frozenset[RedTeam]:
    """The red team's logons. Raises ``ConfigError`` where there is none: without them nothing can be measured."""
    found = frozenset(RedTeam(int(row[0]), row[1], row[2], row[3]) for row in _rows(folder, RED, 4))
    if not found:
        raise ConfigError(f"{folder / RED} tells of no logon of the red team's")
    return found


def known(value: str) -> bool:
    """Whether a value was recorded."""
    return value not in {"", _UNKNOWN}


def _rows(folder: Path, name: str, columns: int) -> Iterator[list[str]]:
    plain, packed = folder / name, folder / f"{name}.gz"
    if not plain.is_file() and not packed.is_file():
        raise ConfigError(f"neither {plain} nor {packed} is there; the files are at https://csr.lanl.gov/data/cyber1/")
    with plain.open("rb") if plain.is_file() else gzip.open(packed, "rb") as stream:
        while line := stream.readline(_LONGEST):
            row = line.decode("ascii", "replace").rstrip("\r\n").split(",")
            if len(row) == columns and row[0].isascii() and row[0].isdigit() and len(row[0]) < 12:
                yield row
