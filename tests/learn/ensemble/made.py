"""Recordings of known scores, so that what is trained and measured on them has a known answer."""

from __future__ import annotations

import numpy as np

from connector.learn.streams import StreamSet
from connector.learn.training.ensemble.opinions import RULES, TEXT, Fold, context
from connector.learn.training.ensemble.recorded import ATTACK, BACKGROUND, Mark, Part, Recorded
from connector.models.commons import table
from connector.types import Entity, Scores

EVENTS, ATTACKS = 80, 24
LABELS = ("T1003", "T1033", "T1059")
HOUR = 3_600_000_000


def recorded(folds: int = 3, each: int = 3) -> Recorded:
    """Recordings of :data:`EVENTS` distinct events each, of which the :data:`ATTACKS` in the middle are the attack's."""
    parts: list[Part] = []
    marks: list[Mark] = []
    for number in range(folds * each):
        start = number * EVENTS
        kind: StreamSet = "campaign" if number % each == 0 else "single-technique"
        place = f"datasets/{kind}/r{number}/r{number}.zip"
        parts.append(Part(place, place, kind, f"site-{number // each}", (), "evil", "", start, start + EVENTS))
        marks += [Mark(f"{start + event:064x}", "sysmon-1", f"event {start + event}", ()) for event in range(EVENTS)]
    label = np.full(EVENTS, BACKGROUND, np.uint8)
    label[30 : 30 + ATTACKS] = ATTACK
    count = len(parts) * EVENTS
    whose = [((f"host:h{number}\tcorpus", Entity(host=f"h{number}")),) for number in range(len(parts))]
    return Recorded(
        marks,
        parts,
        [],
        whose,
        {},
        np.arange(count, dtype=np.int32),
        np.repeat(np.arange(len(parts)), EVENTS).astype(np.int32),
        np.tile(label, len(parts)),
        np.arange(count, dtype=np.int64) * 1_000_000 + HOUR,
    )


def folds(found: Recorded, *, text: float, rules: float, each: int = 3, seed: int = 1) -> list[Fold]:
    """One fold a site. A member's logit is its worth times the side, and noise; rules have no view of every fourth event."""
    draw = np.random.default_rng(seed)
    made: list[Fold] = []
    for first in range(0, len(found.parts), each):
        parts = tuple(range(first, first + each))
        events = np.arange(found.parts[first].start, found.parts[first + each - 1].stop)
        side = np.where(found.label[events] == ATTACK, 1.0, -1.0)
        said = [_said(worth * side + draw.normal(0, 1, len(events)), side, draw) for worth in (text, rules)]
        said[1].p_malicious[::4] = np.nan
        said[1].techniques[::4] = np.nan
        made.append(
            Fold(
                name=f"fold {len(made) + 1}",
                parts=parts,
                events=events,
                marks=found.mark[events],
                of=np.arange(len(events)),
                labels={TEXT: LABELS, RULES: LABELS},
                views={TEXT: said[0], RULES: said[1]},
                remembered={},
                context=context(found, found.mark[events], table({})),
                administration=_said(draw.normal(-1, 1, 40), np.full(40, -1.0), draw),
                administrators=tuple(f"package {number % 8}" for number in range(40)),
            )
        )
    return made


def _said(logits: np.ndarray, side: np.ndarray, draw: np.random.Generator) -> Scores:
    techniques = np.full((len(logits), len(LABELS)), 0.05, np.float32)
    techniques[np.arange(len(logits)), draw.integers(0, len(LABELS), len(logits))] = np.where(
        side > 0, 0.9, draw.choice([0.2, 0.9], len(logits))
    )
    return Scores(techniques, (1 / (1 + np.exp(-logits))).astype(np.float32), ())
