"""The ledger: the only state. SQLite by default, PostgreSQL where several replicas share the work.

:class:`Ledger` is the sum of its rooms, one file each; every public method of a room is a method of the ledger.
"""

from __future__ import annotations

from connector.ledger.admission import Admission, Admissions
from connector.ledger.audit import Audit, chained
from connector.ledger.closures import Closures
from connector.ledger.controls import Controls
from connector.ledger.database import Database
from connector.ledger.dead_letters import DeadLetters
from connector.ledger.dispositions import Dispositions
from connector.ledger.entities import Entities, EntitiesMovedError, EntityChanges, EntityRow, IncidentRow
from connector.ledger.gaps import Gaps, proven
from connector.ledger.ingest import Ingest
from connector.ledger.intervals import Intervals
from connector.ledger.leases import Leases
from connector.ledger.migrate import to_head
from connector.ledger.outbox import Outbox
from connector.ledger.past import Past
from connector.ledger.readers import Readers
from connector.ledger.retention import Retention
from connector.ledger.reviews import REVIEW, Reviews
from connector.ledger.rows import (
    Approval,
    AuditEntry,
    Claim,
    Commit,
    Committed,
    Counted,
    DeadLetter,
    Gap,
    Interval,
    Lease,
    Noted,
    OpenRun,
    OutboxRow,
    PastAction,
    PastSilence,
    Reader,
    Renewal,
    Replayed,
    Review,
    RunRow,
    Scored,
    Settlement,
    Silence,
    Status,
    Switch,
)
from connector.ledger.runs import Runs
from connector.ledger.shadow import Shadows
from connector.ledger.states import States
from connector.ledger.status import StatusRoom
from connector.ledger.verdicts import Verdicts
from connector.ports import Clock


class Ledger(
    Leases,
    Readers,
    Ingest,
    States,
    Entities,
    Intervals,
    Gaps,
    Outbox,
    Admissions,
    Runs,
    Controls,
    Audit,
    Past,
    DeadLetters,
    Dispositions,
    Closures,
    Reviews,
    Shadows,
    Verdicts,
    Retention,
    StatusRoom,
):
    """Everything that Triaged knows. Synchronous and thread-safe; made by :func:`open_ledger`."""

    def close(self) -> None:
        """Closes all connections."""
        self._db.close()


def open_ledger(url: str, clock: Clock) -> Ledger:
    """The ledger at a SQLAlchemy URL, migrated to this release's schema.

    Raises ``ConfigError`` where the URL cannot be used, the file cannot be opened, the server refuses us, or a newer
    release wrote it, and ``TransientError`` where a server does not answer or another process holds the file.
    """
    database = Database(url)
    try:
        to_head(database)
    except BaseException:
        database.close()
        raise
    return Ledger(database, clock)


__all__ = [
    "REVIEW",
    "Admission",
    "Approval",
    "AuditEntry",
    "Claim",
    "Commit",
    "Committed",
    "Counted",
    "DeadLetter",
    "EntitiesMovedError",
    "EntityChanges",
    "EntityRow",
    "Gap",
    "IncidentRow",
    "Interval",
    "Lease",
    "Ledger",
    "Noted",
    "OpenRun",
    "OutboxRow",
    "PastAction",
    "PastSilence",
    "Reader",
    "Renewal",
    "Replayed",
    "Review",
    "RunRow",
    "Scored",
    "Settlement",
    "Silence",
    "Status",
    "Switch",
    "chained",
    "open_ledger",
    "proven",
]
