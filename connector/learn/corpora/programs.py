"""Where ordinary Windows programs live and what their version resource says: the fields that a process event carries.

A wrapped command takes these fields from its program alone, never from its label.
"""

from __future__ import annotations

import msgspec

_MICROSOFT = "Microsoft Corporation"
_WINDOWS = "Microsoft® Windows® Operating System"
_SYSTEM32 = "C:\\Windows\\System32\\"

_SYSTEM = """
arp|arp.exe|TCP/IP Arp Command
at|AT.EXE|Schedule service command line interface
attrib|ATTRIB.EXE|Attribute Utility
auditpol|AUDITPOL.EXE|Audit Policy Program
bcdedit|bcdedit.exe|Boot Configuration Data Editor
bitsadmin|bitsadmin.exe|BITS administration utility
cacls|CACLS.EXE|Control ACLs Program
certreq|CertReq.exe|CertReq
certutil|CertUtil.exe|CertUtil.exe
chcp|CHCP.COM|Change CodePage Utility
chkdsk|CHKDSK.EXE|Check Disk Utility
cipher|CIPHER.EXE|File Encryption Utility
clip|clip.exe|Clip - copies the data into clipboard
cmd|Cmd.Exe|Windows Command Processor
cmdkey|cmdkey.exe|Credential Manager Command Line Utility
cmstp|CMSTP.EXE|Microsoft Connection Manager Profile Installer
control|CONTROL.EXE|Windows Control Panel
cscript|cscript.exe|Microsoft ® Console Based Script Host
curl|curl.exe|The curl executable
diskshadow|diskshadow.exe|DiskShadow
diskpart|diskpart.exe|DiskPart
dism|DISM.EXE|Dism Image Servicing Utility
driverquery|drvqry.exe|Queries the drivers on a system
esentutl|esentutl.exe|Extensible Storage Engine Utilities
expand|EXPAND.EXE|LZ Expansion Utility
fc|FC.EXE|DOS 5 File Compare Utility
find|FIND.EXE|Find String (grep) Utility
findstr|FINDSTR.EXE|Find String (QGREP) Utility
fltmc|fltMC.exe|Filter Manager Control Program
forfiles|forfiles.exe|ForFiles - Executes a command on selected files
fsutil|fsutil.exe|fsutil.exe
ftp|ftp.exe|File Transfer Program
getmac|getmac.exe|Displays NIC MAC information
gpresult|gprslt.exe|Query Group Policy RSOP Data
gpupdate|gpupdate.exe|Microsoft® Group Policy Update Utility
hostname|hostname.exe|Hostname APP
icacls|iCACLS.EXE|
ipconfig|ipconfig.exe|IP Configuration Utility
klist|klist.exe|Tool for managing the Kerberos ticket cache
logman|Logman.exe|Performance Log Utility
makecab|makecab.exe|Microsoft® Cabinet Maker
mavinject|mavinject64.exe|Microsoft Application Virtualization Injector
mklink|Cmd.Exe|Windows Command Processor
mmc|mmc.exe|Microsoft Management Console
mountvol|mountvol.exe|Mount Volume Utility
msdt|msdt.exe|Diagnostics Troubleshooting Wizard
mshta|MSHTA.EXE|Microsoft (R) HTML Application host
msiexec|msiexec.exe|Windows® installer
nbtstat|nbtinfo.exe|TCP/IP NetBios Information
net|net.exe|Net Command
net1|net1.exe|Net Command
netsh|netsh.exe|Network Command Shell
netstat|netstat.exe|TCP/IP Netstat Command
nltest|nltestrk.exe|Microsoft® Logon Server Test Utility
notepad|NOTEPAD.EXE|Notepad
nslookup|nslookup.exe|nslookup
odbcconf|odbcconf.exe|ODBC Driver Configuration Program
openfiles|openfiles.exe|Displays the current open files list
pathping|pathping.exe|TCP/IP PathPing Command
pcalua|pcalua.exe|Program Compatibility Assistant
ping|ping.exe|TCP/IP Ping Command
pnputil|PNPUTIL.EXE|Microsoft PnP Utility
powercfg|PowerCfg.exe|Power Settings Command-Line Tool
print|Print.Exe|Print Utility
query|query.exe|MultiUser Query Utility
quser|quser.exe|Query User Utility
reg|reg.exe|Registry Console Tool
regini|REGINI.EXE|Registry Initializer
regsvr32|REGSVR32.EXE|Microsoft(C) Register Server
robocopy|robocopy.exe|Microsoft Robocopy
route|route.exe|TCP/IP Route Command
rundll32|RUNDLL32.EXE|Windows host process (Rundll32)
runas|RUNAS.EXE|Run As Utility
sc|sc.exe|Service Control Manager Configuration Tool
schtasks|schtasks.exe|Task Scheduler Configuration Tool
setx|setx.exe|Setx - Sets environment variables
shutdown|SHUTDOWN.EXE|Windows Shutdown and Annotation Tool
ssh|ssh.exe|
subst|SUBST.EXE|Subst Utility
systeminfo|sysinfo.exe|Displays system information
takeown|takeown.exe|Takes ownership of a file
tar|bsdtar|bsdtar archive tool
taskkill|taskkill.exe|Terminates Processes
tasklist|tasklist.exe|Lists the current running tasks
timeout|timeout.exe|timeout - pauses command processing
tracert|tracert.exe|TCP/IP Traceroute Command
tree|TREE.COM|Tree Walk Utility
typeperf|TypePerf.exe|Command line performance monitor
vssadmin|VSSADMIN.EXE|Command Line Interface for Microsoft® Volume Shadow Copy Service
w32tm|w32time.dll|Windows Time Service Diagnostic Tool
waitfor|waitfor.exe|waitfor - wait/send a signal over a network
wbadmin|WBADMIN.EXE|Command Line Interface for Microsoft® BLB Backup
wevtutil|wevtutil.exe|Eventing Command Line Utility
where|where.exe|Where - Lists location of files
whoami|whoami.exe|whoami - displays logged on user information
winrm|cscript.exe|Microsoft ® Console Based Script Host
winrs|winrs.exe|winrs
wmic|wmic.exe|WMI Commandline Utility
wscript|wscript.exe|Microsoft ® Windows Based Script Host
wuauclt|wuauclt.exe|Windows Update
xcopy|XCOPY.EXE|Extended Copy Utility
"""

