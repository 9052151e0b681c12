"""The dataset: labelled rows that went through the product's own normalise, canonical form and render.

A row is one distinct fingerprint. Groups (file, recording, rule, page) never cross a split, so a metric on dev or
calibration rows is about events of files that training never saw.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from connector.attack import catalogue, migrate
from connector.errors import ConfigError, PermanentError
from connector.events import CANONICAL_VERSIONS, normalise, render
from connector.learn.corpora import otrf
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.sample import Basis, Sample
from connector.learn.corpora.source import Corpora, Recipe, Source
from connector.learn.levelling import Shape, levelled
from connector.learn.near_duplicates import clusters
from connector.learn.scrub import leaks, names, scrub, unnamed, unplaced
from connector.types import Cause, Event, Pairs, RawEvent, SourceRef

PER_GROUP_AND_KIND = 25
"""Rows that one file or recording gives of one kind of event: a long file does not outweigh many short ones."""

Split: TypeAlias = Literal["train", "dev", "calibration"]

SPLIT_RULE = (
    "by group (file, recording, rule, test, page, report or package) within its source: 80% train, 10% dev, "
    "10% calibration; what nearly repeats a row of train is in neither other, of dev not in calibration"
)
EARLIER: Mapping[Split, frozenset[Split]] = {
    "train": frozenset(),
    "dev": frozenset({"train"}),
    "calibration": frozenset({"train", "dev"}),
}
SHARES: tuple[tuple[Split, float], ...] = (("train", 0.8), ("dev", 0.9), ("calibration", 1.0))

STRENGTH: Mapping[Basis, int] = {
    "analyst": 3,
    "process-tree": 3,
    "executed-test": 3,
    "recurring": 3,
    "ordinary-log": 3,
    "admin-script": 3,
    "manual-page": 2,
    "generated-routine": 2,
    "generated-administration": 2,
    "rule-test": 2,
    "negative-test": 2,
    "rule-pattern": 2,
    "rule-filter": 2,
    "report-sentence": 2,
    "procedure": 2,
    "file-name": 1,
    "outside-tree": 1,
    "rule-match": 1,
}
"""Which label stands where two sources disagree about one fingerprint; equals leave ``malicious`` open."""


UNCAPPED: frozenset[Basis] = frozenset({"recurring", "outside-tree"})
"""What many recordings share belongs to none of them."""

TELLING: frozenset[str] = frozenset(
    {
        *("process.command_line", "audit.command", "powershell.script", "powershell.payload", "powershell.pipeline"),
        *("registry.path", "file.path", "dll.path", "service.file", "event.action"),
    }
)
"""Fields without which an event does not show the behaviour that its label names."""

LONG_NAME = 6
"""Letters from which a host's or domain's name is taken out of every text, inside other words too."""

RECORDED: frozenset[Basis] = frozenset(
    {"process-tree", "rule-match", "recurring", "outside-tree", "file-name", "ordinary-log"}
)
"""Labels of events that a real host logged."""


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One distinct event: the model's text, its labels in the catalogue's ATT&CK version, and where they come from.

    ``upstream``, ``commit``, ``group`` (the file) and ``record`` name the place; ``host`` is a pseudonym of the recorded
    host, empty for what no host recorded, for splitting alone; ``cluster`` is shared by near copies; ``fields`` are those
    that the text was rendered from; ``cause`` is why it was a false positive, as an analyst said.
    """

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
    upstream: str = ""
    commit: str = ""
    host: str = ""
    cluster: str = ""
    fields: tuple[str, ...] = ()
    cause: Cause | None = None


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
    levelled: int = 0
    """Rows that lost a field, so that which fields are there does not tell the class."""
    entries: Mapping[str, str] = {}
    """By recording, the line of the first process of its attack's tree."""
    no_entry: Mapping[str, str] = {}
    """By recording that has no such line, why not."""
    renamed: int = 0
    """Texts that named the host, the domain or a user of the recording, which a neutral word replaced."""
    names: int = 0
    """Texts that still hold the name of a recorded host or domain."""
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
    wanted = _names(corpora, only, recipes)
    corpora = corpora.of(wanted)
    tally = _Tally()
    merged: dict[str, _Read] = {}
    taken: Counter[tuple[str, str, str]] = Counter()
    for name in wanted:
        for sample in recipes[name](corpora):
            if sample.author:
                tally.authors.setdefault(name, set()).add(sample.author)
            read = _read(sample, corpora.sources[name], seed, tally.dropped)
            if read is None:
                continue
            row = read.row
            if row.fingerprint in held_out:
                tally.dropped["held out"] += 1
                continue
            earlier = merged.get(row.fingerprint)
            if earlier is not None:
                merged[row.fingerprint] = msgspec.structs.replace(earlier, row=agreed(earlier.row, row))
            elif row.basis in UNCAPPED or taken[name, row.group, row.kind] < PER_GROUP_AND_KIND:
                taken[name, row.group, row.kind] += 1
                merged[row.fingerprint] = read
    rows = _apart(sorted(_level(list(merged.values()), tally), key=_place), tally.dropped)
    facts = _facts(rows, seed, tally, corpora.verified)
    if recipes.get(otrf.NAME) is otrf.samples and otrf.NAME in wanted:
        survey = otrf.surveyed(corpora)
        facts = msgspec.structs.replace(facts, entries=survey.entries, no_entry=survey.reasons)
    return Dataset(rows, facts)


