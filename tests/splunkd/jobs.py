"""Search jobs: oneshot, normal and export, with the limits, messages and failures of a search head."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.splunkd import atom, results, timerange
from tests.splunkd.auth import Sessions
from tests.splunkd.faults import Faults
from tests.splunkd.spl import pipeline
from tests.splunkd.spl.context import Job, Row, Site
from tests.splunkd.spl.text import RunError
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

MOST_A_PAGE = 50_000
"""``maxresultrows``: no page of results holds more; an export is no page."""
_DEFAULT_COUNT = 100
_STATES = ("QUEUED", "PARSING", "RUNNING", "FINALIZING")


@dataclass(slots=True)
class Held:
    """A normal job that the search head holds."""

    sid: str
    search: str
    job: Job
    rows: list[Row]
    created: float
    owner: str
    app: str
    polls_left: int
    failed: str = ""
    state: str = "QUEUED"
    cancelled: bool = False
    custom: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether its results are final."""
        return self.state in {"DONE", "FAILED"}


class Jobs:
    """The endpoints below ``search/jobs`` and ``search/v2/jobs``."""

    def __init__(self, site: Site, sessions: Sessions, faults: Faults, clock: Callable[[], float]) -> None:
        self.site, self._sessions, self._faults, self._clock = site, sessions, faults, clock
        self._held: dict[str, Held] = {}
        self._running = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def create(self, request: Request) -> Answer:
        """A new job: all its results at once for ``exec_mode=oneshot``, else its id."""
        self._sessions.may(request.user, "search")
        if request.get("exec_mode") == "oneshot":
            rows, job = self._run(request)
            return self._page(request, rows, job)
        rows, job = self._run(request)
        held = Held(
            sid=job.sid,
            search=request.get("search"),
            job=job,
            rows=rows,
            created=self._clock(),
            owner=request.owner or request.user,
            app=request.app or "search",
            polls_left=self._faults.job_polls,
            failed=self._faults.job_fails,
        )
        with self._lock:
            self._held[held.sid] = held
        if request.get("exec_mode") == "blocking":
            held.polls_left = 0
            _advance(held)
        if request.wants_json:
            return json_answer({"sid": held.sid}, 201)
        return Answer(
            f"<?xml version='1.0' encoding='UTF-8'?>\n<response><sid>{held.sid}</sid></response>".encode(), 201
        )

    def export(self, request: Request) -> Answer:
        """The results as they are found, row by row. A search that fails as it runs gives an empty answer and no error."""
        self._sessions.may(request.user, "search")
        mode = request.get("output_mode")
        try:
            rows, job = self._run(request)
        except RunError:
            return Answer(b"", kind="application/json; charset=UTF-8" if mode == "json" else "text/xml; charset=UTF-8")
        if mode != "json":
            return results.whole(rows, job, mode)
        cuts = self._faults.cuts
        with self._lock:
            cut = cuts.popleft() if cuts else None
        return Answer(self._streamed(rows, job, cut), kind="application/json; charset=UTF-8")

    def _streamed(self, rows: list[Row], job: Job, cut: Any) -> Iterator[bytes]:
        with self._running_one():
            yield from results.stream(rows, job, self._faults, cut)

    def all(self, request: Request) -> Answer:
        """Every job that is held."""
        with self._lock:
            entries = [_entry(held) for held in self._held.values()]
        return atom.feed(request, "jobs", entries)

    def status(self, request: Request, sid: str) -> Answer:
        """A job's state; each question brings it a step further."""
        held = self._job(sid)
        _advance(held)
        return atom.bare(request, _entry(held))

    def results(self, request: Request, sid: str) -> Answer:
        """A page of a job's final results; no content while it runs."""
        held = self._job(sid)
        if not held.done:
            return Answer(b"", 204)
        if held.failed:
            held.job.messages[:] = [("FATAL", held.failed)]
        return self._page(request, held.rows, held.job)

    def preview(self, request: Request, sid: str) -> Answer:
        """A page of what a job has found so far."""
        held = self._job(sid)
        return self._page(request, held.rows, held.job, preview=not held.done)

    def control(self, request: Request, sid: str) -> Answer:
        """``action=cancel|finalize|pause|unpause|touch|setttl|setpriority|enablepreview|disablepreview``."""
        held = self._job(sid)
        action = request.get("action")
        if action == "cancel":
            with self._lock:
                self._held.pop(sid, None)
        elif action == "finalize":
            held.polls_left, held.state = 0, "DONE"
        elif action not in {
            "pause",
            "unpause",
            "touch",
            "setttl",
            "setpriority",
            "enablepreview",
            "disablepreview",
            "save",
            "unsave",
        }:
            raise RefusedError(400, f"Unknown action '{action}'.", kind="FATAL")
        return atom.messages(request, [("INFO", f"Search job {action} done.")])

    def delete(self, request: Request, sid: str) -> Answer:
        """Ends a job."""
        self._job(sid)
        with self._lock:
            self._held.pop(sid, None)
        return atom.messages(request, [("INFO", "Search job cancelled.")])

    def log(self, request: Request, sid: str) -> Answer:
        """A job's log and its other texts, which this stand-in doesn't write."""
        self._job(sid)
        return Answer(b"", 200, "text/plain; charset=UTF-8")

    def rows(self, sid: str) -> list[Row]:
        """All rows of a job. Raises :class:`RefusedError` for one that is gone."""
        return self._job(sid).rows

    def _job(self, sid: str) -> Held:
        lasts = self._faults.job_s
        with self._lock:
            held = self._held.get(sid)
            if held is not None and lasts is not None and self._clock() - held.created >= lasts:
                del self._held[sid]
                held = None
        if held is None:
            raise RefusedError(404, "Unknown sid.", kind="FATAL")
        return held

    def _run(self, request: Request) -> tuple[list[Row], Job]:
        search = request.get("search")
        if not search.strip():
            raise RefusedError(400, "The search string is empty.", kind="FATAL")
        now = self._clock()
        params = {
            name: request.get(name) for name in ("earliest_time", "latest_time", "index_earliest", "index_latest")
        }
        bounds = timerange.of_job(params, timerange.moment(request.get("now") or "now", now))
        sid = request.get("id") or f"{now:.0f}.{next(self._numbers)}"
        job = Job(
            self.site,
            bounds,
            now,
            sid=sid,
            user=request.user,
            indexes=self._sessions.of(request.user).indexes,
            app=request.app or "search",
            session=self._sessions.session(request.user) if self.site.commands else "",
        )
        with self._running_one():
            return pipeline.run(search, job), job

    @contextmanager
    def _running_one(self) -> Iterator[None]:
        with self._lock:
            quota = self._faults.quota
            if quota is not None and self._running >= quota:
                raise RefusedError(503, _TOO_MANY.format(running=self._running, quota=quota), kind="FATAL")
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _page(self, request: Request, rows: list[Row], job: Job, *, preview: bool = False) -> Answer:
        count, offset = request.number("count", _DEFAULT_COUNT), request.number("offset")
        most = MOST_A_PAGE if count == 0 else min(count, MOST_A_PAGE)
        return results.whole(
            rows[offset : offset + most], job, request.get("output_mode"), offset=offset, preview=preview
        )


