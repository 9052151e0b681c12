"""The table of programs, read from ``programs.toml``."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from connector.demo.nouns import Program

_WINDOWS = "Microsoft® Windows® Operating System"
_BUILD = "10.0.20348.2849 (WinBuild.160101.0800)"


@cache
def programs() -> dict[str, Program]:
    """Every program by its key. Those of Windows itself share product, company and version."""
    table = tomllib.loads(Path(__file__).with_name("programs.toml").read_text(encoding="utf-8"))
    found: dict[str, Program] = {}
    for key, (path, description, original) in table["windows"].items():
        found[key] = _program(path, description, _WINDOWS, "Microsoft Corporation", original, _BUILD)
    for key, fields in table["other"].items():
        found[key] = _program(*fields)
    return found


def _program(*fields: str) -> Program:
    path, description, product, company, original, version = fields
    return Program(
        path=path,
        description=description or "-",
        product=product,
        company=company,
        original=original,
        version=version,
    )