_ELSEWHERE = """
powershell|C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\|PowerShell.EXE|Windows PowerShell
pwsh|C:\\Program Files\\PowerShell\\7\\|pwsh.dll|pwsh
explorer|C:\\Windows\\|EXPLORER.EXE|Windows Explorer
regedit|C:\\Windows\\|REGEDIT.EXE|Registry Editor
hh|C:\\Windows\\|HH.exe|Microsoft® HTML Help Executable
installutil|C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\|InstallUtil.exe|.NET Framework installation utility
msbuild|C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\|MSBuild.exe|MSBuild.exe
csc|C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\|csc.exe|Visual C# Command Line Compiler
regasm|C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\|RegAsm.exe|Microsoft .NET Assembly Registration Utility
regsvcs|C:\\Windows\\Microsoft.NET\\Framework64\\v4.0.30319\\|RegSvcs.exe|Microsoft .NET Services Installation Utility
"""


class Program(msgspec.Struct, frozen=True):
    """A program's image path and version resource; ``-`` where a resource has none."""

    image: str
    original_name: str
    description: str
    product: str
    company: str


def _known() -> dict[str, Program]:
    table = {}
    for line in _SYSTEM.strip().splitlines():
        name, original, description = line.split("|")
        table[name] = Program(f"{_SYSTEM32}{name}.exe", original, description or "-", _WINDOWS, _MICROSOFT)
    for line in _ELSEWHERE.strip().splitlines():
        name, folder, original, description = line.split("|")
        table[name] = Program(f"{folder}{name}.exe", original, description, _WINDOWS, _MICROSOFT)
    return table


KNOWN = _known()

BY_ORIGINAL_NAME = {program.original_name.lower(): name for name, program in sorted(KNOWN.items(), reverse=True)}
"""Program by the name in its version resource, which a renamed copy keeps."""

BUILTINS = frozenset(
    [
        "assoc",
        "break",
        "call",
        "cd",
        "chdir",
        "cls",
        "color",
        "copy",
        "date",
        "del",
        "dir",
        "echo",
        "endlocal",
        "erase",
        "exit",
        "for",
        "ftype",
        "goto",
        "if",
        "md",
        "mkdir",
        "mklink",
        "move",
        "path",
        "pause",
        "popd",
        "prompt",
        "pushd",
        "rd",
        "rem",
        "ren",
        "rename",
        "rmdir",
        "set",
        "setlocal",
        "start",
        "time",
        "title",
        "type",
        "ver",
        "verify",
        "vol",
    ]
)
"""Words that cmd.exe itself executes: they start no process of their own."""
