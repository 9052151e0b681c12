"""Another program that does the same: documented equivalents, aliases of cmdlets, programs that start others.

Sources: the programs' own help and documentation, about_Aliases, LOLBAS' entries of programs that execute others (facts).
"""

from __future__ import annotations

import re
from random import Random

from connector.learn.evasion.line import Line, Mutation

EQUAL: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"net(?:\.exe)?(?= )", ("net1", "net1.exe")),
    (r"wevtutil(?:\.exe)? cl(?= )", ("wevtutil clear-log", "wevtutil.exe clear-log")),
    (r"wevtutil(?:\.exe)? qe(?= )", ("wevtutil query-events",)),
    (r"type(?= [A-Za-z]:\\)", ("more", "findstr .*")),
    (r"tasklist(?:\.exe)?(?=\s*$)", ("wmic process list brief", "qprocess *")),
    (r"ipconfig(?:\.exe)? /all(?=\s*$)", ("netsh interface ip show config",)),
    (r"hostname(?:\.exe)?(?=\s*$)", ("echo %computername%",)),
    (r"query user(?=\s*$)", ("quser", "qwinsta")),
    (r"powershell(?:\.exe)?(?= )", ("pwsh", "pwsh.exe")),
)
"""Commands of cmd.exe that another one can stand in for: a pattern at the start of a command, and what replaces it."""

ALIASES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Invoke-Expression", ("iex",)),
    ("Invoke-WebRequest", ("iwr", "wget", "curl")),
    ("Start-Process", ("saps", "start")),
    ("Get-ChildItem", ("gci", "dir", "ls")),
    ("Get-Content", ("gc", "cat", "type")),
    ("Set-ItemProperty", ("sp",)),
    ("Get-ItemProperty", ("gp",)),
    ("Get-Process", ("gps", "ps")),
    ("Get-Service", ("gsv",)),
    ("Get-WmiObject", ("gwmi",)),
    ("Invoke-Command", ("icm",)),
    ("Copy-Item", ("cpi", "cp", "copy")),
    ("Move-Item", ("mi", "mv", "move")),
    ("Remove-Item", ("ri", "rm", "del")),
    ("New-Item", ("ni",)),
    ("Set-Content", ("sc",)),
    ("ForEach-Object", ("%", "foreach")),
    ("Where-Object", ("?", "where")),
    ("Select-Object", ("select",)),
    ("Stop-Process", ("spps", "kill")),
    ("Import-Module", ("ipmo",)),
    ("Set-Location", ("sl", "cd")),
)
"""Cmdlets with the aliases that Windows PowerShell sets."""

_BY_NAME = {name.lower(): (name, *aliases) for name, aliases in ALIASES}
_BY_NAME |= {
    alias: (name, *aliases)
    for name, aliases in ALIASES
    for alias in aliases
    if alias in {"iex", "iwr", "gwmi", "icm", "gci"}
}
_CMDLET = re.compile(
    r"(?i)(?<![\w$.\-'\"\\/])(?:"
    + "|".join(sorted(map(re.escape, _BY_NAME), key=len, reverse=True))
    + r")(?![\w.\-'\"\\/=:])"
)
STARTERS = (
    "conhost.exe {0}",
    "cmd.exe /c start /b {0}",
    'forfiles /p c:\\windows\\system32 /m notepad.exe /c "{0}"',
    "pcalua.exe -a {0}",
)
"""Programs that start the command that they are given."""


def equal(line: Line, draw: Random) -> Line:
    """``net1 user`` for ``net user``."""
    for pattern, others in EQUAL:
        if match := re.match(pattern, line.body, re.IGNORECASE):
            return line.with_body(draw.choice(others) + line.body[match.end() :])
    return line


def aliases(line: Line, draw: Random) -> Line:
    """``iex`` for ``Invoke-Expression`` and back."""

    def write(match: re.Match[str]) -> str:
        return draw.choice([name for name in _BY_NAME[match[0].lower()] if name.lower() != match[0].lower()])

    return line.with_body(_CMDLET.sub(write, line.body))


def started(line: Line, draw: Random) -> Line:
    """The command behind a program that starts it."""
    if '"' in line.body or re.search(r"[&|<>]", line.body):
        return line
    return line.with_body(draw.choice(STARTERS).format(line.body))


MUTATIONS = (
    Mutation("equal-program", "substitution", frozenset({"cmd", "native"}), equal),
    Mutation("alias-of-cmdlet", "substitution", frozenset({"powershell"}), aliases),
    Mutation("started-by-another", "substitution", frozenset({"native"}), started),
)
