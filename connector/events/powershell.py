"""PowerShell's constants: strings that a script builds from pieces are put together, options get their usual names.

Only constants are folded: literals, ``[char]`` of a number, letters of variables whose value every Windows shares. The
lexical rules are those of about_Quoting_Rules, about_Special_Characters and about_Operators; the options those of
about_PowerShell_exe, where a name may be cut short as far as it stays clear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

VARIABLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("windir", "systemroot"), "c:\\windows"),
    **dict.fromkeys(("programdata", "allusersprofile"), "c:\\programdata"),
    "comspec": "c:\\windows\\system32\\cmd.exe",
    "systemdrive": "c:",
    "public": "c:\\users\\public",
    **dict.fromkeys(("programfiles", "programw6432"), "c:\\program files"),
    "programfiles(x86)": "c:\\program files (x86)",
    **dict.fromkeys(("commonprogramfiles", "commonprogramw6432"), "c:\\program files\\common files"),
    "os": "windows_nt",
    "driverdata": "c:\\windows\\system32\\drivers\\driverdata",
}
"""Environment variables, lower case, that have one value on nearly every Windows."""

_AUTOMATIC: Final[Mapping[str, str]] = {
    "pshome": "c:\\windows\\system32\\windowspowershell\\v1.0",
    "shellid": "microsoft.powershell",
}
_LONGEST: Final = 512
_TICK = re.compile(r"(?<=[a-z.\-])`(?=[a-z.\-])")
_TICKED_ESCAPES: Final = frozenset("0abfnrtv")
_CODE = r"\[char\]\s?(?:0x[0-9a-f]{1,4}|[0-9]{1,3})(?![0-9a-z])"
_LITERAL = r"'[^'`$]{0,256}'|\"[^\"'`$()]{0,256}\""
_LETTER = r"\$(?:env:)?[a-z]{2,16}\[-?[0-9]{1,2}\]"
_WHOLE = r"\$env:[a-z]{2,16}(?![\[\w:(])"
_PIECE = rf"(?>{_LITERAL}|\(\s?{_CODE}\s?\)|{_CODE}|{_LETTER}|{_WHOLE})"
_CHAIN = re.compile(rf"{_PIECE}(?:\s?\+\s?{_PIECE})*+")
_PART = re.compile(rf"(?P<literal>{_LITERAL})|(?P<code>{_CODE})|(?P<letter>{_LETTER})|(?P<whole>{_WHOLE})")
_CODES = re.compile(
    r"\(?(?:-join\s?)?\(?\[char\[\]\]\s?\(?\s?((?:0x[0-9a-f]{1,4}|[0-9]{1,3})"
    r"(?:\s?,\s?(?:0x[0-9a-f]{1,4}|[0-9]{1,3})){1,255})\s?\)?\)?(?:\s?-join\s?(?:''|\"\"))?\)?"
)
_LETTERS = re.compile(
    r"\(?\$(?:env:)?([a-z]{2,16})\[([0-9]{1,2}(?:\s?,\s?[0-9]{1,2}){1,31})\]\s?-join\s?(?:''|\"\")\)?"
)
_FORMAT = re.compile(
    r"(?>(['\"])((?:[^'\"{}`$]{0,64}\{[0-9]{1,2}\}){1,64}+[^'\"{}`$]{0,64})\1)\)?\s?-f\s?"
    rf"((?>{_LITERAL})(?:\s?,\s?(?>{_LITERAL}))*+)"
)
_HOLE = re.compile(r"\{([0-9]{1,2})\}")
_STRING = re.compile(_LITERAL)
_PARENTHESES = re.compile(r"(?<![\w\])])\(\s?('[^'()]{1,256}')\s?\)")
_CALLED = re.compile(r"(?:(?<=[\s;{(|=\"])|^)[&.]\s?'([a-z][a-z0-9.\-]{1,64})'")
_MEMBER = re.compile(r"(?<=[\w)\]])(\.|::)\s?['\"]([a-z]{2,64})['\"](?=\s?[(.;)]|$)")
_ENVIRONMENT = re.compile(r"\$(?:env:([a-z0-9]{2,32}+)|\{env:([a-z0-9()]{2,32})\})(?![\[\w])")

_NAMES: Final = (
    ("nop", "noprofile", 3),
    ("noni", "noninteractive", 4),
    ("nologo", "nologo", 3),
    ("noexit", "noexit", 3),
    ("w", "windowstyle", 1),
    ("enc", "encodedcommand", 1),
    ("ep", "executionpolicy", 2),
    ("command", "command", 1),
    ("file", "file", 1),
    ("inputformat", "inputformat", 2),
    ("outputformat", "outputformat", 1),
    ("version", "version", 1),
    ("sta", "sta", 1),
    ("mta", "mta", 1),
)
_OPTIONS: Final[Mapping[str, str]] = {
    **{full[:size]: usual for usual, full, least in _NAMES for size in range(least, len(full) + 1)},
    "ec": "enc",
    "ep": "ep",
    "if": "inputformat",
    "of": "outputformat",
}
"""What each accepted spelling of an option is usually written as."""

_WITHOUT_VALUE: Final = frozenset({"nop", "noni", "nologo", "noexit", "sta", "mta"})
_LAST: Final = frozenset({"command", "enc", "file"})
_VALUES: Final[Mapping[str, Mapping[str, str]]] = {
    "w": dict.fromkeys(("1", "h", "hi", "hid", "hidd", "hidde"), "hidden"),
    "ep": {
        **dict.fromkeys(("b", "by", "byp", "bypa", "bypas"), "bypass"),
        **dict.fromkeys(("unr", "unre", "unres", "unrest", "unrestr"), "unrestricted"),
    },
}
_SHELL = re.compile(r"(?<![a-z0-9_.\-])(?:powershell|pwsh)(?:\.exe)?['\"]?(?=\s[-/])")
_OPTION = re.compile(r"\s([-/]([a-z]{1,20}))(?=\s|$)")
_ARGUMENT = re.compile(r"\s([a-z0-9.]{1,24})(?=\s|$)")


def unfolded(text: str) -> str:
    """The text with PowerShell's ticks dropped and its constant expressions as the string that they make."""
    if "`" in text:
        text = _TICK.sub(lambda match: match[0] if _escapes(text, match.end()) else "", text)
    folded = text
    if "join" in folded and "$" in folded:
        folded = _LETTERS.sub(_picked, folded)
    if "[char" in folded:
        folded = _CODES.sub(_typed, folded)
    if "-f" in folded:
        folded = _FORMAT.sub(_filled, folded)
    if "+" in folded:
        folded = _CHAIN.sub(_together, folded)
    if "env:" in folded:
        folded = _ENVIRONMENT.sub(_environment, folded)
    if folded != text:
        folded = _CALLED.sub(r"\1", _PARENTHESES.sub(r"\1", folded))
    return _MEMBER.sub(r"\1\2", folded) if ".'" in folded or '."' in folded or "::" in folded else folded


