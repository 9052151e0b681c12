"""What a challenger in shadow says beside the champion: counts by what both said, and samples of where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec
import sqlalchemy as sa

from connector.ledger.codec import encode
from connector.ledger.database import insert
from connector.ledger.room import Room
from connector.ledger.schema import shadow_counts, shadow_samples
from connector.ledger.times import micros

SAMPLES: Final = 1_000
"""Samples that are kept; the oldest give way."""

DAY: Final = 86_400_000_000
"""Microseconds."""


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """What both said of an event: the verdicts' names, and whether the techniques that would be written are the same.

    ``instead`` is None where the challenger was not asked, since too much waited or the process ended.
    """

    said: str
    instead: str | None
    same_techniques: bool = True

    @property
    def agree(self) -> bool:
        """Whether an analyst would see the same."""
        return self.said == self.instead and self.same_techniques


class Disagreement(msgspec.Struct, frozen=True, kw_only=True):
    """One event on which they differ; its text stays where the ledger keeps it."""

    event_id: str
    champion: str
    challenger: str
    at: datetime
    compared: Compared
    confidence: float | None
    instead_confidence: float | None
    passed: tuple[str, ...]
    instead_passed: tuple[str, ...]


class ShadowCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many events of one day (days since the epoch, UTC) two bundles said this of."""

    champion: str
    challenger: str
    day: int
    compared: Compared
    events: int


_decode = msgspec.json.Decoder(Disagreement).decode


class Shadows(Room):
    """Counts and samples by champion and challenger."""

    def record_shadow(
        self, champion: str, challenger: str, counts: Mapping[Compared, int], samples: Sequence[Disagreement]
    ) -> None:
        """Adds counts to those of today, and samples to those that are kept, in one transaction."""
        now = self._now()
        keys = {"champion": champion, "challenger": challenger, "day": now // DAY}
        rows = [
            {
                **keys,
                "said": one.said,
                "instead": one.instead or "",
                "same_techniques": one.same_techniques,
                "events": events,
            }
            for one, events in sorted(counts.items(), key=lambda item: encode(item[0]))
        ]
        kept = [
            {"challenger": challenger, "event_id": one.event_id, "at": micros(one.at), "document": encode(one)}
            for one in sorted(samples, key=lambda one: one.event_id)
        ]
        with self._db.write() as tx:
            if rows:
                adding = insert(tx, shadow_counts)
                total = shadow_counts.c.events + adding.excluded.events
                tx.execute(adding.on_conflict_do_update(index_elements=_KEY, set_={"events": total}), rows)
            if kept:
                tx.execute(insert(tx, shadow_samples).on_conflict_do_nothing(), kept)
                ranked = sa.select(shadow_samples.c.id).order_by(shadow_samples.c.id.desc())
                if (oldest := tx.execute(ranked.offset(SAMPLES).limit(1)).scalar()) is not None:
                    tx.execute(sa.delete(shadow_samples).where(shadow_samples.c.id <= oldest))

    def shadow_counts(self) -> list[ShadowCount]:
        """Every count, oldest day first."""
        query = sa.select(shadow_counts).order_by(*(shadow_counts.c[name] for name in ("day", *_KEY)))
        with self._db.read() as tx:
            return [
                ShadowCount(
                    champion=row.champion,
                    challenger=row.challenger,
                    day=row.day,
                    compared=Compared(said=row.said, instead=row.instead or None, same_techniques=row.same_techniques),
                    events=row.events,
                )
                for row in tx.execute(query)
            ]

    def shadow_samples(self, limit: int) -> list[Disagreement]:
        """The newest samples, newest first."""
        query = sa.select(shadow_samples.c.document).order_by(shadow_samples.c.id.desc()).limit(limit)
        with self._db.read() as tx:
            return [_decode(document) for document in tx.execute(query).scalars()]


_KEY: Final = ("champion", "challenger", "day", "said", "instead", "same_techniques")
