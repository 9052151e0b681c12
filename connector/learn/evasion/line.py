"""A command as a log shows it: which shell read it, what comes before the part that the shell read, and that part."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from typing import Literal, NamedTuple, TypeAlias

from connector.learn.corpora.programs import BUILTINS
from connector.learn.corpora.wrap import program_of

Shell: TypeAlias = Literal["cmd", "powershell", "sh", "native"]
"""What reads the body; ``native``: a Windows program started without a shell, which splits its own arguments."""


class Line(NamedTuple):
    """``head`` is the shell's own call (``cmd.exe /c``, ``powershell.exe -nop -c``; empty for a script); ``body`` is what it runs."""

    shell: Shell
    head: str
    body: str

    @property
    def text(self) -> str:
        """The whole as one text."""
        return self.head + self.body

    def with_body(self, body: str) -> Line:
        """The same call of another body."""
        return Line(self.shell, self.head, body)


class Mutation(NamedTuple):
    """One way to write a command otherwise. ``apply`` gives the line back unchanged where it cannot be used."""

    name: str
    family: str
    shells: frozenset[Shell]
    apply: Callable[[Line, Random], Line]


WINDOWS: frozenset[Shell] = frozenset({"cmd", "powershell", "native"})
"""The shells of Windows, and programs that are started without one."""

_CMD_HEAD = re.compile(
    r'(?i)\s*"?(?:[a-z]:\\[^"]*\\|%comspec%)?(?:cmd(?:\.exe)?)?"?\s+(?:/[a-bd-jl-z][\w:]*\s+)*/[ck]\s*"?'
)
_POWERSHELL_HEAD = re.compile(
    r'(?i)\s*"?(?:[a-z]:\\[^"]*\\)?(?:powershell|pwsh)(?:\.exe)?"?(?:\s+[-/][a-z]+(?:\s+[\w.]+)?)*?\s+[-/]c(?:ommand)?\s+"?'
)
_RESERVED = frozenset(
    [
        "if",
        "for",
        "in",
        "do",
        "done",
        "else",
        "elif",
        "fi",
        "then",
        "case",
        "esac",
        "while",
        "until",
        "function",
        "select",
        "time",
        "not",
        "exist",
        "defined",
        "rem",
        "set",
        "param",
        "begin",
        "process",
        "end",
        "foreach",
        "switch",
        "try",
        "catch",
        "finally",
        "return",
        "throw",
        "class",
        "using",
        "export",
        "local",
        "eval",
        "exec",
        "source",
    ]
)
_WORD = re.compile(r"[A-Za-z]{3,}")


def windows_line(text: str) -> Line:
    """A Windows process' command line, split into the shell's call and what it runs."""
    for shell, head in (("cmd", _CMD_HEAD), ("powershell", _POWERSHELL_HEAD)):
        if (match := head.match(text)) is not None and program_of(text) in {"cmd", "powershell", "pwsh", "%comspec%"}:
            return Line(shell, match[0], text[match.end() :])  # type: ignore[arg-type]
    return Line("native", "", text)


def words(line: Line) -> Iterator[re.Match[str]]:
    """The words of a body that a shell would let be written otherwise: unquoted, none of the language's own.

    Variables, addresses, long tokens (they may be data), assignments and options of one letter stay as they are.
    """
    body = line.body
    for start, stop in _unquoted(line):
        for match in _WORD.finditer(body, start, stop):
            if match[0].lower() not in _RESERVED and not _bound(body, match) and not _builtin(line, match):
                yield match


def _builtin(line: Line, match: re.Match[str]) -> bool:
    return line.shell != "native" and match[0].lower() in BUILTINS


_BEFORE = re.compile(r"[$%!{@~=\[\w]\Z")
_AFTER = re.compile(r"[A-Za-z0-9_]*[=(\[{%!:]|[A-Za-z0-9_+/]{24}")


def _bound(body: str, match: re.Match[str]) -> bool:
    """Whether a word belongs to a variable, an assignment, a call, an address or data."""
    return bool(_BEFORE.search(body[max(0, match.start() - 1) : match.start()]) or _AFTER.match(body, match.end()))


_QUOTED = {
    "cmd": re.compile(r'"[^"]*"'),
    "native": re.compile(r'"[^"]*"'),
    "powershell": re.compile(r"\"[^\"]*\"|'[^']*'|@'.*?'@|<#.*?#>|#[^\n]*", re.DOTALL),
    "sh": re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`|<<.*|#[^\n]*", re.DOTALL),
}


def _unquoted(line: Line) -> Iterator[tuple[int, int]]:
    done = 0
    for match in _QUOTED[line.shell].finditer(line.body):
        yield done, match.start()
        done = match.end()
    yield done, len(line.body)


def rewritten(line: Line, draw: Random, write: Callable[[str, Random], str], share: float = 0.6) -> Line:
    """The line with a share of its free words, and at least one, written by ``write``."""
    found = list(words(line))
    if not found:
        return line
    chosen = [match for match in found if draw.random() < share] or [draw.choice(found)]
    parts, done = [], 0
    for match in chosen:
        parts += [line.body[done : match.start()], write(match[0], draw)]
        done = match.end()
    return line.with_body("".join([*parts, line.body[done:]]))
