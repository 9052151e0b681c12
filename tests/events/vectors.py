"""Writes what the canonical form must be: ``vectors.json`` for every implementation, ``golden/*.ecs.json`` for the doors.

    python -m tests.events.vectors

The vectors are computed by the reference implementation, so that the product is never its own judge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector.events import render
from connector.events.normalise import to_ecs
from tests.events import reference

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
VECTORS = HERE / "vectors.json"

_BASE64 = "SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQAIABOAGUAdAAuAFcAZQBiAEMAbABpAGUAbgB0ACkA"

MASKED: dict[str, tuple[str, ...]] = {
    "keep": ("A  b\r\n\tC", "-", " ", "x" * 300, "Zürich", "a\u000bb", "a\u00a0 b"),
    "fold": ("AÉZ", "İSTANBUL", "0xC000006D"),
    "integrity": ("S-1-16-12288", "High", "Mandatory Label\\High Mandatory Level", "elevated"),
    "outcome": ("Audit Failure", "success", "Classic"),
    "transport": ("TCP", "17", "6", "99"),
    "direction": ("true", "%%14592", "Outbound"),
    "user": (
        *("NT AUTHORITY\\SYSTEM", "LOCAL SERVICE", "ANONYMOUS LOGON", "DC01$", "CORP\\alice", "alice@corp.example"),
        *("S-1-5-18", "S-1-5-90-0-1", "krbtgt", "Window Manager\\DWM-1", "S-1-5-21-1-2-3-1104"),
    ),
    "address": (
        *("127.0.0.1", "10.0.0.1", "172.31.0.1", "172.32.0.1", "192.168.1.1", "169.254.1.1", "8.8.8.8", "0.0.0.0"),
        *("224.0.0.251", "256.1.1.1", "::1", "::", "0:0:0:0:0:0:0:1", "fe80::1%5", "FD00::1", "ff02::fb", "2001:db8::1"),
        *("::ffff:10.1.2.3", "LOCAL", "1.2.3", "01.2.3.4"),
    ),
    "domain": ("WS01", "dc.corp.local", "www.example.org.", "12345.example.org"),
    "stack": ("C:\\Windows\\SYSTEM32\\ntdll.dll+9fc24|C:\\Windows\\System32\\KERNELBASE.dll+1|UNKNOWN(00007FF9)|UNKNOWN(1)",),
    "path": (
        *("C:\\Users\\alice\\AppData\\Local\\Temp\\a.tmp", "c:\\users\\John Doe\\x", "D:/Users/bob/x", "C:\\Users\\Public\\svc.exe"),
        *("\\Device\\HarddiskVolume3\\Users\\bob\\x.exe", "\\Device\\HarddiskVolume12\\Windows\\a.exe", "\\\\FS01\\c$\\Users\\bob\\x"),
        *("\\\\.\\pipe\\lsass", "\\\\10.0.0.5\\share", "\\??\\C:\\Windows\\x", "HKU\\S-1-5-21-1-2-3-1104_Classes\\x", "HKU\\S-1-5-18\\x"),
        *("C:\\Windows\\Temp\\36EC8CA6-D7AD-4861-BE7A-1DA9059A75EC.tmp", "C:\\Guest_2.7.41491.993_2020-09-04_120001\\a.exe"),
        *("/home/alice/.ssh/id_rsa", "C:\\Documents and Settings\\bob\\x", "x" * 511 + "😀y"),
    ),
    "command": (
        *(f"powershell -enc {_BASE64}", f"a {_BASE64}== b 123456", "net use \\\\DC01 /user:x", "copy C:\\Users\\bob C:\\x"),
        *("ping 10.1.2.3 -n 1", "app 10.0.17763.1 1.2.3", "rundll32 comsvcs.dll, MiniDump 6244 x", "a 12345 0x1410 0x7ffa1234"),
        *("[Convert]::FromBase64String", "fe80::1 12:34:56 :: 1::", "deadbeef1 cafebabe 1d3ovrfu x86_64 a1b2c3 a1b2c", "4a" * 33, "4a" * 32),
        *("\ud800 lone", "pair 😀 12345", "\t lead and trail \r\n", "AAAA/BBBB/cccc/1111/2222/3333/4444/5555", "x" * 2047 + "😀"),
    ),
    "named": (
        *("Ana.Walker+x@acme.example logged in", "mailto:ana@acme.example,bob@b.example", "to=ana%40acme.example&x=1", "<ana@x.example>."),
        *("ssh ana@WEB01", "scp x root@10.0.0.5:/tmp", "lodash@4.17.21 checkout@v4 alpine@sha256:ab", "a@b.1 a@b- a@.", "@x x@ @", "a@@b.c"),
        *("J\u00fcrgen.M\u00fcller@m\u00fcnchen.example", "a@b.example@c.example", "getty@tty1.service", "x@1.2.3.4.5 x@1.2.3.4.", "cifs/fs01@ACME.EXAMPLE"),
        *("/Users/ana/x -o='/Users/bo b/y' /Users/Shared/z", "open /Users/ana", "users\\ana\\y", "\\Users\\Ana Walker\\x", "C:\\\\Users\\\\ana\\\\x"),
        *("/v1.0/users/ana", "home/ana/.ssh", "/home/ana", "superusers/ana my-users/ana@b.example", "users/ users\\\\ home/ bob", "C:\\Users\\Public\\x"),
        *("T1078 - Valid Accounts (t1110.001)", "TA0006 xT1078 T10789 T1078.01 T1078.0011 T1078/001", "attack.T1059.001.", "ta t1 T1003_x"),
        *(f"ana@acme.example {_BASE64} T1003", "\\Device\\HarddiskVolume3\\Users\\ana\\x ana@b.example"),
    ),
}  # fmt: skip
"""Values to mask, by row of ``[masks]``."""

_SYSMON = {
    "channel": "Microsoft-Windows-Sysmon/Operational",
    "provider_name": "Microsoft-Windows-Sysmon",
    "event_id": 1,
}

DOCUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"message": "a line"},
    {
        "event": {"code": "1"},
        "winlog": {**_SYSMON, "event_data": {"Image": "C:\\a.exe", "CommandLine": ["x", None, "y"]}},
    },
    {"event.code": "1", "winlog.channel": "MICROSOFT-WINDOWS-SYSMON/OPERATIONAL", "process.executable": ["C:\\a.exe"]},
    {"winlog": _SYSMON, "process": {"executable": "-"}, "process.executable": "dotted.exe"},
    {"winlog": _SYSMON, "process": {"executable": "nested.exe"}, "process.executable": "dotted.exe"},
    {"winlog": _SYSMON, "process": "no object", "winlog.event_data.Image": "C:\\dotted.exe"},
    {
        "winlog": {
            "channel": "Security",
            "event_id": 4688,
            "event_data": {"SubjectUserName": "Bob", "TargetUserName": "BOB"},
        }
    },
    {
        "winlog": {
            "channel": "Security",
            "event_id": "4688",
            "event_data": {"SubjectUserName": "a", "TargetUserName": "-"},
        }
    },
    {
        "winlog": {
            "channel": "Security",
            "event_id": 4624,
            "event_data": {"LogonType": 10, "KeyLength": 0, "ElevatedToken": True},
        }
    },
    {"winlog": {"channel": "Security", "event_id": 4624, "event_data": {"LogonType": 123456789012345678901234567890}}},
    {"winlog": {"channel": "Security", "event_id": 4624, "event_data": {"LogonType": 2.5, "KeyLength": {"a": 1}}}},
    {"winlog": {"channel": "Security", "event_id": 4624, "keywords": ["Classic", "Audit Failure"]}},
    {
        "winlog": {
            "channel": "Security",
            "event_id": 9999,
            "event_data": {"ObjectName": "\\\\FS01\\x", "param1": "10.1.2.3"},
        }
    },
    {
        "winlog": {
            "provider_name": "Service Control Manager",
            "event_id": 7045,
            "event_data": {"ImagePath": "%COMSPEC% /c x"},
        }
    },
    {
        "winlog": {
            "channel": "Windows PowerShell",
            "event_id": 600,
            "event_data": {"param3": "\tA=1\r\n\tHostApplication=p -c x\r\n\tB="},
        }
    },
    {
        "winlog": {
            "channel": "Windows PowerShell",
            "event_id": 400,
            "event_data": {"param3": "HostApplication=\r\nEngineVersion=2.0"},
        }
    },
    {
        "winlog": {
            "channel": "Security",
            "event_id": 4698,
            "event_data": {"TaskContent": "<Command>a.exe</Command>\n<Arguments>\n"},
        }
    },
    {
        "ecs": {},
        "event": {"category": [["process"]], "type": ["start", "info", "-", {}, 1.5, 7, False]},
        "process": {"args": ["a"] * 20},
    },
    {
        "event": {"category": [[["process"], []]]},
        "http": {"response": {"status_code": 404}},
        "message": "\ud83d\ude00 \udc00",
    },
    {"event": {"category": [[["process"]]]}, "message": [[[]]]},
    {"event": {"code": True}, "winlog": {"channel": 7}},
)


def _document_vector(document: dict[str, Any]) -> dict[str, Any]:
    kind = reference.kind_of(document)
    pairs = reference.canonical(document, kind)
    return {"document": document, "kind": kind, "canonical": pairs, "fingerprint": reference.fingerprint(pairs)}


def golden() -> dict[str, Any]:
    """The golden events, as a collector delivers them, by name."""
    return {
        path.name.removesuffix(".raw.json"): json.loads(path.read_text("utf-8"))
        for path in sorted(GOLDEN.glob("*.raw.json"))
    }


def ecs_documents() -> dict[str, dict[str, Any]]:
    """The golden events in ECS."""
    return {name: to_ecs(raw)[1] for name, raw in golden().items()}


def vectors() -> dict[str, Any]:
    """Masked values and documents with their canonical form."""
    masks = [
        {"mask": row, "in": text, "out": reference.mask(row, text)} for row, texts in MASKED.items() for text in texts
    ]
    documents = [*DOCUMENTS, *ecs_documents().values()]
    return {
        "rules": reference.TABLE["rules"],
        "masks": masks,
        "documents": [_document_vector(each) for each in documents],
    }


def texts() -> dict[str, str]:
    """The model text of each golden event."""
    rendered = {}
    for name, document in ecs_documents().items():
        pairs = reference.canonical(document, reference.kind_of(document))
        rendered[name] = render(tuple((field, value) for field, value in pairs))
    return rendered


def dump(value: object) -> str:
    """JSON in ASCII, so that lone surrogates survive any editor."""
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def main() -> None:
    """Writes all of it."""
    for name, document in ecs_documents().items():
        (GOLDEN / f"{name}.ecs.json").write_text(dump(document), "utf-8")
    (GOLDEN / "texts.json").write_text(dump(texts()), "utf-8")
    VECTORS.write_text(dump(vectors()), "utf-8")


if __name__ == "__main__":
    main()
