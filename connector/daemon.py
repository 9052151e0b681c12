"""The daemon: APScheduler jobs for each source, target, SOAR and history, and the signals that end or reload them.

SIGTERM and SIGINT drain: no new batch is begun, what is under way is committed, and the process exits 0.
SIGHUP reloads the settings, the policy and the bundle; where they are not valid, the running ones stay. What may work next
time, as with a store that is locked, is tried again until it does.
"""

from __future__ import annotations

import gc
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from wsgiref.simple_server import WSGIServer

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from prometheus_client import start_http_server
from threadpoolctl import threadpool_limits

from connector.api import Door
from connector.errors import ConfigError, LostLeaseError, TransientError, TriagedError
from connector.telemetry import Signal, emit
from connector.wiring import App

BUNDLE_CHECK = timedelta(seconds=10)
RELOAD_AGAIN_S = 5.0
WAKE_BYTES = 4096
SHADOW_EVERY = timedelta(seconds=1)
SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter to itself. A scoring thread asks for it once an event, and Python's five
milliseconds are as long as an event takes: it would wait as long as it works."""

COLLECT_AFTER = 10_000
"""New containers between two looks for garbage. A batch of documents holds more than Python's 700, and none of it is
garbage before the batch is in."""


class Daemon:
    """Runs an :class:`~connector.wiring.App` until it is told to stop."""

    def __init__(self, build: Callable[[], App], again: Callable[[], App] | None = None) -> None:
        """``again`` builds for a reload, and need not wait for a server: it is called again soon where it fails."""
        self._build = again or build
        self._app = build()
        self._door = Door()
        self._reload = False
        self._stop = False
        self._scheduler = self._scheduled()

    @property
    def app(self) -> App:
        """What runs now."""
        return self._app

    def run(self) -> None:
        """Blocks until SIGTERM or SIGINT, and drains."""
        with self._signals() as signals:
            self._run(signals)

    def _run(self, signals: socket.socket) -> None:
        tune()
        server = self._metrics_server()
        self._open_door()
        self._scheduler.start()
        emit(Signal.STARTED, sources=list(self._app.sources), targets=list(self._app.writers))
        try:
            while not self._stop:
                if select.select([signals], [], [], RELOAD_AGAIN_S if self._reload else None)[0]:
                    signals.recv(WAKE_BYTES)
                if self._reload and not self._stop:
                    self._reload = False
                    self._swap()
        finally:
            emit(Signal.STOPPING)
            self._shut_down()
            self._door.close()
            if server is not None:
                server.shutdown()
                server.server_close()
            emit(Signal.STOPPED)

    @contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Handles the signals, and gives a socket that each of them makes readable.

        Python runs a handler between two of this thread's instructions. A signal that comes just before the thread begins to
        wait, or that the kernel hands to another thread, wakes no lock; the bytes that the interpreter writes here do.
        """
        signals, interpreter = socket.socketpair()
        with signals, interpreter:
            interpreter.setblocking(False)
            before = signal.set_wakeup_fd(interpreter.fileno(), warn_on_full_buffer=False)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_stop)
            signal.signal(signal.SIGHUP, self._on_hup)
            try:
                yield signals
            finally:
                signal.set_wakeup_fd(before)

    def _metrics_server(self) -> WSGIServer | None:
        metrics = self._app.settings.metrics
        try:
            return start_http_server(metrics.port, metrics.host)[0] if metrics.port else None
        except OSError as error:
            self._app.close()
            raise ConfigError(f"metrics: cannot listen on {metrics.host}:{metrics.port}: {error.strerror}") from error

    def _open_door(self) -> None:
        try:
            self._door.open(self._app.desk())
        except ConfigError:
            self._door.close()
            self._app.close()
            raise

    def _on_stop(self, _: int, __: FrameType | None) -> None:
        self._stop = True
        self._app.stopping.set()  # a reload may be under way: its end is not waited for

    def _on_hup(self, _: int, __: FrameType | None) -> None:
        self._reload = True

    def _swap(self) -> None:
        """Builds anew from the settings and only then lets the old go."""
        try:
            fresh = self._build()
        except (TriagedError, OSError) as error:
            passing = isinstance(error, TransientError)
            if passing:
                self._reload = True
            emit(Signal.RELOAD_REFUSED, reason=f"{error}; it is tried again soon" if passing else str(error))
            return
        if self._stop:
            fresh.close()
            return
        try:
            self._door.prepare(fresh.settings.api)
        except ConfigError as error:
            fresh.close()
            emit(Signal.RELOAD_REFUSED, reason=str(error))
            return
        self._shut_down()
        fresh.go_on_from(self._app)
        self._app = fresh
        tune()
        self._door.open(fresh.desk())
        self._scheduler = self._scheduled()
        self._scheduler.start()
        emit(Signal.RELOADED)

    def _shut_down(self) -> None:
        self._app.stopping.set()
        self._door.shut()
        self._scheduler.shutdown(wait=True)
        self._app.close()

    def _scheduled(self) -> BackgroundScheduler:
        """One job a source, target, SOAR and history; missed runs are made up for once, and no job overlaps itself."""
        app = self._app
        jobs: list[tuple[str, Callable[[], object], timedelta, timedelta | None]] = [
            ("bundle", app.swap_bundle, BUNDLE_CHECK, None),
            ("retention", lambda: retain(app), app.settings.retention.every, None),
        ]
        if app.site is not None:
            jobs.append(("site", app.learn_site, app.settings.site.every, None))
        if app.shadow is not None:
            jobs.append(("shadow", app.shadow.run, SHADOW_EVERY, None))
        for name, ingest in app.ingests.items():
            jobs.append((f"source:{name}", ingest.poll, ingest.settings.every, ingest.settings.jitter))
        for name, deliver in app.delivers.items():
            jobs.append((f"target:{name}", deliver.drain, deliver.settings.every, None))
        for name, act in app.acts.items():
            jobs.append((f"soar:{name}", act.drain, act.settings.every, None))
        for name, history in app.history_jobs.items():
            jobs.append((f"history:{name}", history.poll, history.settings.every, None))
        if app.review is not None:
            jobs.append(("review", app.review.run, app.settings.review.every, None))
        if app.export is not None:
            jobs.append(("export", app.export.run, app.settings.export.every, None))
        scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(len(jobs))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )
        for name, work, every, jitter in jobs:
            trigger = IntervalTrigger(seconds=every.total_seconds(), jitter=jitter.total_seconds() if jitter else None)
            scheduler.add_job(guarded(name, work), trigger, id=name, next_run_time=app.clock())
        return scheduler


