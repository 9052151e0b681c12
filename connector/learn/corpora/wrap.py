"""Commands become the raw events that a Windows or Linux host would have logged for them.

Everything but the command line itself is drawn from one distribution whatever the label, from a generator seeded by
the sample's own place, so that neither the form nor the fields present betray the class.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from itertools import islice
from random import Random
from typing import NamedTuple

import msgspec

from connector.learn.corpora import cloud_events
from connector.learn.corpora.programs import BUILTINS, KNOWN, Program
from connector.types import Document

_FIRST = re.compile(r"""\s*(?:&\s*)?(?:"([^"]+)"|'([^']+)'|([^\s"'|;&<>()]+))""")
_USERS = ("anna.berg", "svc_deploy", "mlopez", "admin", "jdoe", "k.tanaka", "build", "operator", "s.muller", "pgustavo")
_DOMAINS = ("CORP", "CONTOSO", "WORKGROUP", "OFFICE", "LAB")
_FOLDERS = (
    "C:\\Windows\\System32\\",
    "C:\\Program Files\\{0}\\",
    "C:\\Program Files (x86)\\{0}\\",
    "C:\\Users\\{1}\\AppData\\Local\\{0}\\",
    "C:\\Users\\{1}\\Downloads\\",
    "C:\\Tools\\",
    "C:\\ProgramData\\{0}\\",
    "C:\\Temp\\",
)
_CURRENT = (
    "C:\\Windows\\system32\\",
    "C:\\Users\\{1}\\",
    "C:\\",
    "C:\\Users\\{1}\\Desktop\\",
    "C:\\Temp\\",
    "C:\\Windows\\",
)
_PARENTS = (
    ("cmd", '"C:\\Windows\\system32\\cmd.exe" ', 8),
    ("cmd", "C:\\Windows\\system32\\cmd.exe", 6),
    ("powershell", '"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe" ', 8),
    ("powershell", "powershell.exe", 4),
    ("explorer", "C:\\Windows\\Explorer.EXE", 6),
    ("svchost", "C:\\Windows\\system32\\svchost.exe -k netsvcs -p -s Schedule", 3),
    ("services", "C:\\Windows\\system32\\services.exe", 2),
    ("wmiprvse", "C:\\Windows\\system32\\wbem\\wmiprvse.exe -secured -Embedding", 2),
    ("pwsh", '"C:\\Program Files\\PowerShell\\7\\pwsh.exe" -WorkingDirectory ~', 2),
    ("msiexec", "C:\\Windows\\system32\\msiexec.exe /V", 1),
)
_PARENT_IMAGES = {
    "svchost": "C:\\Windows\\System32\\svchost.exe",
    "services": "C:\\Windows\\System32\\services.exe",
    "wmiprvse": "C:\\Windows\\System32\\wbem\\WmiPrvSE.exe",
}
_LINUX_PARENTS = (
    ("bash", "-bash"),
    ("sh", "sh -c"),
    ("cron", "/usr/sbin/CRON -f"),
    ("sshd", "sshd: user@pts/0"),
    ("systemd", "/sbin/init"),
)
_POWERSHELL_FORMS = (
    "powershell.exe {0}",
    "powershell.exe -NoProfile -Command {0}",
    'powershell.exe -ExecutionPolicy Bypass -Command "{0}"',
    '"C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe" -Command "& {{{0}}}"',
)
_MAX_LINE = 2_000
_SHELL_WORDS = re.compile(r"[|;&<>$`*\n]")
_QUOTABLE = re.compile(r'[\s"\x00-\x20\x7f-\uffff]')
AUDITD_SHARE = 0.4
"""Of the Unix commands, as records of the Linux audit system; the rest as an endpoint agent's documents."""
CALLS = 2
"""CloudTrail events of one script, at most."""


class Command(msgspec.Struct, frozen=True):
    """A command with the shell that it was written for: ``cmd``, ``powershell`` or ``sh``."""

    text: str
    shell: str


def seeded(*parts: str) -> Random:
    """A generator that depends on these parts alone."""
    return Random(int.from_bytes(hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).digest()[:8], "big"))  # noqa: S311


def program_of(line: str) -> str:
    """The first word of a command line, without folder and extension, lower case; empty where there is none."""
    match = _FIRST.match(line)
    if match is None:
        return ""
    word = next(part for part in match.groups() if part)
    name = re.split(r"[\\/]", word)[-1].lower()
    return name.removesuffix(".exe").removesuffix(".com")


def events(command: Command, draw: Random) -> list[Document]:
    """The events of one command: a process start for the line, a PowerShell script's block, what CloudTrail logs of it."""
    text = command.text.strip()
    if not text:
        return []
    calls = [cloud_events.cloudtrail(call, draw) for call in islice(cloud_events.calls(text), CALLS)]
    return [*_host_events(text, command.shell, draw), *calls]