def _escapes(text: str, place: int) -> bool:
    """Whether a tick before this place writes a control character, in a string that has no other tick inside a word."""
    return text[place] in _TICKED_ESCAPES


def _character(code: str) -> str | None:
    number = int(code, 16) if code.startswith("0x") else int(code)
    letter = chr(number).lower()
    return letter if " " <= letter <= "~" and letter not in "'\"`" else None


def _string(text: str) -> str:
    return f"'{text}'"


def _typed(match: re.Match[str]) -> str:
    letters = [_character(code.strip()) for code in match[1].split(",")]
    whole = match[0]
    if whole.count("(") != whole.count(")") or None in letters:
        return whole
    return _string("".join(letter or "" for letter in letters))


def _constant(name: str) -> str | None:
    return _AUTOMATIC.get(name) or VARIABLES.get(name)


def _picked(match: re.Match[str]) -> str:
    value = _constant(match[1])
    places = [int(place) for place in match[2].split(",")]
    if value is None or max(places) >= len(value) or match[0].count("(") != match[0].count(")"):
        return match[0]
    return _string("".join(value[place] for place in places))


def _environment(match: re.Match[str]) -> str:
    return VARIABLES.get(match[1] or match[2], match[0])


def _filled(match: re.Match[str]) -> str:
    """``'{1}{0}' -f 'b','a'``: the pattern with its holes filled; as it is where one has no piece."""
    pieces = [piece[1:-1] for piece in _STRING.findall(match[3])]
    if any(int(hole) >= len(pieces) for hole in _HOLE.findall(match[2])):
        return match[0]
    made = _HOLE.sub(lambda hole: pieces[int(hole[1])], match[2][:_LONGEST])
    opening = match[0][match.end(2) - match.start() + 1 :].startswith(")")
    return f"{_string(made)})" if opening else _string(made)


def _together(match: re.Match[str]) -> str:
    """Pieces joined by ``+`` as one string; a single piece, and one that is not known, as it is."""
    pieces = [_piece(part) for part in _PART.finditer(match[0])]
    if len(pieces) < 2 or None in pieces:
        return match[0]
    return _string("".join(piece or "" for piece in pieces))


def _piece(part: re.Match[str]) -> str | None:
    if part["literal"]:
        return part["literal"][1:-1]
    if part["code"]:
        return _character(part["code"].partition("]")[2].strip())
    if part["whole"]:
        return _constant(part["whole"].removeprefix("$env:"))
    name, _, place = part["letter"].removeprefix("$").removeprefix("env:").rstrip("]").partition("[")
    value = _constant(name)
    return value[int(place)] if value and -len(value) <= int(place) < len(value) else None


def options(text: str) -> str:
    """The options of each call of PowerShell in a line by their usual names, up to the command that it runs."""
    if "powershell" not in text and "pwsh" not in text:
        return text
    parts, done = [], 0
    for shell in _SHELL.finditer(text):
        if shell.end() < done:
            continue
        parts.append(text[done : shell.end()])
        done = _read_options(text, shell.end(), parts)
    parts.append(text[done:])
    return "".join(parts)


def _read_options(text: str, place: int, parts: list[str]) -> int:
    """Appends the options that begin at ``place`` and returns where they end."""
    while match := _OPTION.match(text, place):
        name = _OPTIONS.get(match[2])
        if name is None:
            break
        parts.append(f" -{name}")
        place = match.end()
        if name in _LAST:
            break
        if name not in _WITHOUT_VALUE and (value := _ARGUMENT.match(text, place)):
            parts.append(f" {_VALUES.get(name, {}).get(value[1], value[1])}")
            place = value.end()
    return place
