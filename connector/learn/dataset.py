"""The dataset: labelled rows that went through the product's own normalise, canonical form and render.

A row is one distinct fingerprint. Groups (file, recording, rule, page) never cross a split, so a metric on dev or
calibration rows is about events of files that training never saw.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from connector.attack import catalogue, migrate
from connector.errors import ConfigError, PermanentError
from connector.events import CANONICAL_VERSIONS, normalise, render
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.sample import Basis, Sample
from connector.learn.corpora.source import Corpora, Recipe
from connector.learn.scrub import leaks, scrub
from connector.types import RawEvent, SourceRef

PER_GROUP_AND_KIND = 25
"""Rows that one file or recording gives of one kind of event: a long file does not outweigh many short ones."""

Split: TypeAlias = Literal["train", "dev", "calibration"]

SPLIT_RULE = (
    "by group (file, recording, rule, test, page or package) within its source: 80% train, 10% dev, 10% calibration"
)
SHARES: tuple[tuple[Split, float], ...] = (("train", 0.8), ("dev", 0.9), ("calibration", 1.0))

STRENGTH: Mapping[Basis, int] = {
    "process-tree": 3,
    "executed-test": 3,
    "recurring": 3,
    "ordinary-log": 3,
    "admin-script": 3,
    "manual-page": 2,
    "generated-routine": 2,
    "rule-test": 2,
    "rule-pattern": 2,
    "file-name": 1,
    "outside-tree": 1,
}
"""Which label stands where two sources disagree about one fingerprint; equals leave ``malicious`` open."""


UNCAPPED: frozenset[Basis] = frozenset({"recurring", "outside-tree"})
"""What many recordings share belongs to none of them."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One distinct event: the model's text, its labels in the catalogue's ATT&CK version, and where they come from."""

    text: str
    kind: str
    fingerprint: str
    techniques: tuple[str, ...]
    malicious: bool | None
    basis: Basis
    source: str
    group: str
    record: str
    licence: str
    split: Split


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a dataset's manifest says beside the rows."""

    digest: str
    seed: int
    split: str
    attack_version: str
    canonical_versions: Mapping[str, str]
    rows: Mapping[str, int]
    sources: Mapping[str, int]
    bases: Mapping[str, int]
    dropped: Mapping[str, int]
    authors: Mapping[str, tuple[str, ...]]
    verified: Mapping[str, str] = {}
    """SHA-256 by source of the archives that rows were read from; a source read from an unpacked tree is not here."""


class Dataset(msgspec.Struct, frozen=True):
    """Rows in a fixed order, and their facts."""

    rows: tuple[Row, ...]
    facts: Facts

    def of(self, split: Split) -> list[Row]:
        """The rows of one split."""
        return [row for row in self.rows if row.split == split]


def build(
    corpora: Corpora,
    *,
    seed: int = 1,
    only: Iterable[str] | None = None,
    recipes: Mapping[str, Recipe] = RECIPES,
    held_out: Container[str] = (),
) -> Dataset:
    """Builds the dataset from every source that may train, or from ``only`` some of them.

    Events whose fingerprint is in ``held_out`` never become rows. Raises ``ConfigError`` where a source is missing.
    """
    names = _names(corpora, only, recipes)
    corpora = corpora.of(names)
    dropped: Counter[str] = Counter()
    authors: dict[str, set[str]] = {}
    merged: dict[str, Row] = {}
    taken: Counter[tuple[str, str, str]] = Counter()
    for name in names:
        for sample in recipes[name](corpora):
            if sample.author:
                authors.setdefault(name, set()).add(sample.author)
            row = _row(sample, name, corpora.sources[name].licence, seed, dropped)
            if row is None:
                continue
            if row.fingerprint in held_out:
                dropped["held out"] += 1
                continue
            earlier = merged.get(row.fingerprint)
            if earlier is not None:
                merged[row.fingerprint] = agreed(earlier, row)
            elif row.basis in UNCAPPED or taken[name, row.group, row.kind] < PER_GROUP_AND_KIND:
                taken[name, row.group, row.kind] += 1
                merged[row.fingerprint] = row
    rows = tuple(sorted(merged.values(), key=lambda row: (row.source, row.group, row.record, row.fingerprint)))
    return Dataset(rows, _facts(rows, seed, dropped, authors, corpora.verified))


