"""The cast: two machines of a timber merchant, the people who use them, and what was running before the logs begin.

Larkmoor Timber and all names, addresses and products in the scenario are made up. Addresses outside 10.44.0.0/16 are
from the ranges that RFC 5737 sets aside for documentation, names end in ``.example`` (RFC 2606).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from connector.demo.machine import Machine
from connector.demo.nouns import Process, User
from connector.demo.programs import programs

DOMAIN = "LARKMOOR"
SUFFIX = "larkmoor.example"
DOMAIN_SID = "S-1-5-21-2718640391-1147325508-3390175624"

_DAY = datetime(2026, 3, 17, tzinfo=UTC)
_RIDS = {"ihalvorsen": 1613, "tokafor": 1588, "bdrummond": 1640, "nfossum-adm": 1120, "svc-quillback": 1207}
_COMMANDS = {
    "services": "C:\\Windows\\system32\\services.exe",
    "svchost": "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Schedule",
    "explorer": "C:\\Windows\\Explorer.EXE",
    "fernwatch": '"C:\\Program Files\\Fernwatch\\Agent\\fwagent.exe" --service',
    "quillback": '"C:\\Program Files\\Quillback\\Backup\\qbagent.exe" --service --site quay',
    "outlook": '"C:\\Program Files\\Microsoft Office\\root\\Office16\\OUTLOOK.EXE" /profile Larkmoor',
    "stowage": '"C:\\Users\\ihalvorsen\\AppData\\Local\\Stowage\\stowage.exe" --autostart',
    "yardbook": '"C:\\Program Files\\Larkmoor\\Yardbook\\yardbook.exe" --site quay --profile stock',
    "logonscript": "C:\\Windows\\system32\\cmd.exe /c \\\\larkmoor.example\\NETLOGON\\lmr-drives.cmd",
    "helpdesk": '"C:\\Windows\\system32\\cmd.exe" /k title Helpdesk call 614',
    "adminshell": '"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe" -NoExit '
    '-Command "Set-Location D:\\Ops"',
}
_ALIASES = {"logonscript": "cmd", "helpdesk": "cmd", "adminshell": "powershell"}
_SYSTEM_PROGRAMS = frozenset({"services", "svchost", "fernwatch", "lsass", "system"})


class Cast:
    """Who and what there is. Processes that were already running are made once and stay the same."""

    def __init__(self) -> None:
        self._users = {key: self._people(key) for key in ("ws", "fs")}
        self.ws = Machine("LMR-WS-0147", suffix=SUFFIX, address="10.44.7.147")
        self.fs = Machine("LMR-FS-02", suffix=SUFFIX, address="10.44.2.52")
        self._running: dict[tuple[str, str, str], Process] = {}

    def clock(self, text: str) -> datetime:
        """A time of the scenario's day, from ``HH:MM`` or ``HH:MM:SS.fff``."""
        hours, minutes, *rest = text.split(":")
        seconds = float(rest[0]) if rest else 0.0
        return _DAY + timedelta(hours=int(hours), minutes=int(minutes), seconds=seconds)

    def machine(self, key: str) -> Machine:
        """The workstation, ``ws``, or the file server, ``fs``."""
        return {"ws": self.ws, "fs": self.fs}[key]

    def user(self, key: str, name: str) -> User:
        """An account as it is logged on at a machine."""
        return self._users[key][name]

    def running(self, key: str, program: str, user: str) -> Process:
        """A process that was there before the logs begin; programs of the system run as the system."""
        owner = "system" if program in _SYSTEM_PROGRAMS else user
        known = self._running.get((key, program, owner))
        if known is None:
            known = self.machine(key).running(
                programs()[_ALIASES.get(program, program)], self.user(key, owner), _COMMANDS.get(program)
            )
            self._running[key, program, owner] = known
        return known

    def _people(self, key: str) -> dict[str, User]:
        machine = {"ws": "LMR-WS-0147$", "fs": "LMR-FS-02$"}[key]
        people = {
            "system": User(
                name="SYSTEM",
                domain="NT AUTHORITY",
                sid="S-1-5-18",
                logon_id="0x3e7",
                integrity="System",
                audit_name=machine,
                audit_domain=DOMAIN,
            ),
        }
        for number, (name, rid) in enumerate(_RIDS.items()):
            privileged = name in {"nfossum-adm", "svc-quillback"}
            people[name] = User(
                name=name,
                domain=DOMAIN,
                sid=f"{DOMAIN_SID}-{rid}",
                logon_id=hex(0x5A1C40 + number * 0x1D3F7 + (0x9000 if key == "fs" else 0)),
                session=0 if name.startswith("svc-") else 1,
                integrity="High" if privileged else "Medium",
            )
        return people
