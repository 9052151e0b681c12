"""PowerShell's event data in ECS. Classic events (400, 600, 800) carry three unnamed texts; only some doors keep them.

Source: https://www.elastic.co/docs/reference/beats/winlogbeat/winlogbeat-module-powershell
"""

from __future__ import annotations

from typing import Any, Final

from connector.events.canonical import part_of
from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

Node = dict[str, Any]

_SCRIPT: Final[Rules] = (
    rule("ScriptBlockText", "powershell.file.script_block_text"),
    rule("ScriptBlockId", "powershell.file.script_block_id"),
    rule("Path", "file.path"),
)

_KINDS: Final[dict[str, Meta]] = {
    "powershell-400": Meta("engine-lifecycle", "process", "start", ()),
    "powershell-600": Meta("provider-lifecycle", "process", "info", ()),
    "powershell-800": Meta("pipeline-execution", "process", "info", ()),
    "powershell-4103": Meta("command-execution", "process", "info", ()),
    "powershell-4104": Meta("script-block", "process", "info", _SCRIPT),
}

FAMILY: Final = Family("powershell", kinds=_KINDS)

_HOST: Final = {
    "powershell-400": ("param3", "HostApplication="),
    "powershell-600": ("param3", "HostApplication="),
    "powershell-800": ("param2", "HostApplication="),
    "powershell-4103": ("ContextInfo", "Host Application = "),
}
_USER: Final = {"powershell-800": ("param2", "UserId="), "powershell-4103": ("ContextInfo", "User = ")}


def restore_params(code: str, message: str, data: Node) -> None:
    """Takes the unnamed texts of a classic event out of its English message, for doors that carry nothing else."""
    text = message.replace("\r\n", "\n")
    head, _, details = text.partition("\n\nDetails: \n")
    if code == "800" and head.startswith("Pipeline execution details for command line: "):
        line, _, context = head[45:].partition("\n\nContext Information: \n")
        data.update(param1=line.removesuffix(" ").removesuffix("."), param2=context, param3=details)
    elif code == "600" and head.startswith('Provider "'):
        name, _, state = head[10:].partition('" is ')
        data.update(param1=name, param2=state.rstrip(" ."), param3=details)
    elif code in {"400", "403"} and head.startswith("Engine state is changed from "):
        old, _, new = head[29:].partition(" to ")
        data.update(param1=new.rstrip(" ."), param2=old, param3=details)


def add_context(document: Node, data: Node, kind: str) -> None:
    """The host application as ``process.command_line``, and who ran it, out of the context text."""
    command = _part(data, _HOST.get(kind))
    process = document.setdefault("process", {}) if command else None
    if type(process) is dict:
        process.setdefault("command_line", command)
    account = _part(data, _USER.get(kind))
    user = document.setdefault("user", {}) if account else None
    if account and type(user) is dict and "name" not in user:
        domain, _, user["name"] = account.rpartition("\\")
        if domain:
            user.setdefault("domain", domain)


def _part(data: Node, where: tuple[str, str] | None) -> str | None:
    return part_of(data.get(where[0]), where[1]) if where else None