def _host_events(text: str, shell: str, draw: Random) -> list[Document]:
    if shell == "sh":
        line = " ; ".join(text.splitlines())[:_MAX_LINE]
        return [auditd(line, draw) if draw.random() < AUDITD_SHARE else linux_process(line, draw)]
    if shell == "powershell":
        line = "; ".join(part.strip() for part in text.splitlines() if part.strip())
        block = script_block(text, draw)
        if len(line) > _MAX_LINE or draw.random() < 0.5:
            return [block]
        return [block, process(draw.choice(_POWERSHELL_FORMS).format(line), draw)]
    return [process(_cmd_line(text, draw), draw)]


def _cmd_line(text: str, draw: Random) -> str:
    line = " & ".join(part.strip() for part in text.splitlines() if part.strip())[:_MAX_LINE]
    shell_needed = program_of(line) in BUILTINS or any(mark in line for mark in ("&", "|", ">", "%"))
    if shell_needed or draw.random() < 0.15:
        return draw.choice(('cmd.exe /c "{0}"', "C:\\Windows\\system32\\cmd.exe /c {0}", '"cmd.exe" /c {0}')).format(
            line
        )
    return line


def process(line: str, draw: Random) -> Document:
    """A process start as Sysmon 1 or, as often as hosts without Sysmon have it, Security 4688."""
    program = _program(line, draw)
    parent, parent_line, _ = draw.choices(_PARENTS, weights=[weight for *_, weight in _PARENTS])[0]
    parent_image = _PARENT_IMAGES.get(parent) or KNOWN[parent].image
    account = _account(draw)
    if draw.random() < 0.35:
        return _security_4688(line, program.image, parent_image, account, draw)
    return _sysmon_1(line, program, (parent_image, parent_line), account, draw)


def _program(line: str, draw: Random) -> Program:
    name = program_of(line) or "cmd"
    if name in KNOWN:
        return KNOWN[name]
    match = _FIRST.match(line)
    word = next((part for part in match.groups() if part), name) if match else name
    user = draw.choice(_USERS)
    folder = draw.choice(_FOLDERS).format(name.title(), user)
    image = word if re.match(r"[A-Za-z]:\\", word) else f"{folder}{name}.exe"
    original = f"{name}.exe" if draw.random() < 0.5 else "-"
    return Program(image, original, "-", "-", "-")


class _Account(NamedTuple):
    """Who started a process, and at which integrity."""

    domain: str
    name: str
    integrity: str


def _account(draw: Random) -> _Account:
    roll = draw.random()
    if roll < 0.2:
        return _Account("NT AUTHORITY", "SYSTEM", "System")
    return _Account(draw.choice(_DOMAINS), draw.choice(_USERS), "High" if roll < 0.6 else "Medium")


def _sysmon_1(line: str, program: Program, parent: tuple[str, str], account: _Account, draw: Random) -> Document:
    user = f"{account.domain}\\{account.name}"
    data = {
        "RuleName": "-",
        "UtcTime": "2024-03-05 09:12:44.120",
        "ProcessGuid": _guid(draw),
        "ProcessId": str(draw.randrange(400, 12_000, 4)),
        "Image": program.image,
        "FileVersion": "10.0.19041.1 (WinBuild.160101.0800)" if program.company != "-" else "-",
        "Description": program.description,
        "Product": program.product,
        "Company": program.company,
        "OriginalFileName": program.original_name,
        "CommandLine": line,
        "CurrentDirectory": draw.choice(_CURRENT).format("", account.name),
        "User": user,
        "LogonGuid": _guid(draw),
        "LogonId": hex(draw.randrange(0x10000, 0xFFFFFF)),
        "TerminalSessionId": "0" if account.integrity == "System" else "1",
        "IntegrityLevel": account.integrity,
        "Hashes": f"SHA1={draw.randbytes(20).hex().upper()},MD5={draw.randbytes(16).hex().upper()}",
        "ParentProcessGuid": _guid(draw),
        "ParentProcessId": str(draw.randrange(400, 12_000, 4)),
        "ParentImage": parent[0],
        "ParentCommandLine": parent[1],
        "ParentUser": user,
    }
    if draw.random() < 0.3:
        for newer in ("OriginalFileName", "ParentUser", "RuleName"):
            del data[newer]
    return windows_event("Microsoft-Windows-Sysmon", "Microsoft-Windows-Sysmon/Operational", 1, data, draw)


