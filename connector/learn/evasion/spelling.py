"""The same characters for the system, other ones for a reader: case, blanks, look-alikes, detours in paths, options."""

from __future__ import annotations

import re
from random import Random

from connector.learn.evasion.line import WINDOWS, Line, Mutation, rewritten

_PATH = re.compile(r"(?i)(?<![\w\\])c:\\(?:windows|users|programdata|temp)(?:\\\w[\w.-]*)+")
_BLANK = re.compile(r"(?<=\S) (?=\S)")
_OPTION = re.compile(r"(?<= )-(?=[A-Za-z]{2,}\b)")
_STRING = re.compile(r"(?<![\w'`])'([^'\n]*)'(?!')")
_LOOKALIKE = {"a": "\u0430", "c": "\u0441", "e": "\u0435", "i": "\u0456", "o": "\u043e", "p": "\u0440", "s": "\u0455"}
_WIDE = {code: code + 0xFEE0 for code in range(0x61, 0x7B)}
_FILE = re.compile(r"(?i)(?<=[\\/])[a-z][a-z_-]{3,30}(?=\.(?:exe|dll|ps1|bat|vbs|js|txt|dmp|zip|hta|sct)\b)")
_KNOWN_FOLDER = re.compile(r"(?i)[\\/](?:windows|program files|program files \(x86\))[\\/]")
_SWITCH = re.compile(r"(?<= )[-/](?=[A-Za-z?])")
_EITHER = re.compile(
    r"(?i)^\W*(?:[a-z]:\\[\w\\]+\\)?(certutil|whoami|tasklist|taskkill|schtasks|systeminfo|ipconfig|ping|wevtutil|findstr)\b"
)
"""Programs whose options begin with either sign."""


def case(line: Line, draw: Random) -> Line:
    """``WHoaMi``: names of programs and cmdlets and paths; not what a program itself may read by case."""
    first = re.match(r"[\w.-]+", line.body)
    body = line.body
    if first:
        body = _mixed(first[0], draw) + body[first.end() :]
    if line.shell == "powershell":
        body = re.sub(r"\b[A-Z][a-z]+-[A-Z][A-Za-z]+\b", lambda match: _mixed(match[0], draw), body)
    return line.with_body(_PATH.sub(lambda match: _mixed(match[0], draw), body))


def _mixed(text: str, draw: Random) -> str:
    return "".join(draw.choice((letter.lower(), letter.upper())) for letter in text)


def blanks(line: Line, draw: Random) -> Line:
    """Two or more blanks or tabs where one stands, outside quotes."""
    parts = re.split(r"(\"[^\"]*\"|'[^']*')", line.body)
    wide = [_BLANK.sub(lambda _: draw.choice(("  ", " \t", "    ")), part) for part in parts[::2]]
    parts[::2] = wide
    return line.with_body("".join(parts))


def dashes(line: Line, draw: Random) -> Line:
    """PowerShell takes en dash, em dash and horizontal bar for a hyphen."""
    return line.with_body(_OPTION.sub(lambda _: draw.choice("\u2013\u2014\u2015"), line.body))


def curly_quotes(line: Line, draw: Random) -> Line:
    """PowerShell takes typographic quotes for straight ones."""

    def write(match: re.Match[str]) -> str:
        return draw.choice("\u2018\u2019") + match[1] + "\u2019"

    return line.with_body(_STRING.sub(write, line.body))


def lookalikes(line: Line, draw: Random) -> Line:
    """Letters of other alphabets in the names of files that the attacker brought: any name serves there."""

    def write(match: re.Match[str]) -> str:
        before = line.body[max(0, match.start() - 64) : match.start()]
        if _KNOWN_FOLDER.search(before):
            return match[0]
        return "".join(_LOOKALIKE.get(letter, letter) if draw.random() < 0.6 else letter for letter in match[0])

    return line.with_body(_FILE.sub(write, line.body))


def detours(line: Line, draw: Random) -> Line:
    r"""``C:\Windows\.\System32\..\System32\``."""

    def write(match: re.Match[str]) -> str:
        drive, *names = match[0].split("\\")
        place = draw.randrange(len(names) - 1) + 1
        back = draw.choice((["."], [".."], [".", ".."]))
        around = [names[place - 1]] if ".." in back else []
        return "\\".join([drive, *names[:place], *back, *around, *names[place:]])

    return line.with_body(_PATH.sub(write, line.body))


def device_prefix(line: Line, draw: Random) -> Line:
    r"""``\\?\C:\...`` and ``\\.\C:\...``."""
    return line.with_body(_PATH.sub(lambda match: draw.choice(("\\\\?\\", "\\\\.\\")) + match[0], line.body))


def slashes(line: Line, draw: Random) -> Line:
    """``C:/Windows/System32/...`` in what a program opens, not in the name of the program."""
    del draw
    return line.with_body(
        _PATH.sub(lambda match: match[0].replace("\\", "/") if match.start() else match[0], line.body)
    )


def switches(line: Line, draw: Random) -> Line:
    """``/all`` as ``-all`` and back, for programs that take either."""
    if not _EITHER.match(line.body):
        return line
    sign = draw.choice("-/")
    return line.with_body(_SWITCH.sub(sign, line.body))


def full_width(line: Line, draw: Random) -> Line:
    """Full-width letters in an argument, which programs that read their line in an ANSI code page take for plain ones."""
    first, blank, rest = line.body.partition(" ")  # the system itself must find the program
    wide = rewritten(line.with_body(rest), draw, lambda word, _: word.translate(_WIDE), share=0.0)
    return line.with_body(first + blank + wide.body)


MUTATIONS = (
    Mutation("case", "case", WINDOWS, case),
    Mutation("blanks", "blanks", WINDOWS | {"sh"}, blanks),
    Mutation("dashes", "lookalikes", frozenset({"powershell"}), dashes),
    Mutation("curly-quotes", "lookalikes", frozenset({"powershell"}), curly_quotes),
    Mutation("letters-of-files", "lookalikes", WINDOWS, lookalikes),
    Mutation("full-width", "lookalikes", frozenset({"native"}), full_width),
    Mutation("detours", "paths", WINDOWS, detours),
    Mutation("device-prefix", "paths", frozenset({"cmd", "native"}), device_prefix),
    Mutation("slashes", "paths", frozenset({"powershell", "native"}), slashes),
    Mutation("switches", "options", frozenset({"cmd", "native"}), switches),
)