def tune() -> None:
    """Sets the interpreter and its libraries up for many threads, and for much that lives long.

    What was loaded until now is never looked through for garbage. Each thread does its own linear algebra: a library's own
    threads would go on spinning after every product of a batch, on cores that another thread could use.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    threadpool_limits(1, "blas")
    gc.set_threshold(COLLECT_AFTER, *gc.get_threshold()[1:])
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def guarded(name: str, work: Callable[[], object]) -> Callable[[], None]:
    """A job for the scheduler: the next run goes on whatever went wrong in this one."""

    def run() -> None:
        attempted(name, work)

    return run


def attempted(name: str, work: Callable[[], object]) -> bool:
    """A loop's outermost line: whatever goes wrong is counted and logged with its traceback. False: it failed."""
    try:
        work()
    except LostLeaseError as error:
        emit(Signal.LEASE_LOST, name, reason=str(error))
    except TransientError as error:
        emit(Signal.BATCH_RETRIED, name, reason=str(error))
    except Exception as error:  # noqa: BLE001 (the outermost line)
        emit(Signal.JOB_FAILED, name, error=error)
    else:
        return True
    return False


def retain(app: App) -> None:
    """Applies the retention times to the ledger."""
    counts = app.ledger.retain(app.settings.retention, app.clock(), present=present(app), stopping=app.stopping.is_set)
    emit(Signal.RETENTION_DONE, removed=counts)


def present(app: App) -> dict[str, frozenset[str]]:
    """The partitions that each source has now, without the sources that cannot be asked, or have none."""
    found: dict[str, frozenset[str]] = {}
    for name, source in app.sources.items():
        try:
            found[name] = frozenset(head.partition for head in source.heads())
        except TriagedError as error:
            emit(Signal.READ_INCOMPLETE, name, reason=str(error))
    return {name: partitions for name, partitions in found.items() if partitions}


def drain(app: App) -> list[str]:
    """Reads all there is, delivers all that is due, and follows every run: what the daemon does, once and in order.

    A job that fails stops no other, and is not tried again. Returns the names of those that failed.
    """
    failed: list[str] = []

    def moved_by(name: str, work: Callable[[], object]) -> int:
        done: list[object] = []
        if name in failed:
            return 0
        if not attempted(name, lambda: done.append(work())):
            failed.append(name)
        return sum(number for number in done if isinstance(number, int))

    for name, ingest in app.ingests.items():
        moved_by(f"source:{name}", ingest.poll)
    for name, history in app.history_jobs.items():
        moved_by(f"history:{name}", history.poll)
    if app.review is not None:
        moved_by("review", app.review.run)
    moved = 1
    while moved and not app.stopping.is_set():
        moved = sum(moved_by(f"soar:{name}", act.drain) for name, act in app.acts.items())
        moved += sum(moved_by(f"soar:{name}", act.follow) for name, act in app.acts.items())
        moved += sum(moved_by(f"target:{name}", deliver.drain) for name, deliver in app.delivers.items())
    for name, learn in _learning(app):
        moved_by(name, learn)
    moved_by("retention", lambda: retain(app))
    return failed


def _learning(app: App) -> Iterator[tuple[str, Callable[[], object]]]:
    """What learns from all that has passed, and what compares with it."""
    if app.export is not None:
        yield "export", app.export.run
    if app.site is not None:
        yield "site", app.learn_site
    if app.shadow is not None:
        yield "shadow", app.shadow.run
