"""The export: what the ledger learnt since the last one becomes facts and events, and from all of them follow the labels."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from connector.errors import ConfigError
from connector.learn.export import formats
from connector.learn.export.folder import EVENTS, FACTS, LABELS, Folder, Labels, Manifest, Place, Run, Steps
from connector.learn.export.identities import Name, names_in_prose, names_of
from connector.learn.export.labels import LabelMap
from connector.learn.export.machine import Machines
from connector.learn.export.pseudonyms import Pseudonyms
from connector.learn.export.redaction import Found, Redaction
from connector.learn.export.rows import SCHEMA, Fact, Row, Sighted
from connector.learn.export.snapshot import found_in, sighted
from connector.learn.export.view import Label, Rules, View, view
from connector.learn.export.words import prose, shortened, word
from connector.ledger import Ledger, Noted
from connector.ports import Clock
from connector.telemetry import Signal, emit

_RULES: Final = 2
"""Grows as the way changes in which labels follow from facts: those of an earlier release are then written anew."""
_AT_ONCE: Final = 200
_NEW: Final = ".labels.new"

T = TypeVar("T")


class Done(NamedTuple):
    """What an export did: changes and events that were new, and what the labels are now. ``changed``: anything was written."""

    facts: int
    events: int
    labels: Labels
    changed: bool


class Export:
    """Exports one ledger to one folder.

    ``queries``: a digest of each alert history's settings, by its name. ``steps`` is told of each step once it is done.
    """

    def __init__(
        self,
        ledger: Ledger,
        folder: Path,
        *,
        key: bytes,
        clock: Clock,
        labels: LabelMap,
        machines: Machines,
        queries: Mapping[str, str] | None = None,
        parquet: bool = False,
        steps: Steps = lambda _: None,
    ) -> None:
        self.pseudonyms = Pseudonyms(key)
        self._ledger = ledger
        self._path = folder
        self._clock = clock
        self._rules = Rules(labels, machines)
        rules = msgspec.json.encode((SCHEMA, _RULES, parquet, labels.told, machines.told), order="sorted")
        self._digest = hashlib.sha256(rules).hexdigest()
        self._queries = queries or {}
        self._parquet = parquet
        self._steps = steps
        if parquet:
            formats.check_parquet()

    def run(self) -> Done:
        """Takes in what is new, a part at a time: what is taken in stays so, whatever comes then. Doing it again changes nothing."""
        folder = Folder(self._path, self.pseudonyms.check, self._steps)
        with folder.alone():
            folder.reload()
            folder.tidy()
            facts, before = folder.facts(), folder.manifest
            done = Run(run=len(before.runs) + 1, at=self._clock(), facts=0, events=0)
            for fresh, lines in self._taken_in(facts, folder.places().keys(), done.run):
                if done.facts or done.events:
                    folder.commit(folder.manifest)
                done = msgspec.structs.replace(done, facts=done.facts + len(fresh), events=done.events + len(lines))
                folder.manifest = msgspec.structs.replace(
                    folder.manifest,
                    events=folder.grown(EVENTS, folder.manifest.events, lines),
                    facts=folder.grown(FACTS, folder.manifest.facts, [msgspec.json.encode(fact) for fact in fresh]),
                    runs=(*before.runs, done),
                    rules="",  # the labels do not know these yet: a run that is killed here leaves them to the next one
                )
                facts += fresh
            if folder.manifest is before and before.labels is not None and before.rules == self._digest:
                return Done(0, 0, before.labels, changed=False)
            labels = self._labels(folder, folder, facts, None)
            folder.commit(msgspec.structs.replace(folder.manifest, rules=self._digest, labels=labels))
            emit(Signal.EXPORTED, facts=done.facts, events=done.events, rows=labels.rows, left_out=labels.left_out)
            return Done(done.facts, done.events, labels, changed=True)

    def as_of(self, until: datetime, target: Path) -> Done:
        """Writes the labels as they were known at a time to another folder, from what is exported already."""
        source = Folder(self._path, self.pseudonyms.check)
        folder = Folder(target, self.pseudonyms.check, self._steps)
        if folder.manifest.facts.rows:
            raise ConfigError(f"{target} holds an export of its own: labels of another time belong in another folder")
        with source.alone(), folder.alone():
            source.reload()
            folder.tidy()
            before = folder.manifest
            labels = self._labels(folder, source, source.facts(), until)
            manifest = Manifest(key=self.pseudonyms.check, rules=self._digest, as_of=until, labels=labels)
            if before != manifest:
                folder.commit(manifest)
            return Done(0, 0, labels, changed=before != manifest)

    def _taken_in(
        self, facts: Sequence[Fact], there: Collection[str], run: int
    ) -> Iterator[tuple[list[Fact], list[bytes]]]:
        """New changes as facts, and as lines the events that they, or facts of before, are about: a part at a time."""
        ids = {fact.id for fact in facts}
        people = {self.pseudonyms.plain(fact.analyst) for fact in facts if fact.analyst}
        for noted in self._ledger.dispositions_beside(ids):
            people |= {name for name in (noted.change.analyst, *noted.change.assignees) if name}
        known = {name for person in people for name in names_of("user", person)}
        seen = set(there)
        for part in _parts(sorted({one for fact in facts for one in fact.event_ids} - seen)):
            lines: list[bytes] = []
            self._look_up(part, seen, lines)
            if lines:
                yield [], lines
        for new in _parts(self._ledger.dispositions_beside(ids)):
            lines = []
            found = self._look_up([one for noted in new for one in noted.change.event_ids], seen, lines)
            yield [self._fact(noted, found, known, run) for noted in new], lines

    def _look_up(self, event_ids: Sequence[str], seen: set[str], lines: list[bytes]) -> dict[str, Found]:
        """Names and secrets of those events that have a snapshot; those not seen yet become lines.

        An event that tells too many names to be redacted is left out: its labels are counted like those without a snapshot.
        """
        names: dict[str, Found] = {}
        for event_id, scored in self._ledger.scored(event_ids).items():
            found = found_in(scored)
            if found is None:
                continue
            names[event_id] = found
            if (
                event_id not in seen
                and not found.search().is_dear
                and (event := sighted(scored, found, self.pseudonyms)) is not None
            ):
                seen.add(event_id)
                lines.append(msgspec.json.encode(event))
        return names

    def _fact(self, noted: Noted, found: Mapping[str, Found], people: Iterable[Name], run: int) -> Fact:
        change = noted.change
        comment = shortened(change.comment)
        told = Found(people)
        for event_id in change.event_ids:
            if event_id in found:
                told.take(found[event_id])
        for text in (comment, *change.tags, change.status, change.disposition or ""):
            told.look_at(text, names_in_prose)
        write = Redaction(told, self.pseudonyms.of).text
        known = partial(word, labels=self._rules.labels, write=write)
        return Fact(
            id=noted.id,
            history=noted.history,
            alert=self._alert(change.alert_id),
            event_ids=change.event_ids,
            status=known(change.status),
            disposition=None if change.disposition is None else known(change.disposition),
            changed_at=change.changed_at,
            observed_at=change.observed_at,
            analyst=self.pseudonyms.of("user", change.analyst.strip().lower()) if change.analyst else None,
            comment=prose(comment, write),
            tags=tuple(map(known, change.tags)),
            techniques=change.techniques,
            machine=change.machine,
            query=self._queries.get(noted.history, ""),
            run=run,
        )

    def _plain(self, fact: Fact) -> Fact:
        """A fact in the words that were said, for this process alone: an account's name may be a word that means something."""
        plain = self.pseudonyms.plain
        return msgspec.structs.replace(
            fact,
            status=plain(fact.status),
            disposition=None if fact.disposition is None else plain(fact.disposition),
            analyst=None if fact.analyst is None else plain(fact.analyst),
            comment=plain(fact.comment),
            tags=tuple(map(plain, fact.tags)),
        )

    def _alert(self, alert_id: str) -> str:
        """An alert's id, which must read the same in each of its facts whatever else is known by then."""
        told = Found()
        told.look_at(alert_id)
        return Redaction(told, self.pseudonyms.of).text(alert_id)

    def _labels(self, folder: Folder, source: Folder, facts: Sequence[Fact], until: datetime | None) -> Labels:
        """Writes the labels of a time beside those that count, and says what they are; equal ones are left as they are."""
        places = source.places()
        scored_at = {event_id: place.scored_at for event_id, place in places.items()}
        found = view(map(self._plain, facts), scored_at, self._rules, until)
        as_written = {fact.id: fact for fact in facts}
        found = found._replace(labels=[one._replace(fact=as_written[one.fact.id]) for one in found.labels])
        fresh = folder.path / _NEW
        with source.events() as read:
            digest, rows = formats.write_jsonl(_rows(found.labels, places, read), fresh)
            name = f"{LABELS}{digest[:16]}"
            files = dict(folder.manifest.labels.files) if folder.manifest.labels else {}
            files = {one: sha for one, sha in files.items() if one.startswith(name) and (folder.path / one).exists()}
            if f"{name}.jsonl" not in files:
                folder.step("written labels")
                fresh.replace(folder.path / f"{name}.jsonl")
            else:
                fresh.unlink()
            files[f"{name}.jsonl"] = digest
            if self._parquet and f"{name}.parquet" not in files:
                files[f"{name}.parquet"] = formats.write_parquet(_rows(found.labels, places, read), fresh)
                fresh.replace(folder.path / f"{name}.parquet")
            folder.step("renamed labels")
        return _counted(found, digest, rows, files)


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    left = iter(items)
    while part := list(islice(left, _AT_ONCE)):
        yield part


def _rows(labels: Iterable[Label], places: Mapping[str, Place], read: Callable[[Place], Sighted]) -> Iterator[Row]:
    for label in labels:
        event = msgspec.structs.asdict(read(places[label.event_id]))
        fact = label.fact
        yield Row(
            row=label.row,
            fact=fact.id,
            status=label.status,
            **label.meaning._asdict(),
            superseded_by=label.superseded_by,
            conflict=label.conflict,
            **{name: getattr(fact, name) for name in _OF_FACT},
            **event,
        )


_OF_FACT: Final = ("analyst", "comment", "tags", "changed_at", "observed_at", "history", "alert", "query", "run")


def _counted(found: View, digest: str, rows: int, files: Mapping[str, str]) -> Labels:
    standing = Counter(
        label.meaning.disposition
        for label in found.labels
        if label.meaning.disposition is not None and label.superseded_by is None
    )
    return Labels(
        digest=digest,
        rows=rows,
        standing=dict(sorted(standing.items())),
        conflicts=sum(label.conflict for label in found.labels),
        left_out=found.left_out,
        unmapped=found.unmapped,
        files=files,
    )
