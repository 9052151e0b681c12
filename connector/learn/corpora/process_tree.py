"""Which events of a recording belong to the attack: the process tree below the first processes that the operator started.

A committed rule instead of hand labels. An entry is a process start whose arguments stand in the recording's own
``adversary_view``, or whose line shows one of the tells below; everything that descends from it by ProcessGuid, and
everything that such a process did, belongs to the attack.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

_TELL = re.compile(
    r"(?i)-noP -sta -w 1|-enc(?:odedcommand)?\s+[A-Za-z0-9+/=]{40}|FromBase64String|DownloadString|grunt|mimikatz|rubeus|seatbelt|"
    r"sharpview|purplesharp|psexec|procdump|comsvcs|launcher\.(?:exe|bat|vbs|sct|hta|dll|xml|js)|stager|meterpreter|payload|"
    r"javascript:|vbscript:|scrobj|dumpert|herpaderp|sekurlsa|lsadump|-w(?:in(?:dowstyle)?)? hidden"
)
_LINES = ("CommandLine", "ParentCommandLine", "Image", "NewProcessName", "ParentImage", "ParentProcessName")
_NOISE = re.compile(r"[\"'^`]")
_SPACE = re.compile(r"\s+")
_IMAGE = re.compile(r"""^\s*(?:"[^"]*"|\S+)""")
_SHORTEST = 8


class Recording(msgspec.Struct):
    """A recording's attack: the GUIDs of its processes, their command lines, and the line of the first; all empty without one."""

    guids: frozenset[str]
    lines: frozenset[str]
    entry: str = ""

    def holds(self, event: Mapping[str, Any]) -> bool:
        """Whether this flat Windows event was made by, or started, one of the attack's processes."""
        for field in ("ProcessGuid", "SourceProcessGUID", "SourceProcessGuid"):
            guid = event.get(field)
            if isinstance(guid, str) and guid.lower() in self.guids:
                return True
        line = event.get("CommandLine")
        return isinstance(line, str) and line in self.lines


def attack(starts: Iterable[Mapping[str, Any]], adversary_view: str) -> Recording:
    """The attack's tree from the process starts (Sysmon 1) in time order."""
    view = _plain(adversary_view)
    guids: set[str] = set()
    lines: set[str] = set()
    entry = ""
    for start in starts:
        guid, line = str(start.get("ProcessGuid", "")).lower(), str(start.get("CommandLine", ""))
        parent = str(start.get("ParentProcessGuid", "")).lower()
        if guid and (parent in guids or is_entry(line, view)):
            entry = entry or line
            guids.add(guid)
            lines.add(line)
    return Recording(frozenset(guids), frozenset(line for line in lines if len(line) > _SHORTEST), entry)


def no_entry(starts: Iterable[Mapping[str, Any]], adversary_view: str) -> str:
    """Why a recording has no entry, in words."""
    if not any(True for _ in starts):
        return "no Sysmon process start with a GUID was recorded"
    if not adversary_view.strip():
        return "no adversary view is given, and no process start shows a tell"
    return "no process start stands in the adversary view or shows a tell"


def is_entry(line: str, view: str) -> bool:
    """Whether a command line is the operator's own: shown in the (plain) adversary view, or a tell."""
    if _TELL.search(line):
        return True
    arguments = _plain(_IMAGE.sub("", line, count=1)).strip()
    return len(arguments) >= _SHORTEST and arguments in view


def tells(start: Mapping[str, Any]) -> bool:
    """Whether any of a process start's own or parent's lines and images shows a tell."""
    return any(_TELL.search(str(start.get(field, ""))) for field in _LINES)


def _plain(text: str) -> str:
    return _SPACE.sub(" ", _NOISE.sub("", text)).lower()
