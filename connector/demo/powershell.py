"""What PowerShell's own log records: script blocks and commands."""

from __future__ import annotations

from datetime import datetime

from connector.demo.machine import Machine
from connector.demo.nouns import Process


def script(machine: Machine, at: datetime, process: Process, text: str, path: str = "") -> None:
    """A script block is compiled (PowerShell 4104)."""
    data = {
        "MessageNumber": "1",
        "MessageTotal": "1",
        "ScriptBlockText": text,
        "ScriptBlockId": machine.dice.guid(),
        "Path": path,
    }
    machine.log(at, "powershell", 4104, data, pid=process.pid, sid=process.user.sid)


def invoke(machine: Machine, at: datetime, process: Process, command: str, payload: str, *, path: str = "") -> None:
    """A command runs (PowerShell 4103)."""
    context = {
        "Severity": "Informational",
        "Host Name": "ConsoleHost",
        "Host Version": "5.1.20348.2849",
        "Host ID": machine.dice.guid(),
        "Host Application": process.command,
        "Engine Version": "5.1.20348.2849",
        "Runspace ID": machine.dice.guid(),
        "Pipeline ID": str(machine.dice.between(1, 60)),
        "Command Name": command,
        "Command Type": "Cmdlet",
        "Script Name": path,
        "Command Path": "",
        "Sequence Number": str(machine.dice.between(15, 200)),
        "User": process.user.account,
        "Connected User": "",
        "Shell ID": "Microsoft.PowerShell",
    }
    info = "".join(f"        {name} = {value}\n" for name, value in context.items())
    data = {"ContextInfo": info, "UserData": "", "Payload": payload}
    machine.log(at, "powershell", 4103, data, pid=process.pid, sid=process.user.sid)
