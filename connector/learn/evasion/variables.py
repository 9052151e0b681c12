"""Text that comes from variables: substrings of the environment, well-known folders, names that the line itself sets."""

from __future__ import annotations

import re
from random import Random

from connector.learn.evasion.line import Line, Mutation, rewritten

CONSTANT = {
    "COMSPEC": "C:\\Windows\\system32\\cmd.exe",
    "ProgramData": "C:\\ProgramData",
    "PUBLIC": "C:\\Users\\Public",
    "SystemRoot": "C:\\Windows",
    "CommonProgramFiles": "C:\\Program Files\\Common Files",
    "ProgramFiles": "C:\\Program Files",
}
"""Environment variables with the value that they have on nearly every Windows."""

_FOLDERS = (
    ("C:\\Windows", ("%windir%", "%SystemRoot%"), ("$env:windir", "$env:SystemRoot")),
    ("C:\\ProgramData", ("%ProgramData%", "%ALLUSERSPROFILE%"), ("$env:ProgramData",)),
    ("C:\\Users\\Public", ("%PUBLIC%",), ("$env:PUBLIC",)),
)


def substrings(line: Line, draw: Random) -> Line:
    """``wh%COMSPEC:~-14,1%...``: letters of a word taken out of a variable."""

    def write(word: str, draw: Random) -> str:
        places = [place for place in range(len(word)) if draw.random() < 0.3] or [draw.randrange(len(word))]
        return "".join(_letter(letter, draw) if place in places else letter for place, letter in enumerate(word))

    return rewritten(line, draw, write, share=0.4)


def _letter(letter: str, draw: Random) -> str:
    found = [
        (name, value.lower().index(letter.lower()))
        for name, value in CONSTANT.items()
        if letter.lower() in value.lower()
    ]
    if not found:
        return letter
    name, place = draw.choice(found)
    start = place - len(CONSTANT[name]) if draw.random() < 0.5 else place
    return f"%{name}:~{start},1%"


def folders(line: Line, draw: Random) -> Line:
    r"""``C:\\Windows\\...`` as ``%windir%\\...`` or ``$env:windir\\...``."""
    parts = re.split(r"('[^']*')", line.body) if line.shell == "powershell" else [line.body]
    for folder, batch, script in _FOLDERS:
        names = script if line.shell == "powershell" else batch
        pattern = re.compile(rf"(?i){re.escape(folder)}(?=\\)")
        parts[::2] = [pattern.sub(lambda _, names=names: draw.choice(names), part) for part in parts[::2]]
    return line.with_body("".join(parts))


def nothing(line: Line, draw: Random) -> Line:
    """``who$@ami``: parameters that are empty."""
    mark = draw.choice(("$@", "$*"))
    return rewritten(line, draw, lambda word, draw: word[: (cut := draw.randrange(1, len(word)))] + mark + word[cut:])


def field_separator(line: Line, draw: Random) -> Line:
    """``cat${IFS}/etc/passwd``: the blank after the first word of a plain command."""
    del draw
    return line.with_body(re.sub(r"^(\w+) (?=[/\w-]+$)", r"\1${IFS}", line.body))


def assigned(line: Line, draw: Random) -> Line:
    """``cmd /v:on /c "set x=cert&&!x!util ..."``: a piece of a word is set first and put in when the line runs."""
    name = draw.choice(("x", "ab", "q7"))
    cuts: list[str] = []

    def write(word: str, draw: Random) -> str:
        cut = draw.randrange(1, len(word))
        if cuts:
            return word
        cuts.append(word[:cut])
        return f"!{name}!{word[cut:]}"

    written = rewritten(line, draw, write, share=0.0)
    if not cuts:
        return line
    head = re.sub(r"(?i)/([ck])", r"/v:on /\1", line.head, count=1)
    return Line(line.shell, head, f"set {name}={cuts[0]}&&{written.body}")


MUTATIONS = (
    Mutation("substrings", "variables", frozenset({"cmd"}), substrings),
    Mutation("folders", "variables", frozenset({"cmd", "powershell"}), folders),
    Mutation("empty-parameters", "variables", frozenset({"sh"}), nothing),
    Mutation("field-separator", "variables", frozenset({"sh"}), field_separator),
    Mutation("set-first", "assignment", frozenset({"cmd"}), assigned),
)
