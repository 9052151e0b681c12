"""All tables. Times are integer microseconds since the epoch; documents are msgspec JSON.

The hot tables are laid out for a stream of random ids: each event touches one random index page (the verdict's record
id, which at revision 1 is the event's id, so that "is this event known?" needs no index of its own). Everything else
that an event writes goes to the end of its table: verdict documents and outbox rows by row number, sightings by offset.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from connector.ledger.columns import Id, Serial

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

OPEN, DONE, DEAD = 0, 1, 2
"""States of an outbox row. Delivered records are deleted; actions stay DONE, so that their key is never used twice."""

_OPEN = text("state = 0")
_HAS_PAYLOAD = text("payload IS NOT NULL")

cursors = Table(
    "cursors",
    metadata,
    Column("source", String, primary_key=True),
    Column("digest", String, primary_key=True),
    Column("partition", String, primary_key=True),
    Column("purpose", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("span_stop", BigInteger),
    Column("token", Text),
    Column("attempts", Integer, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

streams = Table(
    "streams",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("source", String, nullable=False),
    Column("partition", String, nullable=False),
    UniqueConstraint("source", "partition"),
)
"""A short number for each source partition, because sightings and intervals repeat it by the million."""

intervals = Table(
    "intervals",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("stream", BigInteger, nullable=False),
    Column("digest", String, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("stop", BigInteger, nullable=False),
    Column("read_at", BigInteger, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("matched", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Index(None, "stream", "digest", "start"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("stream", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("event_id", Id, primary_key=True),
    sqlite_with_rowid=False,
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("record_id", Id, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("verdict", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("record_id"),
    Index(None, "verdict", "id"),
)

tombstones = Table(
    "tombstones",
    metadata,
    Column("subject", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Index(None, "at"),
    sqlite_with_rowid=False,
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("event_id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("redacted_at", BigInteger),
    Column("document", LargeBinary, nullable=False),
    Index(None, "at"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("subject", Id, nullable=False),
    Column("source", String, nullable=False),
    Column("outbox_id", BigInteger),
    Column("reason", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("replayed_at", BigInteger),
    Column("resolved_at", BigInteger),
    Index(
        "uq_dead_letters_event",
        "subject",
        unique=True,
        sqlite_where=text("outbox_id IS NULL"),
        postgresql_where=text("outbox_id IS NULL"),
    ),
    Index(
        "uq_dead_letters_delivery",
        "outbox_id",
        unique=True,
        sqlite_where=text("outbox_id IS NOT NULL"),
        postgresql_where=text("outbox_id IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("target", String, nullable=False),
    Column("record_id", Id, nullable=False),
    Column("kind", String, nullable=False),
    Column("payload", LargeBinary),
    Column("state", SmallInteger, nullable=False),
    Column("available_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("doubts", Integer, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("owner", String),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_outbox_open", "target", "available_at", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
    Index(
        "uq_outbox_record", "target", "record_id", unique=True, sqlite_where=_HAS_PAYLOAD, postgresql_where=_HAS_PAYLOAD
    ),
    sqlite_autoincrement=True,
)
"""A claimed row is an open row with an owner, whose ``available_at`` is the end of the claim: when that passes, it is
open to others again, and doubtful. Row numbers are never used twice, or an old claim could settle a new row."""

runs = Table(
    "runs",
    metadata,
    Column("action_key", Id, primary_key=True),
    Column("soar", String, nullable=False),
    Column("run_id", String),
    Column("state", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("action", LargeBinary, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("polled_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Index(
        "ix_runs_open",
        "soar",
        "polled_at",
        sqlite_where=text("state = 'running'"),
        postgresql_where=text("state = 'running'"),
    ),
)

approvals = Table(
    "approvals",
    metadata,
    Column("action_key", Id, primary_key=True),
    Column("state", String, nullable=False),
    Column("who", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("expires_at", BigInteger),
)

counters = Table(
    "counters",
    metadata,
    Column("scope", String, primary_key=True),
    Column("action_key", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Index(None, "scope", "at"),
)

switches = Table(
    "switches",
    metadata,
    Column("name", String, primary_key=True),
    Column("on", Boolean, nullable=False),
    Column("who", String, nullable=False),
    Column("at", BigInteger, nullable=False),
)

silences = Table(
    "silences",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("scope", String, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String, nullable=False),
    Column("what", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("prev", String, nullable=False),
    Column("hash", String, nullable=False),
)
"""Append-only: triggers of the migration refuse updates and deletions."""

member_state = Table(
    "member_state",
    metadata,
    Column("member", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
)

entities = Table(
    "entities",
    metadata,
    Column("key", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("risk", Float, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("entity_key", String, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index(None, "opened_at"),
)

dispositions = Table(
    "dispositions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("history", String, nullable=False),
    Column("alert_id", String, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("observed_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index(None, "history", "alert_id", "changed_at"),
    Index(None, "observed_at"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", Id, nullable=False),
    Column("reason", String, nullable=False),
    Column("asked_at", BigInteger, nullable=False),
    Column("answered_at", BigInteger),
    Column("analyst", String),
    Column("document", LargeBinary, nullable=False),
    Index(None, "event_id"),
)

shadow_counts = Table(
    "shadow_counts",
    metadata,
    Column("champion", String, primary_key=True),
    Column("challenger", String, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("said", String, primary_key=True),
    Column("instead", String, primary_key=True),
    Column("same_techniques", Boolean, primary_key=True),
    Column("events", BigInteger, nullable=False),
)

shadow_samples = Table(
    "shadow_samples",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("challenger", String, nullable=False),
    Column("event_id", Id, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    UniqueConstraint("challenger", "event_id"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("owner", String),
    Column("fence", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
