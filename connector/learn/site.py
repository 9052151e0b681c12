"""Learning a site layer from what passed through: guards, a small head, recurrence, and levels that cost what they state.

Numpy alone. The head is a logistic regression between the site's ordinary events, less what the guards leave out, and the
bundle's attack reference, over the text member's own scores. What the site's stream then scores sets the levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.logistic import fitted
from connector.learn.site_baseline import Gathered, Kept, day_name, novelty
from connector.learn.site_levels import Sample, levels
from connector.models import Bundle
from connector.models.calibration import logit
from connector.models.ensemble import TEXT
from connector.models.site import (
    HALF,
    Guards,
    Learnt,
    Recurrence,
    SiteManifest,
    bundle_digest,
    exact_key,
    features,
    lowered,
    under_key,
    write_manifest,
    write_numbers,
)
from connector.models.site_store import SiteStore
from connector.types import Event, Scores, SourceRef

TAIL = 0.01
"""The highest-scoring share of events, and of distinct events, that is never taken for ordinary."""

RIDGE = 3.0
FEWEST = 50
"""Ordinary distinct events below which no head is learnt."""

CHUNK = 1000

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """When a baseline stands: so many events on so many days, and of the last ones few whose like was never seen."""

    events: int = 10_000
    days: int = 1
    novelty: float = 0.2


class Scored(msgspec.Struct, frozen=True):
    """The distinct events of a baseline, in the order of their fingerprints, with the text member's scores.

    ``logits`` (n,), ``counts`` (n,): how often each passed.
    """

    fingerprints: tuple[str, ...]
    kept: tuple[Kept, ...]
    scores: Scores
    logits: Floats
    counts: Floats


class Left(msgspec.Struct, frozen=True):
    """Which distinct events each guard leaves out, (n,) each."""

    rules: Flags
    tail: Flags
    lone: Flags

    @property
    def ordinary(self) -> Flags:
        """What no guard leaves out."""
        return ~(self.rules | self.tail | self.lone)


def learn(
    found: Gathered,
    bundle: Bundle,
    store: SiteStore,
    *,
    now: datetime,
    budget: float | None = None,
    demands: Demands | None = None,
) -> SiteManifest:
    """Learns a layer for a bundle and writes it as the store's next version, not promoted.

    ``budget`` is the alarms (level malicious of the text member alone) per 10,000 events that are wanted; without one no
    level becomes more frequent than it is or than the bundle states. Raises ``ConfigError`` where nothing was gathered that
    can be scored.
    """
    scored = score(found, bundle)
    left = guarded(scored)
    version = store.fresh()
    with store.adding(version) as directory:
        weights = head(scored, left.ordinary, bundle.attacks)
        seen = recurrences(scored, left.ordinary)
        sample = _sample(scored, left, seen, bundle.attacks)
        found_levels = levels(sample, bundle.manifest, budget)
        reasons = tuple(_missing(found, demands or Demands(), bool(left.ordinary.any())))
        write_numbers(directory, weights, seen)
        return write_manifest(
            directory,
            SiteManifest(
                version=version,
                created=now,
                bundle=bundle.ref,
                bundle_digest=bundle_digest(bundle.manifest),
                labels=bundle.members[TEXT].labels,
                learnt=_learnt(found, scored, left),
                guards=Guards(rules=int(left.rules.sum()), tail=int(left.tail.sum()), lone=int(left.lone.sum())),
                levels=found_levels,
                stands=not reasons,
                reasons=reasons,
                head=weights is not None,
            ),
        )


def score(found: Gathered, bundle: Bundle) -> Scored:
    """The text member's scores of every distinct event that it has a view of. Raises ``ConfigError`` where it has none."""
    member = bundle.members.get(TEXT)
    if member is None or member.needs:
        raise ConfigError(f"bundle {bundle.ref} has no text member of its own, and a site layer adapts nothing else")
    items = sorted(found.kept.items())
    parts = [member.score([_event(*item) for item in chunk], {}, {})[0] for chunk in _chunks(items) if chunk]
    if not parts:
        raise ConfigError("nothing passed yet that a site layer could be learnt from")
    techniques = np.concatenate([part.techniques for part in parts])
    votes = np.concatenate([part.p_malicious for part in parts])
    places = np.flatnonzero(~np.isnan(votes))
    if not len(places):
        raise ConfigError(f"bundle {bundle.ref} has no view of anything that passed")
    return Scored(
        fingerprints=tuple(items[place][0] for place in places),
        kept=tuple(items[place][1] for place in places),
        scores=Scores(techniques=techniques[places], p_malicious=votes[places], notes=((),) * len(places)),
        logits=logit(votes[places]),
        counts=np.array([items[place][1].events for place in places], np.float64),
    )


