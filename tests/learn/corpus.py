"""A tiny corpora folder of invented content, in the upstreams' own formats, pinned by its own hashes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from connector.learn.corpora.source import Source

SYSMON = "Microsoft-Windows-Sysmon/Operational"


def flat_start(
    number: int, line: str, *, guid: str, parent: str, image: str = "C:\\Windows\\System32\\cmd.exe"
) -> dict[str, object]:
    """A process start as NXLog flattens it."""
    return {
        "EventID": 1,
        "Channel": SYSMON,
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": "PC1",
        "EventTime": f"2021-01-01 10:00:{number % 60:02}",
        "RecordNumber": number,
        "ProcessGuid": guid,
        "ParentProcessGuid": parent,
        "Image": image,
        "CommandLine": line,
        "ParentImage": "C:\\Windows\\explorer.exe",
        "User": "LAB\\ann",
        "IntegrityLevel": "Medium",
    }


def flat_registry(number: int, key: str, guid: str) -> dict[str, object]:
    """A registry write as NXLog flattens it."""
    return {
        "EventID": 13,
        "Channel": SYSMON,
        "SourceName": "Microsoft-Windows-Sysmon",
        "Hostname": "PC1",
        "EventTime": f"2021-01-01 10:01:{number % 60:02}",
        "RecordNumber": number,
        "EventType": "SetValue",
        "ProcessGuid": guid,
        "Image": "C:\\Windows\\explorer.exe",
        "TargetObject": key,
        "Details": "DWORD (0x00000001)",
        "User": "LAB\\ann",
    }


def recording(number: int) -> bytes:
    """A recording: one attack tree of two processes, and background that every recording shares."""
    events = [
        flat_registry(1, "HKLM\\SOFTWARE\\Vendor\\Shared", "{bg}"),
        flat_start(
            2, f"C:\\Windows\\System32\\cmd.exe /c steal secrets number {number} quickly", guid="{a}", parent="{none}"
        ),
        flat_start(
            3,
            f"child.exe --of attack{number}",
            guid="{b}",
            parent="{a}",
            image=f"C:\\Temp\\child{'abc'[number % 3]}.exe",
        ),
        flat_registry(4, f"HKLM\\SOFTWARE\\Attack{'xyz'[number % 3]}\\Run", "{b}"),
        flat_start(5, "svc.exe -k ordinary", guid="{c}", parent="{none}", image="C:\\Windows\\System32\\svc.exe"),
    ]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"recording{number}.json", "\n".join(json.dumps(event) for event in events))
    return buffer.getvalue()


def metadata(number: int) -> str:
    return f"""
title: Invented {number}
attack_mappings:
- technique: T1003
  sub-technique: "001"
files:
- type: Host
  link: https://example.org/rec{number}.zip
simulation:
  adversary_view: |-
    > cmd /c "steal secrets number {number} quickly"
"""


def atomic(technique: str, verb: str) -> str:
    tests = "".join(
        f"""
- name: invented {n}
  input_arguments:
    target: {{default: 'C:\\data{n}'}}
  executor:
    name: command_prompt
    command: |
      {verb}.exe /steal #{{target}} /into PathToAtomicsFolder\\{technique}\\out{n}.txt
"""
        for n in range(12)
    )
    return f"attack_technique: {technique}\natomic_tests:{tests}"


def page(number: int) -> str:
    return f"# tool{number}\n\n> A tool.\n\n- Show:\n\n`tool{number} --show {{{{path/to/file}}}} {{{{[-a|--all]}}}}`\n"


RULE = """
title: Invented
tags: [attack.t1059.001]
author: Ann Author
logsource: {category: process_creation, product: windows}
detection:
  selection_img:
    - Image|endswith: '\\powershell.exe'
    - OriginalFileName: PowerShell.EXE
  selection_cli:
    CommandLine|contains|all: [' -enc ', 'hidden']
  filter:
    User: NOBODY
  condition: all of selection_* and not filter
level: high
"""


def files() -> Mapping[str, Mapping[str, bytes]]:
    """Source name → path below its root → content."""
    atomics = {
        f"atomics/{technique}/{technique}.yaml": atomic(technique, verb).encode()
        for technique, verb in (("T1003.001", "dumper"), ("T1053.005", "planner"), ("T1070.004", "eraser"))
    }
    return {
        "atomic": atomics,
        "tldr": {f"pages/windows/tool{n}.md": page(n).encode() for n in range(60)},
        "chocolatey": {
            f"automatic/pkg{n}/tools/install.ps1": f"Install-Package -Name pkg{n} -Silent\n$x = 1\nWrite-Host ready{n} -NoNewline\n".encode()
            for n in range(20)
        },
        "otrf": {
            **{f"datasets/atomic/windows/x/host/rec{n}.zip": recording(n) for n in range(3)},
            **{f"datasets/atomic/_metadata/M{n}.yaml": metadata(n).encode() for n in range(3)},
        },
        "sigma": {"rules/windows/process_creation/invented.yml": RULE.encode()},
    }


def build(folder: Path) -> dict[str, Source]:
    """Writes the tars and returns their pins."""
    pins = {}
    for name, content in files().items():
        root, archive = f"owner/{name}", folder / f"owner__{name}.tar"
        with tarfile.open(archive, "w") as tar:
            for path, data in content.items():
                member = tarfile.TarInfo(f"{root}/{path}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        pins[name] = Source(
            name=name,
            upstream=f"https://example.org/{name}",
            commit="abc",
            archive=archive.name,
            sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
            root=root,
            licence="MIT",
            credit="Ann Author",
            may_train=True,
        )
    return pins
