"""The server: its ports, its parts wired together, and the table of its endpoints."""

from __future__ import annotations

import re
import ssl
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from tests.splunkd import apps, atom, receivers
from tests.splunkd.auth import Sessions, User
from tests.splunkd.events import Event, Indexes
from tests.splunkd.faults import Faults, Refusal
from tests.splunkd.findings import Findings
from tests.splunkd.hec import Collector, HecToken
from tests.splunkd.jobs import Jobs
from tests.splunkd.kvstore import KvStore
from tests.splunkd.lookups import Tables
from tests.splunkd.passwords import Passwords
from tests.splunkd.review import Review
from tests.splunkd.spl import filters
from tests.splunkd.spl.context import Site
from tests.splunkd.wire import Answer, CutOffError, Listener, MistakeError, RefusedError, Request

Endpoint = Callable[..., Answer]

USERNAME, PASSWORD = "admin", "changeme-please"
TOKEN = "eyJraWQiOiJzdGFuZGluIn0.standin.token"
HEC_TOKEN, HEC_ACK_TOKEN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
INDEXES = ("main", "history", "summary", "_internal", "_audit", "notable", "risk", "triaged")


class Splunkd:
    """A stand-in of splunkd on free loopback ports; a context manager. The package's docstring tells what it can do."""

    def __init__(
        self,
        *,
        version: str = "9.4.3",
        users: Mapping[str, User] | None = None,
        hec_tokens: Mapping[str, HecToken] | None = None,
        indexes: Sequence[str] = INDEXES,
        default_indexes: Sequence[str] = ("main",),
        peers: Sequence[str] = ("idx1", "idx2"),
        clock: Callable[[], float | datetime] = time.time,
        tls: ssl.SSLContext | None = None,
        port: int = 0,
        hec_port: int = 0,
        beside: Splunkd | None = None,
    ) -> None:
        self.version, self.server_name, self.guid = version, "sh1", "5B2E5B1A-0000-4000-8000-000000000001"
        self.username, self.password, self.token = USERNAME, PASSWORD, TOKEN
        self.hec_token, self.hec_ack_token = HEC_TOKEN, HEC_ACK_TOKEN
        self.faults = Faults()
        self.requests: list[Request] = []
        self._clock = clock
        self._lock = threading.Lock()
        self.users = dict(users or {USERNAME: User(PASSWORD, (TOKEN,))})
        tokens = hec_tokens or {HEC_TOKEN: HecToken(), HEC_ACK_TOKEN: HecToken(use_ack=True)}
        self.indexes = beside.indexes if beside else Indexes(indexes, peers, self.faults, self._true_time)
        self.kv = beside.kv if beside else KvStore()
        self.tables = Tables(self.kv)
        self.site = Site(self.indexes, self.faults, self.tables, {}, tuple(default_indexes))
        self.sessions = Sessions(self.users, self.faults, self._true_time)
        self.jobs = Jobs(self.site, self.sessions, self.faults, self.now)
        self.collector = Collector(tokens, self.indexes, self.faults)
        self.passwords = Passwords(self.sessions)
        self.review = Review(self.site, self.kv, self.tables, self.sessions, self.now)
        self.findings = Findings(self.site, self.review, self.sessions, self.now)
        self._routes = [(re.compile(pattern), methods, endpoint) for pattern, methods, endpoint in self._table()]
        self._management = Listener(self._answer, port=port, tls=tls, clock=self.now)
        self._hec = Listener(self._answer_hec, port=hec_port, tls=tls, clock=self.now)

    @property
    def url(self) -> str:
        """Where the management port answers."""
        return self._management.url

    @property
    def hec_url(self) -> str:
        """Where the HTTP event collector answers."""
        return self._hec.url

    @property
    def host(self) -> str:
        """The address of both ports."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """The management port."""
        return self._management.port

    @property
    def events(self) -> list[Event]:
        """Every event that was ever indexed, in the order of its index time."""
        return self.indexes.all()

    def now(self) -> float:
        """The search head's time: the clock's, and ``faults.clock_skew_s``."""
        return self._true_time() + self.faults.clock_skew_s

    def put(self, *raws: str | Mapping[str, Any], index: str = "main", **more: Any) -> list[Event]:
        """Indexes events at once: texts, or mappings that become JSON.

        ``more``: ``time``, ``indextime``, ``host``, ``source``, ``sourcetype``, ``peer``, ``indexed`` (fields of index time),
        ``delay_s`` (until a search finds it), ``cd``.
        """
        return [self.indexes.put(receivers.text(raw), index=index, **more) for raw in raws]

    def refuse(self, status: int, path: str = "", *, times: int = 1, retry_after: int | None = None) -> None:
        """The next requests to a path that contains this are refused (0: their connection breaks)."""
        self.faults.refuse.extend([Refusal(status, path, retry_after=retry_after)] * times)

    def forget_sessions(self) -> None:
        """Ends every session that a password opened."""
        self.sessions.forget()

    def reset_channels(self) -> None:
        """What a restart does to the collector: acknowledgement numbers begin again, those that wait are forgotten."""
        self.collector.reset_channels()

    def asked(self, path: str) -> list[Request]:
        """The requests whose path contains this, in the order of their arrival."""
        with self._lock:
            return [request for request in self.requests if path in request.path]

    def install(self, app: Path, *, python: str = sys.executable, environment: Mapping[str, str] | None = None) -> None:
        """Makes an app known: its macros, collections and lookups, and its search commands, which run as processes."""
        apps.install(self, app, python=python, environment=environment)

    def stop(self) -> None:
        """Answers no more: connections break, and new ones are refused. What is indexed and stored stays."""
        self._management.stop()
        self._hec.stop()

    def start(self) -> None:
        """Answers, at the ports of before. Acknowledgements and sessions are not those of before a stop."""
        self.forget_sessions()
        self.reset_channels()
        self._management.start()
        self._hec.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        mistakes = [*self._management.mistakes, *self._hec.mistakes]
        if mistakes and kind is None:
            raise MistakeError("\n".join(mistakes))

    def _true_time(self) -> float:
        now = self._clock()
        return now.timestamp() if isinstance(now, datetime) else now

    def _answer(self, request: Request) -> Answer:
        try:
            self._note(request)
            answer = self._routed(request)
        except RefusedError as refused:
            answer = atom.refusal(request, refused)
        request.status = answer.status
        return answer

    def _answer_hec(self, request: Request) -> Answer:
        try:
            self._note(request)
            answer = self.collector.answer(request)
        except RefusedError as refused:
            answer = atom.refusal(request, refused)
        request.status = answer.status
        return answer

    def _note(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            refusal = next((one for one in self.faults.refuse if one.path in request.path), None)
            if refusal is not None:
                self.faults.refuse.remove(refusal)
        if self.faults.slow_s and self.faults.slow_path in request.path:
            time.sleep(self.faults.slow_s)
        if refusal is not None:
            if refusal.status == 0:
                raise CutOffError
            headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
            raise RefusedError(refusal.status, refusal.text, headers=headers)

    def _routed(self, request: Request) -> Answer:
        if request.path == "auth/login" and request.method == "POST":
            return self.sessions.login(request)
        request.user = self.sessions.user(request)
        allowed = False
        for pattern, methods, endpoint in self._routes:
            if match := pattern.fullmatch(request.path.rstrip("/")):
                if request.method in methods:
                    return endpoint(request, **match.groupdict())
                allowed = True
        raise RefusedError(405, "Method Not Allowed") if allowed else RefusedError(404, "Not Found")

    def _table(self) -> list[tuple[str, str, Endpoint]]:
        jobs, kv = self.jobs, self.kv
        versions = "(?:v2/)?" if tuple(map(int, self.version.split(".")[:3])) >= (9, 0, 2) else ""
        base = f"search/{versions}jobs"
        name, key, sid = "(?P<name>[^/]+)", "(?P<key>[^/]+)", "(?P<sid>[^/]+)"
        return [
            ("server/info", "GET", self._info),
            ("data/indexes", "GET", self._indexes),
            ("authentication/current-context", "GET", self._context),
            (base, "GET", jobs.all),
            (base, "POST", jobs.create),
            (f"{base}/export", "GET POST", jobs.export),
            (f"{base}/{sid}", "GET POST", jobs.status),
            (f"{base}/{sid}", "DELETE", jobs.delete),
            (f"{base}/{sid}/(?:results|events)", "GET POST", jobs.results),
            (f"{base}/{sid}/results_preview", "GET POST", jobs.preview),
            (f"{base}/{sid}/control", "POST", jobs.control),
            (rf"{base}/{sid}/(?:search\.log|summary|timeline)", "GET", jobs.log),
            ("storage/collections/config", "GET", kv.configs),
            ("storage/collections/config", "POST", kv.create),
            (f"storage/collections/config/{name}", "GET POST DELETE", kv.config),
            (f"storage/collections/data/{name}", "GET POST DELETE", kv.data),
            (f"storage/collections/data/{name}/batch_save", "POST", kv.batch_save),
            (f"storage/collections/data/{name}/batch_find", "POST", kv.batch_find),
            (f"storage/collections/data/{name}/{key}", "GET POST PUT DELETE", kv.document),
            ("receivers/simple", "POST", self._simple),
            ("storage/passwords", "GET", self.passwords.all),
            ("storage/passwords", "POST", self.passwords.create),
            (f"storage/passwords/{name}", "GET POST DELETE", self.passwords.one),
            *self._security(name),
        ]

    def _security(self, name: str) -> list[tuple[str, str, Endpoint]]:
        findings = self.findings
        return [
            ("notable_update", "POST", lambda request: self.review.update(request, self.jobs.rows)),
            ("(?:alerts/reviewstatuses|configs/conf-reviewstatuses)", "GET", self.review.labels),
            ("public/v2/findings", "GET", findings.all),
            ("public/v2/findings", "POST", findings.create),
            (f"public/v2/findings/{name}", "GET", findings.one),
            (f"(?:v1|public/v2)/investigations/{name}", "POST", findings.update),
            (f"public/v2/investigations/{name}/notes", "GET POST", findings.notes),
        ]

    def _info(self, request: Request) -> Answer:
        content = {
            "version": self.version,
            "build": "standin",
            "guid": self.guid,
            "serverName": self.server_name,
            "instance_type": "download",
            "product_type": "enterprise",
            "isFree": False,
            "isTrial": False,
            "mode": "normal",
            "os_name": "Linux",
            "cpu_arch": "x86_64",
            "numberOfCores": 2,
            "server_roles": ["search_head", "kv_store"],
            "health_info": "green",
            "kvStoreStatus": "ready",
            "startup_time": int(self.now()),
        }
        return atom.feed(
            request, "server-info", [atom.Entry("server-info", "server/info/server-info", content, "system", "")]
        )

    def _indexes(self, request: Request) -> Answer:
        allowed = self.sessions.of(request.user).indexes
        counts = Counter(event.index for event in self.indexes.all())
        return atom.feed(
            request,
            "indexes",
            [
                atom.Entry(
                    name,
                    f"data/indexes/{name}",
                    {"datatype": "event", "disabled": False, "totalEventCount": counts[name]},
                )
                for name in filters.named(allowed, sorted(self.indexes.names), ())
            ],
        )

    def _context(self, request: Request) -> Answer:
        user = self.sessions.of(request.user)
        content = {
            "username": request.user,
            "capabilities": sorted(user.capabilities),
            "roles": ["user"],
            "defaultApp": "search",
        }
        return atom.feed(
            request, "current-context", [atom.Entry("context", "authentication/current-context/context", content)]
        )

    def _simple(self, request: Request) -> Answer:
        self.sessions.may(request.user, "edit_tcp")
        return receivers.simple(request, self.indexes)
