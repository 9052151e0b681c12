"""Installs an app's knowledge objects from its ``default`` folder: macros, collections, lookups and custom search commands."""

from __future__ import annotations

import configparser
import csv
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.splunkd.chunked import Chunked
from tests.splunkd.spl.text import Macro

if TYPE_CHECKING:
    from tests.splunkd.server import Splunkd


def install(
    splunkd: Splunkd, folder: Path, *, python: str = sys.executable, environment: Mapping[str, str] | None = None
) -> None:
    """Makes an app known to a server. Its commands run under ``python``, in the app's ``bin`` folder."""
    folder = folder.resolve()
    default, app = folder / "default", folder.name
    for name, stanza in _stanzas(default / "macros.conf"):
        arguments = tuple(part.strip() for part in stanza.get("args", "").split(",") if part.strip())
        splunkd.site.macros[name] = Macro(stanza["definition"], arguments)
    for name, stanza in _stanzas(default / "collections.conf"):
        splunkd.kv.define(name, app, stanza)
    for name, stanza in _stanzas(default / "transforms.conf"):
        if stanza.get("external_type") == "kvstore":
            splunkd.tables.define(name, stanza["collection"], app)
        elif "filename" in stanza:
            rows = _table(folder / "lookups" / stanza["filename"])
            splunkd.tables.compute(name, lambda rows=rows: rows)
            splunkd.tables.compute(stanza["filename"], lambda rows=rows: rows)
    for name, stanza in _stanzas(default / "commands.conf"):
        splunkd.site.commands[name] = Chunked(
            name,
            [python, str(folder / "bin" / stanza.get("filename", f"{name}.py"))],
            splunkd_uri=splunkd.url,
            environment=environment or {},
            folder=folder / "bin",
        )


def _stanzas(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    if not path.is_file():
        return
    parser = configparser.RawConfigParser(
        delimiters=("=",), comment_prefixes=("#",), strict=False, default_section="default"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(re.sub(r"\\\n", " ", path.read_text()))
    for name in parser.sections():
        yield name, dict(parser[name])


def _table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
