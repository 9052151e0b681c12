"""What every room of the ledger has: the database and the clock."""

from __future__ import annotations

from connector.ledger.database import Database
from connector.ledger.times import micros
from connector.ports import Clock


class Room:
    """A group of the ledger's verbs around one noun. :class:`connector.ledger.Ledger` is the sum of all rooms."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def _now(self) -> int:
        return micros(self._clock())
