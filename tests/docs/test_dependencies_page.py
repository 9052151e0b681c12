"""The record of dependencies names exactly those that pyproject.toml has."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "decisions" / "0002-dependencies.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def name(requirement: str) -> str:
    return re.split(r"[\[<>=~ ;]", requirement)[0]


def test_every_runtime_dependency_has_a_reason() -> None:
    written = re.findall(r"^\| ([\w-]+) \| .+ \|$", PAGE.split("| extra |")[0], re.MULTILINE)
    assert [row for row in written if row != "package"] == sorted(map(name, PROJECT["dependencies"]))


def test_every_extra_is_listed_with_its_packages() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    assert set(rows) == set(extras)
    for extra, packages in extras.items():
        missing = {name(p) for p in packages} - set(re.findall(r"[\w-]+", rows[extra])) - {"triaged", "types-pyyaml"}
        assert missing == set(), extra
