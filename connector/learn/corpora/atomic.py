"""Atomic Red Team: each test's command with its arguments filled in, wrapped as the events that it would leave."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import yaml

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

NAME = "atomic"
COPIES = 2
_SHELLS = {"command_prompt": "cmd", "powershell": "powershell", "sh": "sh", "bash": "sh"}
_ARGUMENT = re.compile(r"#\{([^}]+)\}")
_LEAK = re.compile(
    r"(?i)\bT\d{4}(?:[._]\d{3})?\b|atomic[-_ ]?red[-_ ]?team|\batomics?\b|(?<=[\\/_-])art(?=[-_.\\/])|AtomicTest\w*|redcanary\w*"
)
_HOME = re.compile(r"(?i)\$?PathToAtomicsFolder")
_FOLDERS = (
    "C:\\Users\\Public",
    "C:\\Temp",
    "C:\\Tools",
    "C:\\ProgramData\\app",
    "C:\\Users\\anna.berg\\Downloads",
    "D:\\work",
)
_UNIX_FOLDERS = ("/tmp/work", "/home/ubuntu", "/opt/app", "/var/tmp")  # noqa: S108
_WORDS = ("update", "report", "data", "setup", "test", "backup", "file", "demo", "app", "output")


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Two wrapped copies of each test that runs without a person; label: the technique that the test executes."""
    for path, content in corpora.files(NAME, ".yaml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        if not isinstance(document, dict) or "atomic_tests" not in document:
            continue
        for number, test in enumerate(document["atomic_tests"]):
            yield from _test(path, number, test, str(document["attack_technique"]))


def _test(path: str, number: int, test: dict[str, Any], technique: str) -> Iterator[Sample]:
    executor = test.get("executor") or {}
    shell = _SHELLS.get(str(executor.get("name")))
    if shell is None or not executor.get("command"):
        return
    group = f"{path}#{number}"
    for copy in range(COPIES):
        draw = wrap.seeded(NAME, group, str(copy))
        text = filled(str(executor["command"]), test.get("input_arguments") or {}, shell, draw)
        for index, data in enumerate(wrap.events(wrap.Command(text, shell), draw)):
            yield Sample(
                data=data,
                group=group,
                record=f"{copy}.{index}",
                basis="executed-test",
                techniques=(technique,),
                malicious=True,
            )


def filled(command: str, arguments: dict[str, Any], shell: str, draw: Random) -> str:
    """The command with its arguments' defaults, and without the words that only this collection uses."""
    folder = draw.choice(_UNIX_FOLDERS if shell == "sh" else _FOLDERS)

    def default(match: re.Match[str]) -> str:
        argument = arguments.get(match.group(1)) or {}
        return str(argument.get("default", match.group(1)))

    text = _ARGUMENT.sub(default, _ARGUMENT.sub(default, command))
    text = _HOME.sub(lambda _: folder, text)
    text = text.replace("\\..\\ExternalPayloads", "").replace("/../ExternalPayloads", "")
    return _LEAK.sub(lambda _: draw.choice(_WORDS), text)