def _advance(held: Held) -> None:
    if held.polls_left > 0:
        held.state = (
            _STATES[min(len(_STATES) - 1, _STATES.index(held.state) + 1)] if held.state in _STATES else held.state
        )
        held.polls_left -= 1
    else:
        held.state = "FAILED" if held.failed else "DONE"


def _entry(held: Held) -> atom.Entry:
    told: dict[str, list[str]] = {}
    for kind, text in [*held.job.messages, *([("FATAL", held.failed)] if held.failed and held.done else [])]:
        told.setdefault(kind.lower(), []).append(text)
    content = {
        "sid": held.sid,
        "dispatchState": held.state,
        "doneProgress": "1.00000" if held.done else "0.50000",
        "isDone": held.done,
        "isFailed": bool(held.failed) and held.done,
        "isFinalized": False,
        "isPaused": False,
        "isPreviewEnabled": False,
        "isSaved": False,
        "isZombie": False,
        "eventCount": 0 if held.job.reports else len(held.rows),
        "resultCount": len(held.rows) if held.done and not held.failed else 0,
        "resultPreviewCount": len(held.rows),
        "scanCount": held.job.scanned,
        "earliestTime": held.job.range.earliest,
        "latestTime": held.job.range.latest,
        "runDuration": "0.01",
        "ttl": 600,
        "messages": told,
        "request": {"search": held.search},
    }
    return atom.Entry(held.search, f"search/jobs/{held.sid}", content, held.owner, held.app)


_TOO_MANY = (
    "Search not executed: The maximum number of concurrent historical searches on this instance has been reached. "
    "concurrency_category=historical, current={running}, maximum={quota}"
)
