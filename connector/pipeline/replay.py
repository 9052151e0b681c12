"""Replays dead letters: events through the one way in, deliveries through the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import ConfigError
from connector.ledger import Ledger
from connector.pipeline.ingest import Ingest
from connector.pipeline.kept import restored


def replay(ids: Sequence[int], ledger: Ledger, ingests: Mapping[str, Ingest]) -> int:
    """Replays these dead letters. One whose event fails again stays a dead letter, with one more attempt counted.

    Returns how many were pushed or queued again. Raises ``ConfigError`` where an event's source is no longer configured.
    """
    replayed = ledger.replay(ids)
    for letter in replayed.push:
        ingest = ingests.get(letter.source)
        if ingest is None:
            known = ", ".join(ingests) or "none"
            raise ConfigError(
                f"dead letter {letter.id} is of source {letter.source!r}; configured sources are: {known}"
            )
        ingest.batch([restored(letter.payload)])
    return len(replayed.push) + replayed.requeued
