"""Log events and metrics: every name is a constant here, and one call emits a log line and its counter."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from enum import Enum
from typing import Any, TextIO

import structlog
from prometheus_client import Counter, Gauge, Histogram
from structlog.tracebacks import ExceptionDictTransformer

NAMESPACE = "triaged"


class Signal(Enum):
    """Everything that the product reports: (event name in the log, level)."""

    STARTED = ("daemon.started", "info")
    LEDGER_AWAITED = ("daemon.ledger_awaited", "warning")
    STOPPING = ("daemon.stopping", "info")
    STOPPED = ("daemon.stopped", "info")
    RELOADED = ("daemon.reloaded", "info")
    RELOAD_REFUSED = ("daemon.reload_refused", "error")
    BUNDLE_SWAPPED = ("model.bundle_swapped", "info")
    SITE_LEARNT = ("model.site_learnt", "info")
    SITE_REFUSED = ("model.site_refused", "error")
    BUNDLE_REFUSED = ("model.bundle_refused", "error")
    SHADOW_REFUSED = ("model.shadow_refused", "error")
    THREADS_FOUND = ("model.threads_found", "info")
    RULES_RELOADED = ("model.rules_reloaded", "info")
    RULES_REFUSED = ("model.rules_refused", "error")
    BATCH_DONE = ("ingest.batch_done", "debug")
    POLL_DONE = ("ingest.poll_done", "debug")
    READ_INCOMPLETE = ("ingest.read_incomplete", "warning")
    MEMORY_RENEWED = ("ingest.memory_renewed", "warning")
    BATCH_RETRIED = ("ingest.batch_retried", "warning")
    LEASE_LOST = ("ingest.lease_lost", "warning")
    SOURCE_PAUSED = ("ingest.source_paused", "warning")
    DEAD_LETTER = ("dead_letter", "warning")
    FOREIGN_MARK = ("ingest.foreign_mark", "warning")
    OWN_RECORD = ("ingest.own_record", "debug")
    DELIVERY_RETRIED = ("deliver.retried", "warning")
    TARGET_PARKED = ("deliver.parked", "warning")
    LOOKUP_PUBLISHED = ("deliver.lookup_published", "info")
    LOOKUP_FAILED = ("deliver.lookup_failed", "warning")
    ACKS_MISSING = ("deliver.acks_missing", "warning")
    SOURCE_NOT_UPDATED = ("deliver.source_not_updated", "warning")
    ACTION_RUN = ("action.run", "info")
    ACTION_WAITING = ("action.waiting", "info")
    ACTION_REFUSED = ("action.refused", "info")
    JOB_FAILED = ("job.failed", "error")
    RETENTION_DONE = ("retention.done", "info")
    DISPOSITIONS_READ = ("history.read", "debug")
    API_LISTENING = ("api.listening", "info")
    API_BUSY = ("api.busy", "warning")
    ALERT_UNJOINED = ("history.unjoined", "warning")
    EXPORTED = ("export.done", "info")
    REVIEWED = ("review.done", "info")


SIGNALS = Counter("signals", "What happened, by event name", ("event", "subject"), namespace=NAMESPACE)
EVENTS = Counter("events", "Events that ended in the ledger", ("source", "outcome"), namespace=NAMESPACE)
LISTED_EVENTS = Counter(
    "listed_events", "Events that an entry of a list decided", ("source", "list"), namespace=NAMESPACE
)
LIST_ENTRIES = Gauge("list_entries", "Entries of allow and block lists", ("list", "state"), namespace=NAMESPACE)
DELIVERIES = Counter("deliveries", "Records by target and outcome", ("target", "outcome"), namespace=NAMESPACE)
STEP_SECONDS = Histogram("step_seconds", "Time spent in each step of the two loops", ("step",), namespace=NAMESPACE)
PENDING = Gauge("outbox_pending", "Rows that wait for a target", ("target",), namespace=NAMESPACE)
CACHE = Counter("score_cache", "Look-ups of scores by key", ("member", "outcome"), namespace=NAMESPACE)
UNTRAINED = Counter(
    "untrained_events", "Events of a kind the bundle was not trained on", ("kind",), namespace=NAMESPACE
)
API_REQUESTS = Counter("api_requests", "Requests to the API", ("route", "status"), namespace=NAMESPACE)
API_SECONDS = Histogram("api_seconds", "Time from a request's header to its answer", ("route",), namespace=NAMESPACE)

_log = structlog.get_logger("triaged")


def emit(signal: Signal, subject: str = "", *, error: BaseException | None = None, **fields: Any) -> None:
    """Writes one log line and counts it. ``subject`` is the source, target or member concerned; it must be bounded."""
    event, level = signal.value
    SIGNALS.labels(event=event, subject=subject).inc()
    if subject:
        fields["subject"] = subject
    getattr(_log, level)(event, exc_info=error, **fields)


def configure(format_: str, level: str, stream: TextIO | None = None) -> None:
    """Sets structlog up: JSON lines, or a console format on a terminal; ``auto`` chooses. Logs go to standard error."""
    stream = stream or sys.stderr
    as_json = format_ == "json" or (format_ == "auto" and not stream.isatty())
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _mask_secrets,
    ]
    # tracebacks without local variables: those hold events and secrets
    traceback = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))
    console = structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback)
    processors += [traceback, structlog.processors.JSONRenderer()] if as_json else [_visible, console]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    # a job that is still at work when its next turn comes is no news
    logging.getLogger("apscheduler.scheduler").setLevel(logging.ERROR)


class _Library(logging.Handler):
    """Passes what libraries log on to our log, in our format."""

    def emit(self, record: logging.LogRecord) -> None:
        _log.log(record.levelno, "library", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


def _visible(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Shows control characters instead of sending them to a terminal: events choose some of the text."""
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[name] = repr(value)
    return fields


_SECRET_WORDS = ("password", "secret", "token", "api_key", "authorization", "origin_key")


def _mask_secrets(_: Any, __: str, fields: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in fields:
        if any(word in name.lower() for word in _SECRET_WORDS):
            fields[name] = "***"
    return fields
