import pytest

from connector.events import normalise
from connector.learn.corpora import wrap
from connector.types import Document, RawEvent, SourceRef


def kind_and_fields(data: Document) -> tuple[str, frozenset[str]]:
    event = normalise(RawEvent(deployment="d", native_id="1", ref=SourceRef(siem="s", index="i", id="1"), data=data))
    return event.kind, frozenset(name for name, _ in event.canonical)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ('"C:\\Program Files\\A b\\tool.exe" /x', "tool"),
        ("C:\\Windows\\System32\\reg.exe add HKLM\\x", "reg"),
        ("whoami /all", "whoami"),
        ("& 'C:\\a\\b.exe' -c", "b"),
        ("/usr/bin/curl -s x", "curl"),
        ("   ", ""),
    ],
)
def test_the_program_of_a_line_is_its_first_word(line: str, program: str) -> None:
    assert wrap.program_of(line) == program


def test_what_surrounds_a_command_depends_on_its_place_and_never_on_the_command() -> None:
    one = wrap.process("dumper.exe /steal", wrap.seeded("place"))["Event"]["EventData"]
    other = wrap.process("tool.exe /show", wrap.seeded("place"))["Event"]["EventData"]

    same = set(one) - {"CommandLine", "Image", "OriginalFileName", "NewProcessName"}
    assert set(one) == set(other)
    assert {field: one[field] for field in same} == {field: other[field] for field in same}


def test_both_forms_of_a_process_start_occur_with_every_field_that_a_model_reads() -> None:
    seen: dict[str, set[frozenset[str]]] = {}
    for number in range(60):
        kind, fields = kind_and_fields(wrap.process("whoami /all", wrap.seeded(str(number))))
        seen.setdefault(kind, set()).add(fields)

    assert set(seen) == {"sysmon-1", "security-4688"}
    assert all("process.command_line" in fields for found in seen.values() for fields in found)
    assert all("process.parent.executable" in fields for found in seen.values() for fields in found)


def test_a_shell_builtin_is_started_through_the_shell() -> None:
    (event,) = wrap.events(wrap.Command("del C:\\x.txt", "cmd"), wrap.seeded("x"))

    line = event["Event"]["EventData"]["CommandLine"]
    assert "cmd" in line.lower()
    assert "/c" in line


def test_a_powershell_script_leaves_its_script_block() -> None:
    events = wrap.events(wrap.Command("Get-Date\nGet-Item x", "powershell"), wrap.seeded("x"))

    assert kind_and_fields(events[0])[0] == "powershell-4104"


def test_a_unix_command_becomes_a_generic_process_start() -> None:
    (event,) = wrap.events(wrap.Command("cat /etc/hosts", "sh"), wrap.seeded("x"))

    kind, fields = kind_and_fields(event)
    assert kind == "generic"
    assert {"process.executable", "process.command_line", "process.parent.executable"} <= fields