class _Read(msgspec.Struct, frozen=True):
    """A row, the canonical form that its text is rendered from, and the names of the recorded host, domain and users."""

    row: Row
    pairs: Pairs
    names: Mapping[str, str]


class _Tally(msgspec.Struct):
    """What is counted on the way."""

    dropped: Counter[str] = msgspec.field(default_factory=Counter)
    authors: dict[str, set[str]] = msgspec.field(default_factory=dict)
    levelled: int = 0
    renamed: int = 0
    places: set[str] = msgspec.field(default_factory=set)


def _place(row: Row) -> tuple[str, str, str, str]:
    return row.source, row.group, row.record, row.fingerprint


def _level(reads: Sequence[_Read], tally: _Tally) -> Iterator[Row]:
    """The rows, without the fields that would tell the class, and without the names of recorded hosts and people.

    What lost the field that shows its behaviour says no technique any more.
    """
    lost = levelled(
        Shape(read.row.fingerprint, read.row.kind, read.row.malicious, read.row.fields)
        for read in reads
        if read.row.malicious is not None
    )
    tally.levelled = len(lost)
    places = {
        name: word for read in reads for name, word in read.names.items() if word != "user" and len(name) >= LONG_NAME
    }
    tally.places = set(places)
    for read in reads:
        row, gone = read.row, lost.get(read.row.fingerprint, frozenset())
        pairs = tuple(pair for pair in read.pairs if pair[0] not in gone)
        told = render(pairs) if gone else row.text
        text = unplaced(unnamed(told, read.names), places)
        tally.renamed += text != told
        yield msgspec.structs.replace(
            row, text=text, fields=_fields(pairs), techniques=() if gone & TELLING else row.techniques
        )


def _apart(rows: Sequence[Row], dropped: Counter[str]) -> tuple[Row, ...]:
    """The rows with their clusters of near copies, without those whose near copy stands in an earlier split."""
    while True:
        firsts = clusters([row.text for row in rows])
        held: dict[int, set[Split]] = defaultdict(set)
        for row, first in zip(rows, firsts, strict=True):
            held[first].add(row.split)
        stays = [not held[first] & EARLIER[row.split] for row, first in zip(rows, firsts, strict=True)]
        if all(stays):
            return tuple(
                msgspec.structs.replace(row, cluster=rows[first].fingerprint[:16])
                for row, first in zip(rows, firsts, strict=True)
            )
        dropped["near copy in another split"] += stays.count(False)
        rows = [row for row, stay in zip(rows, stays, strict=True) if stay]


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


def _read(sample: Sample, source: Source, seed: int, dropped: Counter[str]) -> _Read | None:
    native = f"{source.name}:{sample.group}:{sample.record}"
    data = scrub(sample.data)
    try:
        event = normalise(
            RawEvent(
                deployment="corpus",
                native_id=native,
                ref=SourceRef(siem="corpus", index=source.name, id=native),
                data=data,
            )
        )
    except PermanentError:
        dropped["unreadable"] += 1
        return None
    text = render(event.canonical)
    if leaks(text):
        dropped["names a technique"] += 1
        return None
    row = Row(
        text=text,
        kind=event.kind,
        fingerprint=event.fingerprint,
        techniques=_techniques(sample.techniques, dropped),
        malicious=sample.malicious,
        basis=sample.basis,
        source=source.name,
        group=sample.group,
        record=sample.record,
        licence=source.licence,
        split=split_of(source.name, sample.group, seed),
        upstream=source.upstream,
        commit=source.commit,
        host=_pseudonym(event) if sample.basis in RECORDED else "",
        fields=_fields(event.canonical),
    )
    return _Read(row, event.canonical, names(event) if sample.basis in RECORDED else {})


def _fields(pairs: Pairs) -> tuple[str, ...]:
    return tuple(name for name, _ in pairs[1:])


def _pseudonym(event: Event) -> str:
    """A word for the recorded host, without its domain: the same host has the same word, and the word says no more."""
    host = event.ecs.get("host")
    name = host.get("name") if isinstance(host, dict) else None
    return (
        hashlib.sha256(f"host\0{name.partition('.')[0].lower()}".encode()).hexdigest()[:12]
        if isinstance(name, str)
        else ""
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
        both = tuple(sorted({*earlier.techniques, *later.techniques}))
        return msgspec.structs.replace(earlier, techniques=both, cause=earlier.cause or later.cause)
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


def _facts(rows: Sequence[Row], seed: int, tally: _Tally, verified: Mapping[str, str]) -> Facts:
    return Facts(
        digest=digest_of(rows),
        seed=seed,
        split=SPLIT_RULE,
        attack_version=catalogue().version,
        canonical_versions=dict(CANONICAL_VERSIONS),
        rows=dict(Counter(row.split for row in rows)),
        sources=dict(Counter(row.source for row in rows)),
        bases=dict(Counter(row.basis for row in rows)),
        dropped=dict(sorted(tally.dropped.items())),
        authors={name: tuple(sorted(found)) for name, found in tally.authors.items()},
        levelled=tally.levelled,
        renamed=tally.renamed,
        names=sum(any(name in row.text for name in tally.places) for row in rows),
        verified=dict(sorted(verified.items())),
    )
