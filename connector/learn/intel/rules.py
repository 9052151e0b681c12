"""New Sigma rules as samples: the recipe of the pinned rules, over a folder or a zip of others."""

from __future__ import annotations

import lzma
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from connector.errors import ConfigError
from connector.learn.corpora import sigma
from connector.learn.corpora.source import Corpora, Source
from connector.learn.intel.findings import Finding, Upstream

MOST_BYTES: Final = 256 << 10
MOST_RULES: Final = 50_000
_NO_ZIP: Final = (
    OSError, EOFError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    RuntimeError, NotImplementedError, UnicodeDecodeError,
)  # fmt: skip
"""What the library raises for an archive that is broken, encrypted or packed in a way that it does not know."""

_FACT = re.compile(rb"^(id|date|modified)\s*:\s*['\"]?([^\s'\"#]{1,64})", re.MULTILINE)


class Rules(Corpora):
    """A corpora folder in which Sigma's rules are those of another folder or zip. ``left_out`` says which are not read."""

    def __init__(self, rules: Path, corpora: Corpora | None) -> None:
        mine = Source(
            name=sigma.NAME,
            upstream=str(rules),
            commit="",
            archive="",
            sha256="",
            root="",
            licence="",
            credit="",
            may_train=True,
        )
        others = {} if corpora is None else dict(corpora.sources)
        super().__init__(rules.parent if corpora is None else corpora.folder, {**others, sigma.NAME: mine})
        self.rules = rules
        self.left_out: Counter[str] = Counter()
        self.facts: dict[str, tuple[str, str]] = {}
        """By path, the rule's id and when it was changed."""

    def holds(self, name: str) -> bool:
        """The rules themselves, and what the corpora folder holds: ordinary events to lay patterns over."""
        return name == sigma.NAME or super().holds(name)

    def files(self, name: str, *suffixes: str) -> Iterator[tuple[str, bytes]]:
        """The rules under paths as the upstream's; any other source as it is."""
        if name != sigma.NAME:
            yield from super().files(name, *suffixes)
            return
        for path, content in _contents(self.rules, self.left_out):
            if reason := _refused(content):
                self.left_out[reason] += 1
                continue
            told = f"rules/{path}"
            found: dict[bytes, bytes] = dict(_FACT.findall(content))
            changed = found.get(b"modified", found.get(b"date", b""))
            self.facts[told] = (found.get(b"id", b"").decode("utf-8", "replace"), changed.decode("utf-8", "replace"))
            yield told, content


def findings(rules: Rules, upstream: Upstream) -> Iterator[Finding]:
    """The findings of the rules, in order of their paths."""
    for sample in sigma.samples(rules):
        identity, modified = rules.facts[sample.group]
        yield upstream.finding(sample, identity or sample.group, modified.replace("/", "-"))  # as older rules have it


def _contents(path: Path, left_out: Counter[str]) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.yml") if file.is_file())
        for file in files[:MOST_RULES]:
            if file.stat().st_size <= MOST_BYTES:
                yield file.relative_to(path).as_posix(), file.read_bytes()
            else:
                left_out["too long"] += 1
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename)[:MOST_RULES]:
                if not info.filename.endswith(".yml"):
                    continue
                with archive.open(info) as member:
                    content = member.read(MOST_BYTES + 1)
                if len(content) <= MOST_BYTES:
                    yield info.filename, content
                else:
                    left_out["too long"] += 1
    except _NO_ZIP as error:
        raise ConfigError(f"{path} is neither a folder nor a zip of Sigma rules: {error}") from error


def _refused(content: bytes) -> str | None:
    """Why a rule is not read. One with aliases could stand for more than memory holds; Sigma has no use for them."""
    try:
        for event in yaml.parse(content, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                return "has YAML aliases"
        documents = list(yaml.load_all(content, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return "is no YAML"
    return None if len(documents) == 1 else "is not one document"
