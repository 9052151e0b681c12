"""Ordinary administration: the scripts of runner-images and the Chocolatey packages, as script blocks and single lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

RUNNER_IMAGES = "runner_images"
CHOCOLATEY = "chocolatey"
LINES_PER_SCRIPT = 3
_SHORTEST, _LONGEST = 12, 400
_COMMAND = re.compile(r"^\s*(?:&\s*)?[A-Za-z][\w.-]+(?:\s+\S+)+$")
_STRUCTURE = re.compile(
    r"^\s*(?:#|if\b|else|elif\b|fi\b|for\b|foreach\b|while\b|function\b|param\b|return\b|do\b|done\b|case\b|local\b|try\b|catch\b)"
)


def runner_images(corpora: Corpora) -> Iterator[Sample]:
    """The build scripts of GitHub's runner images."""
    yield from _scripts(corpora, RUNNER_IMAGES)


def chocolatey(corpora: Corpora) -> Iterator[Sample]:
    """The install and uninstall scripts of Chocolatey's community packages."""
    yield from _scripts(corpora, CHOCOLATEY)


def _scripts(corpora: Corpora, name: str) -> Iterator[Sample]:
    for path, content in corpora.files(name, ".ps1", ".psm1", ".sh"):
        text = content.decode("utf-8-sig", "replace").strip()
        shell = "sh" if path.endswith(".sh") else "powershell"
        draw = wrap.seeded(name, path)
        group = path.rsplit("/", 1)[0] if name == CHOCOLATEY else path
        number = 0
        if shell == "powershell" and text:
            yield Sample(
                data=wrap.script_block(text, draw), group=group, record=path, basis="admin-script", malicious=False
            )
        lines = [line.strip() for line in text.splitlines() if _is_command(line)]
        for line in lines if len(lines) <= LINES_PER_SCRIPT else draw.sample(lines, LINES_PER_SCRIPT):
            for data in wrap.events(wrap.Command(line, shell), draw):
                number += 1
                yield Sample(data=data, group=group, record=f"{path}:{number}", basis="admin-script", malicious=False)


def _is_command(line: str) -> bool:
    return (
        _SHORTEST <= len(line) <= _LONGEST
        and bool(_COMMAND.match(line))
        and not _STRUCTURE.match(line)
        and " = " not in line
    )
