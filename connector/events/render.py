"""``render``: a canonical form as the text that the text member reads.

Short, and the telling part first: the kind in words, the program, its command line, where it came from, then the rest.
A function of the canonical form alone, so equal fingerprints have equal texts. Encoded payloads are decoded.
"""

from __future__ import annotations

import re
from typing import Final

from connector.events.canonical import TABLE
from connector.events.payload import reveal
from connector.types import Pairs

MAX_TEXT: Final = 1200
"""Characters; far more than the 128 word pieces that the model reads."""

_PROGRAMS: Final = frozenset({"process.executable", "process.parent.executable", "target.process"})
_COMMANDS: Final = frozenset({"process.command_line", "process.parent.command_line"})
_REVEALED: Final = frozenset(
    {"process.command_line", "process.parent.command_line", "service.file", "registry.data", "registry.new_value",
     "task.command", "task.arguments", "wmi.query", "wmi.destination", "message", "process.args", "url.query",
     "http.body", "data.value"}
    | {name for kind in TABLE.kinds.values() for field in kind.fields if (name := field.name).startswith("powershell.")}
)  # fmt: skip

_PLACEHOLDER = re.compile(r"<([a-z][a-z-]*)>")
_FOLDERS: Final = (
    ("c:\\windows\\system32", ""),
    ("%systemroot%\\system32", ""),
    ("c:\\windows\\syswow64", "syswow64"),
    ("c:\\windows", "windows"),
    ("c:\\program files (x86)", "program files"),
    ("c:\\program files", "program files"),
)
_LEADING_PROGRAM = re.compile(
    r'^"?(?:\\\?\?\\)?(?:[a-z]:|%[a-z]+%)\\(?:[^"\\ ]+\\)*([^"\\ ]+)"?|^"[a-z]:\\(?:[^"\\]+\\)*([^"\\]+)"'
)


def program(path: str) -> str:
    """A program's file name, then the folder that it runs from unless that is the ordinary one."""
    folder, _, name = path.rpartition("\\")
    for prefix, words in _FOLDERS:
        if folder == prefix or folder.startswith(prefix + "\\"):
            rest = (
                folder[len(prefix) + 1 :] if words != "program files" else folder[len(prefix) + 1 :].partition("\\")[0]
            )
            where = f"{words} {rest}".strip().replace("\\", " ")
            return f"{name} in {where}" if where else name
    return f"{name} in {folder}" if folder else name


def command(line: str) -> str:
    """A command line with its leading program path cut to the file name."""
    return _LEADING_PROGRAM.sub(lambda match: match[1] or match[2], line, count=1)


def _value(field: str, value: str) -> str:
    if field in _PROGRAMS:
        return program(value)
    if field in _REVEALED:
        value = reveal(value)
    return command(value) if field in _COMMANDS else value


def render(pairs: Pairs) -> str:
    """The model text of a canonical form: ``words | value | label value | …``."""
    kind = TABLE.kinds.get(pairs[0][1]) if pairs else None
    parts = [kind.words if kind else "event"]
    for field, value in pairs[1:]:
        label = TABLE.labels.get(field)
        if label is None:
            label = field.rpartition(".")[2].replace("_", " ")
        parts.append(f"{label} {_value(field, value)}" if label else _value(field, value))
    return _PLACEHOLDER.sub(r"\1", " | ".join(parts))[:MAX_TEXT]
