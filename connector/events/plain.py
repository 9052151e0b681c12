"""``plain``: a command line or script as it would have been typed, before somebody dressed it up.

What cmd.exe, PowerShell or a POSIX shell take away before they run a line is taken away here: carets, empty and split
quotes, substrings of environment variables with a known value, look-alike letters, detours in paths. Nothing is
evaluated but constants, a line that shows none of this stays as it is, and the work grows with the length of the line.
Where quoting is ordinary (a regular expression, an option with its value) it is left alone: what is missed stays visible.

The rules of cmd.exe: https://learn.microsoft.com/windows-server/administration/windows-commands/cmd and ``set /?``;
of POSIX shells: IEEE 1003.1, Shell Command Language, 2.2 Quoting. What attackers make of them: MITRE ATT&CK T1027.010.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from connector.events.powershell import VARIABLES, options, unfolded

_LONGEST: Final = 4096
"""Characters that are looked at; far more than the text that a model reads."""

_FOREIGN = re.compile(r"[^\x00-\x7f]")
_MIXED_WORD = re.compile(r"[^\W_]+")
_INVISIBLE = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
_PUNCTUATION: Final = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
    **dict.fromkeys("\u1680\u2028\u2029\u0085", " "),
    **dict.fromkeys("\u2044\u2215\u29f8", "/"),
}
"""Dashes and quotes that PowerShell reads as their ASCII namesakes, and spaces and slashes that look like theirs."""

_LOOKALIKES: Final = {
    ord(other): letter
    for letter, others in {
        "a": "\u0430\u0410\u03b1\u0391\u0251",
        "b": "\u0432\u0412\u03b2\u0392\u042c",
        "c": "\u0441\u0421\u03f2",
        "d": "\u0501",
        "e": "\u0435\u0415\u03b5\u0395",
        "g": "\u0261",
        "h": "\u04bb\u043d\u041d\u0397",
        "i": "\u0456\u0406\u03b9\u0399\u0131",
        "j": "\u0458\u0408\u03f3",
        "k": "\u043a\u041a\u03ba\u039a",
        "l": "\u04cf\u029f",
        "m": "\u043c\u041c\u039c",
        "n": "\u039d\u03b7\u043f",
        "o": "\u043e\u041e\u03bf\u039f",
        "p": "\u0440\u0420\u03c1\u03a1",
        "q": "\u051b",
        "s": "\u0455\u0405",
        "t": "\u0442\u0422\u03c4\u03a4",
        "u": "\u03c5",
        "v": "\u0475\u03bd\u0474",
        "w": "\u051d\u03c9",
        "x": "\u0445\u0425\u03c7\u03a7",
        "y": "\u0443\u0423\u03b3\u03a5",
        "z": "\u0396",
    }.items()
    for other in others
}
"""Letters of other alphabets that look like Latin ones (a part of Unicode's confusables, UTS 39)."""

_CARETED = re.compile(r"[a-z]\^{1,4}[a-z]")
_CARET = re.compile(r"\^(?![|&<>^()]|$)")
_SPLIT = re.compile(r"""(?<=[a-z0-9])(?:""|'')+(?=[a-z0-9.])|(?<=[a-z.\-])(["'])[a-z0-9]{1,16}\1(?=[a-z])""")
_MAY_SPLIT = re.compile(r"""["'](?:(?<=[a-z0-9].)["'a-z0-9]|[a-z]{1,16}["'][a-z])""")
_QUOTED_WORD = re.compile(r"""(?:(?<=[\s(&|;\\/@])|^)[a-z0-9_.\-"']{4,128}""")
_SPLIT_FIRST = re.compile(r"""(["'])[a-z]{1,16}\1[a-z]""")
_SPLIT_LAST = re.compile(r"""[a-z]{2,}(["'])[a-z0-9]{1,16}\1\Z""")
_RUNS: Final = ("/c ", "/k ", "-c ", "-command ")
_PAIR = re.compile(r"""(["'])([^"']*+)\1""")
_VARIABLE = re.compile(r"(%%?|!)([a-z0-9_()]{2,32}+)(?::~(-?[0-9]{1,3})(?:,(-?[0-9]{1,3}))?)?\1")
_TELLING: Final = frozenset({"comspec"})
"""Variables that are seen whole where somebody starts commands from afar: the name says more than the value."""

_UNIX_NOTHING = re.compile(r"(?<=[a-z])\$(?:@|\*|\{[@*]\}|[0-9](?![0-9]))(?=[a-z])")
_UNIX_SPACE = re.compile(r"\$\{ifs\}|\$ifs(?:\$[0-9])?(?![a-z0-9_])")
_UNIX_ESCAPE = re.compile(r"""'[^']*+'|"[^"]*+"|(?<![\\^])\\(?=[a-z])""")
_DRIVE_PREFIX = re.compile(r"\\\\[?.]\\(?=[a-z]:\\)")
_SLASHED = re.compile(r"(?<![a-z0-9])[a-z]:/windows(?:/[a-z0-9_.\-]+)*")
_HERE = re.compile(r"(?<=[a-z0-9_:>)])(?:\\\.)+(?=\\)")
_DETOUR = re.compile(r"\\(?!\.\.?\\)[^\\/:*?\"<>|\s',;()]{1,64}\\\.\.(?=\\)")
_DETOURS: Final = 8
_SHORT_NAMES: Final = {
    "progra~1": "program files",
    "progra~2": "program files (x86)",
    "docume~1": "documents and settings",
    "window~1": "windowspowershell",
    "powers~1.exe": "powershell.exe",
}
_SHORT = re.compile(r"\b(?:progra~[12]|docume~1|window~1|powers~1\.exe)(?![a-z0-9~])")


def plain(text: str, *, unix: bool = False) -> str:
    """The line or script without its disguise; ``text`` is a masked value of a canonical form. ``unix``: for a POSIX shell."""
    text, rest = text[:_LONGEST], text[_LONGEST:]
    if not text.isascii():
        text = _latin(text)
    if "^" in text and _CARETED.search(text):
        text = _CARET.sub("", text)
    if unix:
        text = _unix(text)
    if _MAY_SPLIT.search(text):
        text = _QUOTED_WORD.sub(_joined, text)
    if "%" in text or "!" in text:
        text = _VARIABLE.sub(_value, text)
    text = unfolded(text)
    if "\\" in text or ":/" in text:
        text = _straight(text)
    return options(text) + rest


def _latin(text: str) -> str:
    """Look-alikes as the ASCII that they stand for. A word wholly in another alphabet is a word of that language."""
    text = _FOREIGN.sub(lambda match: _ascii(match[0]), text)
    return text if text.isascii() else _MIXED_WORD.sub(_unmixed, text)


@lru_cache(maxsize=1024)
def _ascii(character: str) -> str:
    if _INVISIBLE.match(character):
        return ""
    known = _PUNCTUATION.get(character) or unicodedata.normalize("NFKC", character)
    return known.lower() if len(known) == 1 and " " <= known <= "~" else character


def _unmixed(match: re.Match[str]) -> str:
    word = match[0]
    if word.isascii() or not any(letter.isascii() and letter.isalpha() for letter in word):
        return word
    return word.translate(_LOOKALIKES)


def _unix(text: str) -> str:
    if "$" in text:
        text = _UNIX_SPACE.sub(" ", _UNIX_NOTHING.sub("", text))
    if "\\" in text:
        text = _UNIX_ESCAPE.sub(lambda match: "" if match[0] == "\\" else match[0], text)
    return text


def _joined(match: re.Match[str]) -> str:
    """A word without the quotes inside it; one that is only quoted, or an option with a quoted value, as it is."""
    word = match[0]
    if word[0] == '"' and word.count('"') % 2 and match.string.endswith(_RUNS, 0, match.start()):
        rest = word[1:]  # what opens here is the whole command, and ends with it
        return word[0] + (_PAIR.sub(r"\2", rest) if _SPLIT.search(rest) else rest)
    if word[0] in "\"'":
        split = _SPLIT_FIRST.match(word)
    else:
        split = _SPLIT.search(word)
        if split is None and match.string[match.start() - 1 : match.start()] != "/":
            split = _SPLIT_LAST.match(word)
    return _PAIR.sub(r"\2", word) if split else word


def _value(match: re.Match[str]) -> str:
    r"""A well-known variable's value, or the part of it that ``%name:~start,length%`` takes."""
    value = VARIABLES.get(match[2])
    if value is None:
        return match[0]
    if match[3] is None:
        return match[0] if match[2] in _TELLING else value
    start, length = int(match[3]), match[4]
    begin = max(0, len(value) + start) if start < 0 else start
    if length is None:
        return value[begin:]
    end = len(value) + int(length) if int(length) < 0 else begin + int(length)
    return value[begin : max(begin, end)]


def _straight(text: str) -> str:
    """Paths without detours: ``.`` and ``..``, prefixes of the local device, 8.3 names that are always the same."""
    if "\\\\" in text:
        text = _DRIVE_PREFIX.sub("", text)
    if ":/" in text:
        text = _SLASHED.sub(lambda match: match[0].replace("/", "\\"), text)
    if "~" in text:
        text = _SHORT.sub(lambda match: _SHORT_NAMES[match[0]], text)
    if "\\." in text:
        text = _until_still(_HERE.sub("", text))
    return text


def _until_still(text: str) -> str:
    """Nested detours, a level a turn; a line can ask for so many turns and no more."""
    for _ in range(_DETOURS):
        shorter = _DETOUR.sub("", text)
        if shorter == text:
            break
        text = shorter
    return text
