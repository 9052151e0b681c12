"""What intelligence gives to training: samples with provenance, on disk, and as sources of a dataset beside the pinned.

A folder holds ``samples.jsonl``, one finding a line, and ``sources.toml``: the shipped table of sources and these, for
``triaged train text --pins``.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from connector.attack import migrate
from connector.errors import ConfigError
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import PINS, Corpora, Recipe, Source

SAMPLES, SOURCES = "samples.jsonl", "sources.toml"
_TIME = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d))?", re.ASCII)
"""A date or a time of RFC 3339: what else an upstream says of when is not written on, least of all into a card."""

_PLAIN = re.compile(r"[^a-z0-9]+")
_QUOTED: Final = ("upstream", "commit", "archive", "sha256", "root", "licence", "credit")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A sample, and where it comes from: ``object`` (an id there) of ``upstream``, as it was ``modified``.

    ``source`` names the upstream as a source of a dataset; two upstreams never share one.
    """

    source: str
    upstream: str
    object: str
    modified: str
    licence: str
    sample: Sample


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where findings of one run come from, and under which licence."""

    kind: str
    name: str
    licence: str

    def finding(self, sample: Sample, identity: str, modified: str) -> Finding:
        """A sample of this upstream."""
        digest = hashlib.sha256(f"{self.kind}\0{self.name}".encode("utf-8", "replace")).hexdigest()[:8]
        return Finding(
            source=f"intel-{_PLAIN.sub('-', self.kind.lower())}-{digest}",
            upstream=self.name,
            object=identity,
            modified=modified if _TIME.fullmatch(modified) else "",
            licence=self.licence,
            sample=sample,
        )


def write(findings: Sequence[Finding], folder: Path) -> None:
    """Writes both files. Raises ``ConfigError`` where there is nothing to write."""
    if not findings:
        raise ConfigError("nothing was found to train on: no object names a technique and shows what it is")
    folder.mkdir(parents=True, exist_ok=True)
    encoder = msgspec.json.Encoder(order="sorted")
    (folder / SAMPLES).write_bytes(b"".join(encoder.encode(finding) + b"\n" for finding in findings))
    tables = [PINS.read_text("utf-8").rstrip() + "\n"]
    for name, source in sources(findings).items():
        lines = [f"{field} = {_quoted(getattr(source, field))}" for field in _QUOTED]
        tables.append("\n".join([f"[{name}]", *lines, "may_train = true\n"]))
    (folder / SOURCES).write_text("\n".join(tables), "utf-8")


def _quoted(text: str) -> str:
    """A string of TOML: one of JSON, but that TOML wants DEL escaped."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def read(folder: Path) -> tuple[Finding, ...]:
    """The findings of a folder. Raises ``ConfigError`` where it holds none, or others than were written."""
    try:
        content = (folder / SAMPLES).read_bytes()
    except OSError as error:
        raise ConfigError(f"{folder} holds no {SAMPLES}: make one with `triaged learn intel`") from error
    decoder = msgspec.json.Decoder(Finding)
    try:
        return tuple(decoder.decode(line) for line in content.splitlines())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{folder / SAMPLES} is not what `triaged learn intel` writes: {error}") from error


def sources(findings: Iterable[Finding]) -> Mapping[str, Source]:
    """Each upstream as a source of a dataset; its ``commit`` is the newest change among its findings."""
    found: dict[str, Source] = {}
    for one in findings:
        earlier = found.get(one.source)
        found[one.source] = Source(
            name=one.source,
            upstream=one.upstream,
            commit=max(one.modified, earlier.commit) if earlier else one.modified,
            archive="",
            sha256="",
            root="",
            licence=one.licence,
            credit=one.upstream,
            may_train=True,
        )
    return found


def added(corpora: Corpora, folder: Path) -> tuple[Corpora, Mapping[str, Recipe]]:
    """The corpora and recipes of a dataset with a folder's findings beside the pinned sources."""
    findings = read(folder)
    mine = sources(findings)
    recipes = {name: partial(_samples, [one.sample for one in findings if one.source == name]) for name in mine}
    return Corpora(corpora.folder, {**corpora.sources, **mine}), {**RECIPES, **recipes}


def _samples(samples: Sequence[Sample], corpora: Corpora) -> Iterator[Sample]:
    del corpora
    return iter(samples)


def known(findings: Iterable[Finding]) -> Mapping[str, Counter[str]]:
    """Technique ids by how they are read in the catalogue's version: exact, merged, split, unknown."""
    found: dict[str, Counter[str]] = {}
    for one in findings:
        for technique in one.sample.techniques:
            found.setdefault(migrate(technique).kind, Counter())[technique] += 1
    return found
