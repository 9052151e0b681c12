"""Every command is documented, and no command that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from connector.cli.app import app

PAGE = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")


def commands(group: TyperGroup, path: str = "triaged") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def every_command() -> dict[str, Any]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(commands(group))


def test_the_page_lists_exactly_the_commands_that_exist() -> None:
    assert sorted(re.findall(r"^\| `(triaged [^`]+)` \|", PAGE, re.MULTILINE)) == sorted(every_command())


def test_every_option_that_the_page_names_exists() -> None:
    known = {option for command in every_command().values() for param in command.params for option in param.opts}
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    assert named - known - {"--help"} == set()
