"""What the Security and System logs record beside process starts: logons, shares, services, tasks, accounts."""

from __future__ import annotations

from datetime import datetime

from connector.demo.machine import Machine, subject
from connector.demo.nouns import Process, User

_NO_GUID = "{00000000-0000-0000-0000-000000000000}"


def logon(
    machine: Machine, at: datetime, user: User, kind: int, *, by: Process, through: str, privileges: tuple[str, ...]
) -> None:
    """A process logs an account on (Security 4624), and it gets special privileges (4672).

    ``kind``: the logon type. ``through``: the name that the process registered with the LSA.
    """
    machine.log(
        at,
        "security",
        4624,
        {
            **subject(by.user),
            "TargetUserSid": user.sid,
            "TargetUserName": user.name,
            "TargetDomainName": user.domain,
            "TargetLogonId": user.logon_id,
            "LogonType": str(kind),
            "LogonProcessName": through,
            "AuthenticationPackageName": "Negotiate",
            "WorkstationName": "-",
            "LogonGuid": _NO_GUID,
            "TransmittedServices": "-",
            "LmPackageName": "-",
            "KeyLength": "0",
            "ProcessId": hex(by.pid),
            "ProcessName": by.program.path,
            "IpAddress": "-",
            "IpPort": "-",
            "ImpersonationLevel": "%%1833",
            **dict.fromkeys(("RestrictedAdminMode", "TargetOutboundUserName", "TargetOutboundDomainName"), "-"),
            "VirtualAccount": "%%1843",
            "TargetLinkedLogonId": "0x0",
            "ElevatedToken": "%%1842",
        },
        pid=machine.lsass_pid,
    )
    special_logon(machine, at, user, privileges)


def special_logon(machine: Machine, at: datetime, user: User, privileges: tuple[str, ...]) -> None:
    """A logon is given special privileges (Security 4672)."""
    held = {**subject(user), "PrivilegeList": "\n\t\t\t".join(privileges)}
    machine.log(at, "security", 4672, held, pid=machine.lsass_pid)


def share(
    machine: Machine,
    at: datetime,
    user: User,
    *,
    name: str,
    folder: str,
    address: str,
    file: str | None = None,
    write: bool = False,
) -> None:
    """A share is opened (Security 5140) or, with ``file``, a file on it (5145)."""
    data = {
        **subject(user),
        "ObjectType": "File",
        "IpAddress": address,
        "IpPort": str(machine.dice.between(49_700, 65_000)),
        "ShareName": f"\\\\*\\{name}",
        "ShareLocalPath": f"\\??\\{folder}",
    }
    if file is None:
        machine.log(at, "security", 5140, {**data, "AccessMask": "0x1", "AccessList": "%%4416\n\t\t\t\t"}, pid=4)
        return
    mask, rights = ("0x17019f", "%%1537\n\t\t\t\t%%4417\n\t\t\t\t") if write else ("0x120089", "%%4416\n\t\t\t\t")
    data |= {"RelativeTargetName": file, "AccessMask": mask, "AccessList": rights, "AccessReason": "-"}
    machine.log(at, "security", 5145, data, pid=4)


def service(machine: Machine, at: datetime, by: User, name: str, path: str, *, start: str = "demand start") -> None:
    """A service is installed: System 7045 and Security 4697."""
    machine.log(
        at,
        "system",
        7045,
        {
            "ServiceName": name,
            "ImagePath": path,
            "ServiceType": "user mode service",
            "StartType": start,
            "AccountName": "LocalSystem",
        },
        pid=machine.lsass_pid - 16,
        sid=by.sid,
    )
    machine.log(
        at,
        "security",
        4697,
        {
            **subject(by),
            "ServiceName": name,
            "ServiceFileName": path,
            "ServiceType": "0x10",
            "ServiceStartType": "2" if start == "auto start" else "3",
            "ServiceAccount": "LocalSystem",
        },
        pid=machine.lsass_pid,
    )


def service_state(machine: Machine, at: datetime, service: str, state: str) -> None:
    """A service enters a state (System 7036)."""
    machine.log(at, "system", 7036, {"param1": service, "param2": state}, pid=machine.lsass_pid - 16)


def task(machine: Machine, at: datetime, by: User, name: str, content: str) -> None:
    """A scheduled task is created (Security 4698)."""
    data = {**subject(by), "TaskName": name, "TaskContent": content}
    machine.log(at, "security", 4698, data, pid=machine.lsass_pid)


def change_account(machine: Machine, at: datetime, by: User, user: User) -> None:
    """A new local account is switched on, with a password that never expires (Security 4738)."""
    unchanged = ("DisplayName", "HomeDirectory", "HomePath", "ScriptPath", "ProfilePath", "UserWorkstations")
    machine.log(
        at,
        "security",
        4738,
        {
            "Dummy": "-",
            **_target(user),
            **subject(by),
            "PrivilegeList": "-",
            "SamAccountName": user.name,
            "UserPrincipalName": "-",
            **dict.fromkeys(unchanged, "%%1793"),
            "PasswordLastSet": "3/17/2026 10:21:36 AM",
            "AccountExpires": "%%1794",
            "PrimaryGroupId": "513",
            "AllowedToDelegateTo": "-",
            "OldUacValue": "0x15",
            "NewUacValue": "0x210",
            "UserAccountControl": "\n\t\t%%2048\n\t\t%%2050\n\t\t%%2089",
            "UserParameters": "%%1793",
            "SidHistory": "-",
            "LogonHours": "%%1797",
        },
        pid=machine.lsass_pid,
    )


def add_member(machine: Machine, at: datetime, by: User, member: User, group: tuple[str, str]) -> None:
    """An account joins a local group, given by name and SID (Security 4732)."""
    machine.log(
        at,
        "security",
        4732,
        {
            "MemberName": "-",
            "MemberSid": member.sid,
            "TargetUserName": group[0],
            "TargetDomainName": "Builtin",
            "TargetSid": group[1],
            **subject(by),
            "PrivilegeList": "-",
        },
        pid=machine.lsass_pid,
    )


def clear_log(machine: Machine, at: datetime, by: User) -> None:
    """The Security log is cleared (1102)."""
    machine.log(at, "eventlog", 1102, subject(by), pid=machine.lsass_pid + 400, section="LogFileCleared")


def _target(user: User) -> dict[str, str]:
    return {"TargetUserName": user.name, "TargetDomainName": user.domain, "TargetSid": user.sid}