def guarded(scored: Scored) -> Left:
    """What is not taken for ordinary, though it passed: an attack may be among it.

    Rules: a detection rule fires on it. Tail: it is among the highest-scoring hundredth of events, or of distinct events.
    Lone: the stream has several hosts and it was seen on one, or several days and it was seen on one.
    """
    order = np.argsort(-scored.logits, kind="stable")
    tail = np.zeros(len(order), bool)
    within = np.cumsum(scored.counts[order]) <= TAIL * scored.counts.sum()
    tail[order[within]] = True
    tail[order[: int(np.ceil(TAIL * len(order)))]] = True
    seen = [kept.recurrence for kept in scored.kept]
    hosts = {host for kept in scored.kept for host in kept.hosts}
    days = {day for kept in scored.kept for day in kept.days}
    lone = [(len(hosts) > 1 and row.hosts < 2) or (len(days) > 1 and row.days < 2) for row in seen]
    return Left(rules=np.array([kept.fired for kept in scored.kept]), tail=tail, lone=np.array(lone))


def head(scored: Scored, ordinary: Flags, attacks: Floats | None) -> Floats | None:
    """The head's weights: what tells the site's ordinary from the attack reference, each side weighing the same.

    None where the bundle brings no reference, or too little is ordinary.
    """
    rows = features(scored.scores)[ordinary]
    if attacks is None or len(rows) < FEWEST:
        return None
    often = np.log1p(scored.counts[ordinary])
    weight = np.concatenate([often / often.sum(), np.full(len(attacks), 1.0 / len(attacks))]) * len(rows)
    truth = np.concatenate([np.zeros(len(rows)), np.ones(len(attacks))])
    return fitted(np.concatenate([rows, attacks]), truth, weight, RIDGE)


def recurrences(scored: Scored, ordinary: Flags) -> dict[int, Recurrence]:
    """By key how often each ordinary event, and its program under its parent, was seen on how many hosts and days."""
    found: dict[int, Recurrence] = {}
    under: dict[int, Kept] = {}
    for place in np.flatnonzero(ordinary):
        kept = scored.kept[place]
        found[exact_key(scored.fingerprints[place])] = kept.recurrence
        key = under_key(kept.kind, kept.pairs)
        together = under.setdefault(key, Kept(kept.kind, (), 0))
        together.events += kept.events
        together.hosts |= kept.hosts
        together.days |= kept.days
    return {key: kept.recurrence for key, kept in under.items()} | found


def _sample(scored: Scored, left: Left, seen: Mapping[int, Recurrence], attacks: Floats | None) -> Sample:
    """The stream's logits as the layer would give them, each half by a head that learnt from the other half."""
    half = np.array([int(fingerprint[-1], 16) % 2 for fingerprint in scored.fingerprints])
    after = scored.logits.copy()
    rows = features(scored.scores)
    for side in (0, 1):
        weights = head(scored, left.ordinary & (half != side), attacks)
        if weights is not None:
            mine = half == side
            after[mine] += HALF * (rows[mine] @ weights[:-1] + weights[-1])
    after -= np.array(
        [
            lowered(
                seen.get(exact_key(fingerprint), Recurrence()),
                seen.get(under_key(kept.kind, kept.pairs), Recurrence()),
            )
            for fingerprint, kept in zip(scored.fingerprints, scored.kept, strict=True)
        ]
    )
    alarms = [min(kept.events, max(len(kept.hosts), 1) * max(len(kept.days), 1)) for kept in scored.kept]
    may = ~left.rules
    return Sample(
        before=scored.logits[may],
        after=after[may],
        alarms=np.array(alarms, np.float64)[may],
        lone=left.lone[may],
        events=int(scored.counts.sum()),
    )


def _missing(found: Gathered, demands: Demands, any_ordinary: bool) -> Iterator[str]:
    """What keeps a baseline from standing: one sentence each."""
    if found.events < demands.events:
        yield f"{found.events} events passed, {demands.events} are needed"
    if len(found.days) < demands.days:
        yield f"they are of {len(found.days)} days, {demands.days} are needed"
    if (share := novelty(found)) > demands.novelty:
        yield f"{share:.0%} of the last events were of a kind not seen before; it must be {demands.novelty:.0%} or less"
    if not any_ordinary:
        yield "the guards leave nothing that is ordinary"


def _learnt(found: Gathered, scored: Scored, left: Left) -> Learnt:
    return Learnt(
        events=found.events,
        distinct=len(scored.kept),
        ordinary=int(left.ordinary.sum()),
        hosts=len(found.hosts),
        days=len(found.days),
        first=day_name(min(found.days)) if found.days else "",
        last=day_name(max(found.days)) if found.days else "",
        novelty=round(novelty(found), 4),
        forgotten=found.forgotten,
    )


def _event(fingerprint: str, kept: Kept) -> Event:
    """The event as far as the text member reads it."""
    nowhere = SourceRef(siem="baseline", index="", id="")
    return Event(id="", ref=nowhere, kind=kept.kind, ecs={}, canonical=kept.pairs, fingerprint=fingerprint)


def _chunks(items: Sequence[tuple[str, Kept]]) -> Iterator[Sequence[tuple[str, Kept]]]:
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
