"""Small readers of the shells' documented rules, written apart from the mutations that they judge."""

from __future__ import annotations

import re

ENVIRONMENT = {
    "comspec": "C:\\Windows\\system32\\cmd.exe",
    "programdata": "C:\\ProgramData",
    "allusersprofile": "C:\\ProgramData",
    "public": "C:\\Users\\Public",
    "windir": "C:\\Windows",
    "systemroot": "C:\\Windows",
    "programfiles": "C:\\Program Files",
    "commonprogramfiles": "C:\\Program Files\\Common Files",
}


def expanded(line: str) -> str:
    """Percent expansion, with substrings as ``set /?`` states them."""

    def value(match: re.Match[str]) -> str:
        text = ENVIRONMENT[match[1].lower()]
        if match[2] is None:
            return text
        start, length = int(match[2]), int(match[3])
        start = start + len(text) if start < 0 else start
        return text[start : start + length] if length >= 0 else text[start:length]

    return re.sub(r"%(\w+)(?::~(-?\d+),(-?\d+))?%", value, line)


def without_carets(line: str) -> str:
    """The escape character of cmd.exe outside quotes: it goes, and what follows it is plain."""
    out, quoted, escaped = [], False, False
    for letter in line:
        if escaped:
            out.append(letter)
            escaped = False
        elif letter == "^" and not quoted:
            escaped = True
        else:
            quoted ^= letter == '"'
            out.append(letter)
    return "".join(out)


def arguments(line: str) -> list[str]:
    """A line as a C program's argv: blanks outside quotes divide, quotes go (no backslash stands before a quote here)."""
    words, word, quoted, begun = [], "", False, False
    for letter in line:
        if letter == '"':
            quoted, begun = not quoted, True
        elif letter in " \t" and not quoted:
            if begun:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + letter, True
    return [*words, word] if begun else words


def without_ticks(script: str) -> str:
    """PowerShell's escape character before a letter that it gives no meaning to."""

    def letter(match: re.Match[str]) -> str:
        assert match[1] not in "0abefnrtuv", f"`{match[1]} is a control character"
        return match[1]

    return re.sub(r"`(.)", letter, script)


def folded(script: str) -> str:
    """Parenthesised constant expressions of PowerShell as one literal: ``+``, ``-f`` and ``[char]``."""
    script = re.sub(
        r"\(((?:'[^']*'|\[char\]\d+)(?:\+(?:'[^']*'|\[char\]\d+))*)\)", lambda m: f"('{_sum(m[1])}')", script
    )
    return re.sub(r"\('([{}\d]+)' -f ('[^']*'(?:,'[^']*')*)\)", lambda m: f"('{_format(m[1], m[2])}')", script)


def _sum(expression: str) -> str:
    pieces = re.findall(r"'([^']*)'|\[char\](\d+)", expression)
    return "".join(text or (chr(int(code)) if code else "") for text, code in pieces)


def _format(pattern: str, pieces: str) -> str:
    return pattern.format(*re.findall(r"'([^']*)'", pieces))
