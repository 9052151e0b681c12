"""Scripts whose strings and names are put together when they run, and scripts that are carried encoded.

PowerShell: about_Quoting_Rules, about_Operators (``-f``, ``-join``, ``&``), about_PowerShell_exe (``-EncodedCommand``).
"""

from __future__ import annotations

import base64
import gzip
import re
from collections.abc import Callable
from random import Random

from connector.learn.evasion.line import Line, Mutation, Shell

_LITERAL = re.compile(r"(?<![\w'`])'([A-Za-z][\w ./:\\-]{3,60})'(?!')")
_CALL = re.compile(r"(?:(?<=[;|{(]\s)|(?<=[;|{(])|^)([A-Z][a-z]+-[A-Za-z]{3,30}|iex|iwr|saps|sal|gwmi|icm)(?= )")


def _split(text: str, draw: Random) -> list[str]:
    cuts = sorted(draw.sample(range(1, len(text)), min(len(text) - 1, draw.choice((1, 2, 3)))))
    return [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def _literals(line: Line, write: Callable[[str], str]) -> Line:
    """The line with each plain string, and each command's name behind the call operator, written otherwise."""
    body = _LITERAL.sub(lambda match: f"({write(match[1])})", line.body)
    return line.with_body(_CALL.sub(lambda match: f"&({write(match[1])})", body))


def concatenated(line: Line, draw: Random) -> Line:
    """``&('Invoke-'+'Expression')``."""
    return _literals(line, lambda text: "+".join(f"'{piece}'" for piece in _split(text, draw)))


def formatted(line: Line, draw: Random) -> Line:
    """``&('{1}{0}' -f 'pression','Invoke-Ex')``."""

    def write(text: str) -> str:
        pieces = _split(text, draw)
        order = draw.sample(range(len(pieces)), len(pieces))
        holes = "".join(f"{{{order.index(place)}}}" for place in range(len(pieces)))
        return f"'{holes}' -f " + ",".join(f"'{pieces[place]}'" for place in order)

    return _literals(line, write)


def characters(line: Line, draw: Random) -> Line:
    """``&([char]73+[char]69+'X')``."""

    def write(text: str) -> str:
        return "+".join(f"[char]{ord(letter)}" if draw.random() < 0.7 else f"'{letter}'" for letter in text)

    return _literals(line, write)


def encoded(line: Line, draw: Random) -> Line:
    """``powershell -enc <base64 of UTF-16>``, for a script that is given on the command line."""
    head = re.sub(r'(?i)-c(?:ommand)?\s+"?$', "", line.head)
    if head == line.head:
        return line
    script = line.body.removesuffix('"')
    option = draw.choice(("-enc", "-e", "-EncodedCommand", "-ec"))
    return Line(line.shell, f"{head}{option} ", base64.b64encode(script.encode("utf-16-le")).decode())


def compressed(line: Line, draw: Random) -> Line:
    """The script as base64 of gzip, unpacked and run by the usual one-liner."""
    del draw
    quote = '"' if line.head.endswith('"') else ""
    script = line.body.removesuffix(quote) if quote else line.body
    data = base64.b64encode(gzip.compress(script.encode(), mtime=0)).decode()
    return line.with_body(
        "IEX (New-Object IO.StreamReader((New-Object IO.Compression.GzipStream([IO.MemoryStream]"
        f"[Convert]::FromBase64String('{data}'),[IO.Compression.CompressionMode]::Decompress)))).ReadToEnd(){quote}"
    )


def piped(line: Line, draw: Random) -> Line:
    """``echo <base64> | base64 -d | sh``."""
    shell = draw.choice(("sh", "bash"))
    return line.with_body(f"echo {base64.b64encode(line.body.encode()).decode()} | base64 -d | {shell}")


_SCRIPT: frozenset[Shell] = frozenset({"powershell"})

MUTATIONS = (
    Mutation("concatenation", "strings", _SCRIPT, concatenated),
    Mutation("format-operator", "strings", _SCRIPT, formatted),
    Mutation("characters", "strings", _SCRIPT, characters),
    Mutation("encoded-command", "encoding", _SCRIPT, encoded),
    Mutation("gzip", "encoding", _SCRIPT, compressed),
    Mutation("base64-pipe", "encoding", frozenset({"sh"}), piped),
)
