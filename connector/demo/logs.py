"""The event logs: provider, channel, and the header that Windows gives each kind of record."""

from __future__ import annotations

from connector.types import Noun


class Log(Noun, frozen=True):
    """A provider and the channel that it writes to."""

    provider: str
    guid: str
    channel: str


class Header(Noun, frozen=True):
    """The fixed part of one kind of record."""

    title: str
    task: int
    version: int = 0
    level: int = 4
    opcode: int = 0
    keywords: str = "0x8000000000000000"
    task_name: str = ""


LOGS = {
    "sysmon": Log(
        provider="Microsoft-Windows-Sysmon",
        guid="{5770385F-C22A-43E0-BF4C-06F5698FFBD9}",
        channel="Microsoft-Windows-Sysmon/Operational",
    ),
    "security": Log(
        provider="Microsoft-Windows-Security-Auditing",
        guid="{54849625-5478-4994-A5BA-3E3B0328C30D}",
        channel="Security",
    ),
    "powershell": Log(
        provider="Microsoft-Windows-PowerShell",
        guid="{A0C1853B-5C40-4B15-8766-3CF1C58F985A}",
        channel="Microsoft-Windows-PowerShell/Operational",
    ),
    "system": Log(provider="Service Control Manager", guid="{555908D1-A6D7-4695-8E1E-26931D2012F4}", channel="System"),
    "eventlog": Log(
        provider="Microsoft-Windows-Eventlog", guid="{FC65DDD8-D6EF-4962-83D5-6E5CFE9CE148}", channel="Security"
    ),
}

_SUCCESS = "0x8020000000000000"


def _sysmon(code: int, title: str, rule: str, version: int) -> Header:
    return Header(title=title, task=code, version=version, task_name=f"{title} (rule: {rule})")


def _audit(title: str, task: int, task_name: str, version: int = 0) -> Header:
    return Header(title=title, task=task, version=version, level=0, keywords=_SUCCESS, task_name=task_name)


HEADERS = {
    ("sysmon", 1): _sysmon(1, "Process Create", "ProcessCreate", 5),
    ("sysmon", 3): _sysmon(3, "Network connection detected", "NetworkConnect", 5),
    ("sysmon", 5): _sysmon(5, "Process terminated", "ProcessTerminate", 3),
    ("sysmon", 7): _sysmon(7, "Image loaded", "ImageLoad", 3),
    ("sysmon", 10): _sysmon(10, "Process accessed", "ProcessAccess", 3),
    ("sysmon", 11): _sysmon(11, "File created", "FileCreate", 2),
    ("sysmon", 13): _sysmon(13, "Registry value set", "RegistryEvent", 2),
    ("sysmon", 22): _sysmon(22, "Dns query", "DnsQuery", 5),
    ("security", 4624): _audit("An account was successfully logged on.", 12544, "Logon", 2),
    ("security", 4672): _audit("Special privileges assigned to new logon.", 12548, "Special Logon"),
    ("security", 4688): _audit("A new process has been created.", 13312, "Process Creation", 2),
    ("security", 4697): _audit("A service was installed in the system.", 12289, "Security System Extension"),
    ("security", 4698): _audit("A scheduled task was created.", 12804, "Other Object Access Events"),
    ("security", 4738): _audit("A user account was changed.", 13824, "User Account Management"),
    ("security", 4732): _audit(
        "A member was added to a security-enabled local group.", 13826, "Security Group Management"
    ),
    ("security", 5140): _audit("A network share object was accessed.", 12808, "File Share", 1),
    ("security", 5145): _audit(
        "A network share object was checked to see whether client can be granted desired access.",
        12811,
        "Detailed File Share",
    ),
    ("powershell", 4103): Header(
        title="CommandInvocation", task=106, version=1, opcode=20, keywords="0x0", task_name="Executing Pipeline"
    ),
    ("powershell", 4104): Header(
        title="Creating Scriptblock text (1 of 1):",
        task=2,
        version=1,
        level=5,
        opcode=15,
        keywords="0x0",
        task_name="Execute a Remote Command",
    ),
    ("system", 7036): Header(title="A service entered a state.", task=0, keywords="0x8080000000000000"),
    ("system", 7045): Header(title="A service was installed in the system.", task=0, keywords="0x8080000000000000"),
    ("eventlog", 1102): Header(
        title="The audit log was cleared.", task=104, keywords="0x4020000000000000", task_name="Log clear"
    ),
}
