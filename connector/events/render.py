"""``render``: a canonical form as the text that the text member reads.

Short, and the telling part first: the kind in words, the program, its command line, where it came from, then the rest.
A function of the canonical form alone, so equal fingerprints have equal texts. Encoded payloads are decoded, and command
lines and scripts are shown without the quoting that hides them (``plain``).
"""

from __future__ import annotations

import re
from typing import Final

from connector.events.canonical import TABLE
from connector.events.payload import reveal
from connector.events.plain import plain
from connector.types import Pairs

MAX_TEXT: Final = 1200
"""Characters; far more than the 128 word pieces that the model reads."""

_PROGRAMS: Final = frozenset(
    {"process.executable", "process.parent.executable", "target.process", "dll.path", "thread.start_module"}
)
_COMMANDS: Final = frozenset(
    {
        *("process.command_line", "process.parent.command_line", "powershell.host"),
        *("powershell.context_host", "powershell.pipeline_host"),
    }
)
_ORIGINAL_NAMES: Final = {
    "process.pe.original_file_name": "process.executable",
    "dll.original_file_name": "dll.path",
}
_CMDLETS: Final = frozenset({"powershell.payload", "powershell.pipeline_details"})
_LOGS: Final = frozenset({"winlog.channel", "winlog.provider"})
_ENCODED: Final = frozenset(
    {
        *_COMMANDS,
        *("service.name", "service.file", "registry.data", "registry.new_value", "task.command", "task.arguments"),
        *("wmi.query", "wmi.destination", "message", "process.args", "url.query", "http.body", "data.value"),
        *("defender.command_line", "defender.parent_command_line", "task.action", "bits.url"),
        *("macos.command_line", "audit.command", "sudo.command", "k8s.command"),
        *(name for name in TABLE.fields if name.startswith(("powershell.", "wmi_activity."))),
    }
)

_UNIX: Final = frozenset({"macos.command_line", "audit.command", "sudo.command", "k8s.command"})
_CODE: Final = frozenset(
    {
        *(name for name in _ENCODED if not name.startswith("wmi_activity.")),
        *("wmi_activity.command", "wmi_activity.script", "wmi_activity.query"),
    }
) - {"message", "url.query", "http.body", "data.value"}
"""What a shell or an engine runs. Elsewhere quotes and carets belong to whatever format it is."""

_NAMED: Final = "named."
"""Before the name of a field that is read as its namesake, and masked by `named`."""

_PLACEHOLDER = re.compile(r"<([a-z][a-z-]*)>")
_BINDING = re.compile(r'parameterbinding\([^)"]*\): name="([^"]*)"; value=')
_INVOCATION = re.compile(r'commandinvocation\(([^)"]*)\): "[^"]*"')
_LEADING_PROGRAM = re.compile(
    r'"(?:\\\?\?\\)?[a-z%<][^"\\]*\\(?:[^"\\]+\\)*([^"\\]+)"|(?:\\\?\?\\)?[a-z]:\\(?:[^"\\ ]+\\)*([^"\\ ]+)'
)
_FOLDERS: Final = (
    ("c:\\windows\\system32", ""),
    ("c:\\windows\\syswow64", "syswow64"),
    ("c:\\windows", "windows"),
    ("c:\\program files (x86)", "program files"),
    ("c:\\program files", "program files"),
)
_ALIASES: Final = (("<volume>", "c:"), ("%systemroot%", "c:\\windows"), ("\\systemroot", "c:\\windows"), ("\\??\\", ""))


def program(path: str) -> str:
    """A program's file name, then the folder that it runs from unless that is the ordinary one."""
    for alias, meaning in _ALIASES:
        if path.startswith(alias):
            path = meaning + path[len(alias) :]
    folder, _, name = path.rpartition("\\")
    for prefix, words in _FOLDERS:
        if folder == prefix or folder.startswith(prefix + "\\"):
            rest = folder[len(prefix) + 1 :]
            if words == "program files":
                rest = rest.partition("\\")[0]
            folder = f"{words} {rest}".strip().replace("\\", " ")
            break
    return f"{name} in {folder}" if folder else name


def command(line: str) -> str:
    """A command line with its leading program path cut to the file name."""
    match = _LEADING_PROGRAM.match(line)
    return (match[1] or match[2]) + line[match.end() :] if match else line


def cmdlets(payload: str) -> str:
    """PowerShell's list of invocations and bound parameters, as one would type them."""
    return _BINDING.sub(r"-\1 ", _INVOCATION.sub(r"\1", payload))


def _stem(path: str) -> str:
    return path.rpartition("\\")[2].partition(".")[0]


def _value(field: str, value: str, *, unix: bool) -> str:
    if field in _PROGRAMS:
        return program(value)
    if field in _ENCODED:
        value = reveal(plain(value, unix=unix or field in _UNIX) if field in _CODE else value)
    if field in _COMMANDS:
        return command(value)
    if field in _CMDLETS:
        return cmdlets(value)
    if field in _LOGS:
        return value.removeprefix("microsoft-windows-")
    meaning = TABLE.codes.get(field, {}).get(value)
    if meaning:
        return f"{value} {meaning}"
    return TABLE.codes["*"].get(value, value) if value.startswith("%%") else value


def _label(field: str) -> str:
    label = TABLE.labels.get(field)
    return field.rpartition(".")[2].replace("_", " ") if label is None else label


def render(pairs: Pairs) -> str:
    """The model text of a canonical form: ``words | value | label value | …``.

    An original file name is told only where the file goes by another one, arguments only without a command line.
    """
    kind = TABLE.kinds.get(pairs[0][1]) if pairs else None
    parts = [kind.words if kind else "event"]
    values = {field.removeprefix(_NAMED): value for field, value in pairs}
    unix = values.get("process.executable", "").startswith("/")
    for told, value in pairs[1:]:
        field = told.removeprefix(_NAMED)
        if field in _ORIGINAL_NAMES and _stem(value) == _stem(values.get(_ORIGINAL_NAMES[field], "")):
            continue
        if field == "process.args" and "process.command_line" in values:
            continue
        label = _label(told)
        shown = _value(field, value, unix=unix)
        parts.append(f"{label} {shown}" if label else shown)
    return _PLACEHOLDER.sub(r"\1", " | ".join(parts))[:MAX_TEXT]
