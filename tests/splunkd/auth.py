"""Who asks: sessions from a password, authentication tokens, and what each user may do."""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.splunkd.faults import Faults
from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

ALL = frozenset(
    {
        "search",
        "edit_notable_events",
        "list_storage_passwords",
        "edit_storage_passwords",
        "edit_kvstore",
        "edit_tcp",
        "rest_properties_get",
    }
)


@dataclass(frozen=True, slots=True)
class User:
    """A user: its password, its authentication tokens (JWT in real life), what it may do, and the indexes that it may search."""

    password: str = ""
    tokens: tuple[str, ...] = ()
    capabilities: frozenset[str] = ALL
    indexes: tuple[str, ...] = ("*", "_*")


class Sessions:
    """Sessions that are open. Safe for threads."""

    def __init__(self, users: Mapping[str, User], faults: Faults, clock: Callable[[], float]) -> None:
        self._users, self._faults, self._clock = users, faults, clock
        self._open: dict[str, tuple[str, float]] = {}
        self._lock = threading.Lock()

    def login(self, request: Request) -> Answer:
        """A session for a name and a password, as a key and, where ``cookie=1`` asks for it, a cookie too."""
        name = request.get("username")
        user = self._users.get(name)
        if user is None or not user.password or not secrets.compare_digest(user.password, request.get("password")):
            raise RefusedError(401, "Login failed", kind="WARN")
        key = self.session(name)
        answer = (
            json_answer({"sessionKey": key, "message": "", "code": ""})
            if request.wants_json
            else Answer(
                f"<response><sessionKey>{escape(key)}</sessionKey><messages><msg code=''></msg></messages></response>".encode()
            )
        )
        if request.get("cookie") == "1":
            answer.headers["Set-Cookie"] = f"splunkd_8089={key}; Path=/; HttpOnly; Max-Age=3600"
        return answer

    def session(self, name: str) -> str:
        """A new session's key."""
        key = secrets.token_urlsafe(48)
        with self._lock:
            self._open[key] = (name, self._clock())
        return key

    def forget(self) -> None:
        """Ends every session."""
        with self._lock:
            self._open.clear()

    def user(self, request: Request) -> str:
        """The name of the user who asks. Raises :class:`RefusedError` with 401."""
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        cookie = request.headers.get("cookie", "")
        if "splunkd_8089=" in cookie:
            kind, given = "splunk", cookie.partition("splunkd_8089=")[2].partition(";")[0].strip('"')
        name = {"splunk": self._by_key, "bearer": self._by_key, "basic": self._by_password}.get(
            kind.lower(), lambda _: None
        )(given)
        if name is None:
            raise RefusedError(401, "call not properly authenticated", kind="WARN")
        return name

    def may(self, name: str, capability: str) -> None:
        """Raises :class:`RefusedError` with 403 where a user lacks a capability."""
        if capability not in self._users[name].capabilities:
            raise RefusedError(
                403,
                f"You (user={name}) do not have permission to perform this operation (requires capability: {capability}).",
            )

    def of(self, name: str) -> User:
        """A user."""
        return self._users[name]

    def _by_key(self, key: str) -> str | None:
        for name, user in self._users.items():
            if key in user.tokens:
                return name
        lasts = self._faults.session_s
        with self._lock:
            name, opened = self._open.get(key, (None, 0.0))
            if name is not None and lasts is not None and self._clock() - opened >= lasts:
                del self._open[key]
                return None
        return name

    def _by_password(self, given: str) -> str | None:
        try:
            name, _, password = base64.b64decode(given).decode().partition(":")
        except ValueError:
            return None
        user = self._users.get(name)
        return name if user is not None and user.password and secrets.compare_digest(user.password, password) else None
