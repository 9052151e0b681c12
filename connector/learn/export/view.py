"""The labels as they were known at a time: a pure function of the facts that were observed by then.

A label stands until something that was observed later says otherwise: the same alert's next change, or a later decision about
the same event on another alert. It then stays as a row that names what superseded it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Literal, NamedTuple

from connector import identity
from connector.learn.export.labels import NOTHING, LabelMap, Meaning
from connector.learn.export.machine import Machines, is_closure
from connector.learn.export.rows import Fact


class Label(NamedTuple):
    """A row without its event's fields."""

    row: str
    fact: Fact
    event_id: str
    status: Literal["closed", "reopened"]
    meaning: Meaning
    superseded_by: str | None = None
    conflict: bool = False


class View(NamedTuple):
    """Labels in the order of their changes, and how many changes gave none, by reason."""

    labels: list[Label]
    left_out: Mapping[str, int]
    unmapped: int


class Rules(NamedTuple):
    """What a site says of its closures."""

    labels: LabelMap
    machines: Machines


def view(facts: Iterable[Fact], scored_at: Mapping[str, datetime], rules: Rules, until: datetime | None = None) -> View:
    """The labels as of ``until`` (None: now). The facts are in plain words: behind a pseudonym nothing would be known.

    ``scored_at``: the events that there are, and when each was scored.
    """
    known = [fact for fact in facts if until is None or fact.observed_at <= until]
    known.sort(key=lambda fact: (fact.changed_at, fact.observed_at, fact.id))
    reasons = rules.machines.reasons(known)
    left_out: Counter[str] = Counter(reasons[fact.id] for fact in known if fact.id in reasons and is_closure(fact))
    labels: list[Label] = []
    for changes in _by_alert(fact for fact in known if fact.id not in reasons):
        labels += _of_alert(changes, rules.labels, left_out)
    kept = [one for one in labels if _is_there(one, scored_at, until, left_out)]
    kept.sort(key=lambda one: (one.fact.changed_at, one.fact.observed_at, one.row))
    unmapped = sum(rules.labels.unmapped(fact) for fact in known if fact.id not in reasons)
    return View(list(_settled(kept)), dict(sorted(left_out.items())), unmapped)


def _by_alert(facts: Iterable[Fact]) -> Iterable[list[Fact]]:
    found: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        found[fact.history, fact.alert].append(fact)
    return found.values()


def _of_alert(changes: list[Fact], labels: LabelMap, left_out: Counter[str]) -> Iterator[Label]:
    """An alert's closures and re-opens, each superseded by the next one. What came before the first closure says nothing."""
    turns: list[tuple[Fact, tuple[str, ...]]] = []
    events: tuple[str, ...] = ()
    closed = False
    for fact in changes:
        events = fact.event_ids or events  # a look-up that failed takes nothing away
        if is_closure(fact) or closed:
            turns.append((fact, events))
        closed = is_closure(fact)
    for place, (fact, about) in enumerate(turns):
        later = turns[place + 1][0].id if place + 1 < len(turns) else None
        if not about:
            left_out["about no event"] += 1
        for event_id in about:
            row = identity.derive("label", fact.id, event_id)
            if is_closure(fact):
                yield Label(row, fact, event_id, "closed", labels.meaning(fact), later)
            else:
                yield Label(row, fact, event_id, "reopened", NOTHING, later)


def _is_there(label: Label, scored_at: Mapping[str, datetime], until: datetime | None, left_out: Counter[str]) -> bool:
    at = scored_at.get(label.event_id)
    if at is None:
        left_out["no snapshot of the event"] += 1
    elif until is not None and at > until:
        left_out["scored later"] += 1
    else:
        return True
    return False


def _settled(labels: list[Label]) -> Iterator[Label]:
    """One label an event: of several alerts the last decision stands, and where analysts disagree each row says so."""
    standing: dict[str, Label] = {}
    said: dict[str, dict[str | None, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for one in labels:
        if one.meaning.malicious is not None:
            said[one.event_id][one.fact.analyst].add(one.meaning.malicious)
            if one.superseded_by is None:
                standing[one.event_id] = one
    for one in labels:
        last = standing.get(one.event_id)
        if one.meaning.malicious is None:
            yield one
            continue
        superseded = one.superseded_by or (last.fact.id if last is not None and last is not one else None)
        others = (values for analyst, values in said[one.event_id].items() if analyst != one.fact.analyst)
        opposite = not one.meaning.malicious
        conflict = any(opposite in values for values in others)
        yield one._replace(superseded_by=superseded, conflict=conflict)