def _names(corpora: Corpora, only: Iterable[str] | None, recipes: Mapping[str, Recipe]) -> list[str]:
    """The sources to read, in the recipes' order. What is missing is said, never skipped."""
    if not corpora.folder.is_dir():
        raise ConfigError(f"{corpora.folder} is no folder")
    wanted = [name for name in recipes if name in corpora.sources] if only is None else list(only)
    if unknown := [name for name in wanted if name not in recipes or name not in corpora.sources]:
        raise ConfigError(f"no recipe for {', '.join(unknown)}; there are {', '.join(recipes)}")
    closed = [name for name in wanted if not corpora.sources[name].may_train]
    if only is not None and closed:
        raise ConfigError(f"{', '.join(closed)} may not train: for evaluation alone, says the table of sources")
    names = [name for name in recipes if name in wanted and name not in closed]
    if missing := [name for name in names if not corpora.holds(name)]:
        places = "".join(
            f"\n  {name}: clone {corpora.sources[name].upstream} at {corpora.sources[name].commit}" for name in missing
        )
        raise ConfigError(
            f"{corpora.folder} lacks {', '.join(missing)}; to train without, name the others with --only{places}"
        )
    if not names:
        raise ConfigError("no source is left that may train")
    return names


def _row(sample: Sample, source: str, licence: str, seed: int, dropped: Counter[str]) -> Row | None:
    native = f"{source}:{sample.group}:{sample.record}"
    data = scrub(sample.data)
    try:
        event = normalise(
            RawEvent(
                deployment="corpus", native_id=native, ref=SourceRef(siem="corpus", index=source, id=native), data=data
            )
        )
    except PermanentError:
        dropped["unreadable"] += 1
        return None
    text = render(event.canonical)
    if leaks(text):
        dropped["names a technique"] += 1
        return None
    return Row(
        text=text,
        kind=event.kind,
        fingerprint=event.fingerprint,
        techniques=_techniques(sample.techniques, dropped),
        malicious=sample.malicious,
        basis=sample.basis,
        source=source,
        group=sample.group,
        record=sample.record,
        licence=licence,
        split=split_of(source, sample.group, seed),
    )


def _techniques(ids: Sequence[str], dropped: Counter[str]) -> tuple[str, ...]:
    found: set[str] = set()
    for technique in ids:
        migration = migrate(technique)
        if migration.kind == "unknown":
            dropped[f"unknown technique {technique}"] += 1
        found |= migration.ids
    return tuple(sorted(found))


def split_of(source: str, group: str, seed: int) -> Split:
    """The split of a group, from a hash of its name: adding a source moves nothing."""
    digest = hashlib.sha256(f"{seed}\0{source}\0{group}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    return next(split for split, upto in SHARES if place < upto)


def agreed(earlier: Row, later: Row) -> Row:
    """One row of two with the same fingerprint: it stays in the earlier one's group and split.

    Source, group, record and licence stay the earlier one's too, even where the later one gave a technique: they say
    where the text comes from, and every source that was read is credited on the card by itself.
    """
    first, second = STRENGTH[earlier.basis], STRENGTH[later.basis]
    if earlier.malicious == later.malicious:
        return msgspec.structs.replace(earlier, techniques=tuple(sorted({*earlier.techniques, *later.techniques})))
    if first == second:
        both = tuple(sorted({*earlier.techniques, *later.techniques}))
        return msgspec.structs.replace(earlier, techniques=both, malicious=None)
    winner = earlier if first > second else later
    return msgspec.structs.replace(
        earlier, techniques=winner.techniques, malicious=winner.malicious, basis=winner.basis
    )


def digest_of(rows: Iterable[Row]) -> str:
    """SHA-256 over the rows in order: what a model was trained on, in one word."""
    encoder = msgspec.json.Encoder(order="sorted")
    digest = hashlib.sha256()
    for row in rows:
        digest.update(encoder.encode(row))
        digest.update(b"\n")
    return digest.hexdigest()


def _facts(
    rows: Sequence[Row], seed: int, dropped: Counter[str], authors: Mapping[str, set[str]], verified: Mapping[str, str]
) -> Facts:
    return Facts(
        digest=digest_of(rows),
        seed=seed,
        split=SPLIT_RULE,
        attack_version=catalogue().version,
        canonical_versions=dict(CANONICAL_VERSIONS),
        rows=dict(Counter(row.split for row in rows)),
        sources=dict(Counter(row.source for row in rows)),
        bases=dict(Counter(row.basis for row in rows)),
        dropped=dict(sorted(dropped.items())),
        authors={name: tuple(sorted(found)) for name, found in authors.items()},
        verified=dict(sorted(verified.items())),
    )