def _security_4688(line: str, image: str, parent: str, account: _Account, draw: Random) -> Document:
    system = account.integrity == "System"
    label = {"Medium": "S-1-16-8192", "High": "S-1-16-12288", "System": "S-1-16-16384"}[account.integrity]
    sid = (
        "S-1-5-18"
        if system
        else f"S-1-5-21-{draw.randrange(10**9)}-{draw.randrange(10**9)}-{draw.randrange(10**9)}-1104"
    )
    data = {
        "SubjectUserSid": sid,
        "SubjectUserName": "WS01$" if system else account.name,
        "SubjectDomainName": account.domain,
        "SubjectLogonId": hex(draw.randrange(0x10000, 0xFFFFFF)),
        "NewProcessId": hex(draw.randrange(400, 12_000, 4)),
        "NewProcessName": image,
        "TokenElevationType": "%%1938" if account.integrity == "Medium" else "%%1936",
        "ProcessId": hex(draw.randrange(400, 12_000, 4)),
        "CommandLine": line,
        "TargetUserSid": "S-1-0-0",
        "TargetUserName": "-",
        "TargetDomainName": "-",
        "TargetLogonId": "0x0",
        "ParentProcessName": parent,
        "MandatoryLabel": label,
    }
    return windows_event("Microsoft-Windows-Security-Auditing", "Security", 4688, data, draw)


def script_block(text: str, draw: Random) -> Document:
    """A PowerShell 4104 event: the script block as the engine compiled it."""
    data = {
        "MessageNumber": "1",
        "MessageTotal": "1",
        "ScriptBlockText": text[: 4 * _MAX_LINE],
        "ScriptBlockId": _guid(draw).strip("{}").lower(),
        "Path": "" if draw.random() < 0.6 else f"C:\\Users\\{draw.choice(_USERS)}\\Documents\\script.ps1",
    }
    return windows_event("Microsoft-Windows-PowerShell", "Microsoft-Windows-PowerShell/Operational", 4104, data, draw)


def linux_process(line: str, draw: Random) -> Document:
    """A process start on Linux or macOS as an ECS endpoint document."""
    name = program_of(line) or "sh"
    parent, parent_line = draw.choice(_LINUX_PARENTS)
    user = draw.choice(("root", "ubuntu", "deploy", *_USERS[:3]))
    return {
        "@timestamp": "2024-03-05T09:12:44.120Z",
        "event": {"kind": "event", "category": ["process"], "type": ["start"], "action": "exec"},
        "host": {"name": f"host-{draw.randrange(90)}", "os": {"type": "linux"}},
        "process": {
            "pid": draw.randrange(300, 60_000),
            "name": name,
            "executable": f"{draw.choice(('/usr/bin/', '/bin/', '/usr/local/bin/'))}{name}",
            "command_line": line,
            "working_directory": draw.choice(("/root", "/home/ubuntu", "/tmp", "/", "/opt")),  # noqa: S108
            "parent": {"name": parent, "executable": f"/usr/bin/{parent}", "command_line": parent_line},
        },
        "user": {"name": user},
    }


def auditd(line: str, draw: Random) -> Document:
    """A process start as the Linux audit system's SYSCALL and EXECVE records."""
    try:
        words = [] if _SHELL_WORDS.search(line) else shlex.split(line)
    except ValueError:
        words = []
    arguments = words or ["sh", "-c", line]
    name = program_of(arguments[0]) or "sh"
    root = draw.random() < 0.5
    user = "0" if root else "1000"
    serial = f"audit(1709629964.120:{draw.randrange(1_000, 99_999)})"
    call = (
        f"type=SYSCALL msg={serial}: arch=c000003e syscall=59 success=yes exit=0 a0=55d0 a1=55d1 a2=55d2 a3=8 items=2 "
        f"ppid={draw.randrange(300, 60_000)} pid={draw.randrange(300, 60_000)} auid={user} uid={user} gid={user} "
        f"euid={user} tty={draw.choice(('pts0', '(none)'))} ses={draw.randrange(1, 900)} "
        f'comm="{name[:15]}" exe="{draw.choice(("/usr/bin/", "/bin/", "/usr/local/bin/"))}{name}" key="exec"'
    )
    said = " ".join(f"a{place}={_audit_word(word)}" for place, word in enumerate(arguments))
    return {"message": f"{call}\ntype=EXECVE msg={serial}: argc={len(arguments)} {said}"}


def _audit_word(word: str) -> str:
    """As the kernel writes it: quoted, or in hex where it holds what would break the quotes."""
    return word.encode("utf-8", "replace").hex().upper() if _QUOTABLE.search(word) or not word else f'"{word}"'


def windows_event(provider: str, channel: str, code: int, data: dict[str, str], draw: Random) -> Document:
    """A Windows event in the form that EVTX readers give."""
    return {
        "Event": {
            "System": {
                "Provider": {"#attributes": {"Name": provider}},
                "EventID": code,
                "Version": 1,
                "Level": 4,
                "TimeCreated": {"#attributes": {"SystemTime": "2024-03-05T09:12:44.120000Z"}},
                "EventRecordID": draw.randrange(1_000, 9_999_999),
                "Channel": channel,
                "Computer": f"WS{draw.randrange(10, 99)}.{draw.choice(_DOMAINS).lower()}.local",
            },
            "EventData": data,
        }
    }


def _guid(draw: Random) -> str:
    raw = draw.randbytes(16).hex().upper()
    return f"{{{raw[:8]}-{raw[8:12]}-{raw[12:16]}-{raw[16:20]}-{raw[20:]}}}"
