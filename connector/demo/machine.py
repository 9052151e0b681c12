"""One Windows machine with Sysmon and auditing on: what happens on it becomes log entries."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

from connector.demo.dice import Dice
from connector.demo.nouns import Entry, Process, Program, User

_CALL_TRACE = (
    "C:\\Windows\\SYSTEM32\\ntdll.dll+9d{0}4|C:\\Windows\\System32\\KERNELBASE.dll+2c{1}e|{2}+{3}|"
    "C:\\Windows\\System32\\KERNEL32.DLL+17034|C:\\Windows\\SYSTEM32\\ntdll.dll+526a1"
)
_LABELS = {"Low": "S-1-16-4096", "Medium": "S-1-16-8192", "High": "S-1-16-12288", "System": "S-1-16-16384"}


class Machine:
    """Collects entries. Every method is one thing that happens, logged as Windows and Sysmon log it.

    ``plant`` marks all that follows as the intruder's doing, until it is called with nothing.
    """

    def __init__(self, name: str, *, suffix: str, address: str) -> None:
        self.name = name
        self.fqdn = f"{name}.{suffix}"
        self.address = address
        self.entries: list[Entry] = []
        self.dice = Dice(f"machine/{name}")
        self._prefix = self.dice.hex(8).upper()
        self._sysmon_pid = self.dice.between(700, 990) * 4
        self.lsass_pid = self.dice.between(160, 220) * 4
        self._shows: tuple[str, ...] = ()
        self._step = ""

    def plant(self, step: str = "", *shows: str) -> None:
        """What the intruder does from here on, and the techniques that its events show."""
        self._step = step
        self._shows = shows

    def log(
        self,
        at: datetime,
        log: str,
        code: int,
        data: Mapping[str, str],
        *,
        pid: int,
        sid: str | None = None,
        section: str = "EventData",
    ) -> None:
        """Adds an entry."""
        activity = self.dice.guid().upper() if log == "powershell" else None
        thread = self.dice.between(50, 2900) * 4
        self.entries.append(
            Entry(
                at=at,
                log=log,
                code=code,
                data=dict(data),
                pid=pid,
                thread=thread,
                sid=sid,
                activity=f"{{{activity}}}" if activity else None,
                section=section,
                shows=self._shows,
                step=self._step,
            )
        )

    def running(self, program: Program, user: User, command: str | None = None) -> Process:
        """A process that was there before the logs begin."""
        stamp = self.dice.hex(8).upper()
        return Process(
            program=program,
            command=command or program.path,
            directory="C:\\Windows\\system32\\",
            user=user,
            pid=self.dice.between(150, 3500) * 4,
            guid=f"{{{self._prefix}-{stamp[:4]}-{stamp[4:]}-{self.dice.hex(4).upper()}-000000000900}}",
        )

    def start(
        self,
        at: datetime,
        parent: Process,
        program: Program,
        command: str,
        *,
        user: User | None = None,
        directory: str | None = None,
        audit: bool = True,
    ) -> Process:
        """A process starts: Sysmon 1 and, where process creation is audited, Security 4688."""
        process = Process(
            program=program,
            command=command,
            directory=directory or parent.directory,
            user=user or parent.user,
            pid=self.dice.between(500, 4000) * 4,
            guid=self._process_guid(at),
        )
        self._sysmon(at, 1, self._created(parent, process))
        if audit:
            self._audit_start(at, parent, process)
        return process

    def _created(self, parent: Process, process: Process) -> dict[str, str]:
        program, owner = process.program, process.user
        return {
            "ProcessGuid": process.guid,
            "ProcessId": str(process.pid),
            "Image": program.path,
            **_version(program),
            "CommandLine": process.command,
            "CurrentDirectory": process.directory,
            "User": owner.account,
            "LogonGuid": self.logon_guid(owner),
            "LogonId": owner.logon_id,
            "TerminalSessionId": str(owner.session),
            "IntegrityLevel": owner.integrity,
            "Hashes": hashes(program),
            "ParentProcessGuid": parent.guid,
            "ParentProcessId": str(parent.pid),
            "ParentImage": parent.program.path,
            "ParentCommandLine": parent.command,
        }

    def _audit_start(self, at: datetime, parent: Process, process: Process) -> None:
        creator = parent.user
        other = process.user.logon_id != creator.logon_id
        target = process.user if other else User(name="-", domain="-", sid="S-1-0-0", logon_id="0x0")
        elevated = {"High": "%%1937", "System": "%%1936"}.get(process.user.integrity, "%%1938")
        self.log(
            at,
            "security",
            4688,
            {
                **subject(creator),
                "NewProcessId": hex(process.pid),
                "NewProcessName": process.program.path,
                "TokenElevationType": elevated,
                "ProcessId": hex(parent.pid),
                "CommandLine": process.command,
                "TargetUserSid": target.sid,
                "TargetUserName": target.name,
                "TargetDomainName": target.domain,
                "TargetLogonId": target.logon_id,
                "ParentProcessName": parent.program.path,
                "MandatoryLabel": _LABELS[process.user.integrity],
            },
            pid=4,
        )

    def stop(self, at: datetime, process: Process) -> None:
        """A process ends (Sysmon 5)."""
        self._sysmon(at, 5, self._of(process))

    def load(self, at: datetime, process: Process, library: Program, *, signature: str | None) -> None:
        """A process loads a library (Sysmon 7)."""
        self._sysmon(
            at,
            7,
            {
                **self._of(process),
                "ImageLoaded": library.path,
                **_version(library),
                "Hashes": hashes(library),
                "Signed": "true" if signature else "false",
                "Signature": signature or "-",
                "SignatureStatus": "Valid" if signature else "Unavailable",
            },
        )

    def access(self, at: datetime, source: Process, target: Process, mask: str, through: str) -> None:
        """A process opens another (Sysmon 10); ``through`` is the library that the call came from."""
        trace = _CALL_TRACE.format(self.dice.hex(2), self.dice.hex(2), through, self.dice.hex(4))
        self._sysmon(
            at,
            10,
            {
                "SourceProcessGUID": source.guid,
                "SourceProcessId": str(source.pid),
                "SourceThreadId": str(self.dice.between(50, 2900) * 4),
                "SourceImage": source.program.path,
                "TargetProcessGUID": target.guid,
                "TargetProcessId": str(target.pid),
                "TargetImage": target.program.path,
                "GrantedAccess": mask,
                "CallTrace": trace,
            },
        )

    def resolve(self, at: datetime, process: Process, name: str, answers: str, status: str = "0") -> None:
        """A process looks a name up (Sysmon 22)."""
        data = {**self._of(process), "QueryName": name, "QueryStatus": status, "QueryResults": answers}
        image = data.pop("Image")
        self._sysmon(at, 22, {**data, "Image": image})

    def connect(self, at: datetime, process: Process, address: str, port: int, host: str = "-") -> None:
        """A process opens a TCP connection (Sysmon 3)."""
        self._sysmon(
            at,
            3,
            {
                **self._of(process),
                "User": process.user.account,
                "Protocol": "tcp",
                "Initiated": "true",
                "SourceIsIpv6": "false",
                "SourceIp": self.address,
                "SourceHostname": self.fqdn,
                "SourcePort": str(self.dice.between(49_700, 65_000)),
                "SourcePortName": "-",
                "DestinationIsIpv6": "false",
                "DestinationIp": address,
                "DestinationHostname": host,
                "DestinationPort": str(port),
                "DestinationPortName": {80: "http", 443: "https", 445: "microsoft-ds", 21: "ftp"}.get(port, "-"),
            },
        )

    def create(self, at: datetime, process: Process, path: str) -> None:
        """A process creates a file (Sysmon 11)."""
        self._sysmon(at, 11, {**self._of(process), "TargetFilename": path, "CreationUtcTime": _utc(at)})

    def set_value(self, at: datetime, process: Process, key: str, details: str) -> None:
        """A process sets a registry value (Sysmon 13)."""
        data = {"EventType": "SetValue", **self._of(process), "TargetObject": key, "Details": details}
        self._sysmon(at, 13, data)

    def _sysmon(self, at: datetime, code: int, data: Mapping[str, str]) -> None:
        full = {"RuleName": "-", "UtcTime": _utc(at), **data}
        if "EventType" in full:
            full = {"RuleName": "-", "EventType": full["EventType"], **full}
        self.log(at, "sysmon", code, full, pid=self._sysmon_pid, sid="S-1-5-18")

    def _of(self, process: Process) -> dict[str, str]:
        return {"ProcessGuid": process.guid, "ProcessId": str(process.pid), "Image": process.program.path}

    def _process_guid(self, at: datetime) -> str:
        stamp = f"{int(at.timestamp()):08X}"
        return f"{{{self._prefix}-{stamp[4:]}-{stamp[:4]}-{self.dice.hex(4).upper()}-000000000900}}"

    def logon_guid(self, user: User) -> str:
        """The GUID of an account's session on this machine."""
        mark = hashlib.sha256(f"{self.name}/{user.account}".encode()).hexdigest().upper()
        return f"{{{self._prefix}-{mark[:4]}-{mark[4:8]}-{mark[8:12]}-{mark[12:24]}}}"


def subject(user: User) -> dict[str, str]:
    """The fields by which the Security log names who did something."""
    return {
        "SubjectUserSid": user.sid,
        "SubjectUserName": user.audit_name or user.name,
        "SubjectDomainName": user.audit_domain or user.domain,
        "SubjectLogonId": user.logon_id,
    }


def hashes(program: Program) -> str:
    """The hashes of a file that does not exist: made from its path and version, so that they stay the same."""
    text = hashlib.sha512(f"{program.path}/{program.version}".encode()).hexdigest().upper()
    sha256 = hashlib.sha256(text.encode()).hexdigest().upper()
    return f"SHA1={text[:40]},MD5={text[40:72]},SHA256={sha256},IMPHASH={text[72:104]}"


def _version(program: Program) -> dict[str, str]:
    return {
        "FileVersion": program.version,
        "Description": program.description,
        "Product": program.product,
        "Company": program.company,
        "OriginalFileName": program.original,
    }


def _utc(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
