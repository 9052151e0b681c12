"""Lines made longer by what does nothing, and lines that a poorer log cut short."""

from __future__ import annotations

from random import Random

from connector.learn.evasion.line import WINDOWS, Line, Mutation, Shell

_WORDS = [
    "quarterly",
    "report",
    "update",
    "service",
    "version",
    "install",
    "package",
    "check",
    "status",
    "configuration",
    "monthly",
    "backup",
    "archive",
    "index",
    "printer",
    "driver",
    "schedule",
    "maintenance",
    "window",
    "server",
    "client",
    "office",
    "document",
    "default",
    "setting",
    "language",
    "calendar",
]
KEPT = 0.75
"""The share of a line that a log which cuts lines is taken to keep."""


def _prose(draw: Random, least: int = 8, most: int = 30) -> str:
    return " ".join(draw.choices(_WORDS, k=draw.randint(least, most)))


def comment_after(line: Line, draw: Random) -> Line:
    """A remark behind the command."""
    quote = '"' if line.head.endswith('"') and line.body.endswith('"') else ""
    body = line.body.removesuffix(quote) if quote else line.body
    mark = " & rem " if line.shell == "cmd" else "\n# " if "\n" in body or not line.head else " # "
    return line.with_body(f"{body}{mark}{_prose(draw)}{quote}")


def comment_before(line: Line, draw: Random) -> Line:
    """Words that do nothing in front of the command."""
    if line.shell == "cmd":
        return line.with_body(f"echo {_prose(draw)} >nul & {line.body}")
    if line.shell == "powershell":
        return line.with_body(f"<# {_prose(draw)} #> {line.body}")
    return line.with_body(f": {_prose(draw)}; {line.body}")


def cut(line: Line, draw: Random) -> Line:
    """The first three quarters, as a log with a limit keeps them; a short line is whole."""
    del draw
    return line if len(line.body) < 60 else line.with_body(line.body[: int(len(line.body) * KEPT)])


_SHELLS: frozenset[Shell] = frozenset({"cmd", "powershell", "sh"})

MUTATIONS = (
    Mutation("comment-after", "padding", _SHELLS, comment_after),
    Mutation("comment-before", "padding", _SHELLS, comment_before),
    Mutation("cut-line", "truncation", WINDOWS | {"sh"}, cut),
)
