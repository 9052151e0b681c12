"""Replays dead letters: events through the one way in, deliveries through the outbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import ConfigError, TriagedError
from connector.ledger import Ledger
from connector.pipeline.ingest import Ingest
from connector.pipeline.kept import restored


def replay(ids: Sequence[int], ledger: Ledger, ingests: Mapping[str, Ingest], who: str) -> int:
    """Replays these dead letters. One whose event fails again stays a dead letter, with one more attempt counted.

    ``who`` does it, for the audit log. Returns how many were pushed or queued again. Raises ``ConfigError``, once all others are done, naming those that
    cannot be: their source is no longer configured, could not read them itself, or they were kept in part only. They
    stay unresolved.
    """
    done = 0
    refused: list[str] = []
    for number in ids:
        try:
            done += _replay(number, ledger, ingests, who)
        except TriagedError as error:
            refused.append(f"dead letter {number}: {error}")
    if refused:
        raise ConfigError(f"replayed {done}; {len(refused)} could not be replayed: " + "; ".join(refused))
    return done


def _replay(number: int, ledger: Ledger, ingests: Mapping[str, Ingest], who: str) -> int:
    for letter in ledger.dead_letters(ids=[number], kind="event"):
        if letter.source not in ingests:
            known = ", ".join(ingests) or "none"
            raise ConfigError(f"it is of source {letter.source!r}; configured sources are: {known}")
        kept = restored(letter.payload)
        if kept.obstacle is not None:
            raise ConfigError(f"{kept.obstacle}; read it from its source again, where that can be mended")
    replayed = ledger.replay([number], who)
    for letter in replayed.push:
        ingests[letter.source].batch([restored(letter.payload).raw])
    return len(replayed.push) + replayed.requeued
