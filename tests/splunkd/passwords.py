"""The credential store: ``storage/passwords``."""

from __future__ import annotations

import threading

from tests.splunkd import atom
from tests.splunkd.auth import Sessions
from tests.splunkd.wire import Answer, RefusedError, Request


class Passwords:
    """Secrets by realm and user name in an app. Safe for threads."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._held: dict[tuple[str, str], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def put(self, name: str, secret: str, realm: str = "", app: str = "search") -> None:
        """Stores a secret, over one that is there."""
        with self._lock:
            self._held[app, f"{realm}:{name}:"] = (name, secret)

    def all(self, request: Request) -> Answer:
        """Every secret that the namespace shows, in the clear, as splunkd gives it."""
        self._sessions.may(request.user, "list_storage_passwords")
        with self._lock:
            entries = [self._entry(app, key) for app, key in sorted(self._held) if request.app in {"", "-", app}]
        return atom.feed(request, "passwords", entries)

    def create(self, request: Request) -> Answer:
        """A new secret."""
        self._sessions.may(request.user, "edit_storage_passwords")
        app, name, realm = request.app or "search", request.get("name"), request.get("realm")
        key = f"{realm}:{name}:"
        if not name or not request.get("password"):
            raise RefusedError(400, "The following required arguments are missing: name, password.")
        if (app, key) in self._held:
            raise RefusedError(409, f"The credential {key} already exists.")
        self.put(name, request.get("password"), realm, app)
        return atom.feed(request, "passwords", [self._entry(app, key)], 201)

    def one(self, request: Request, name: str) -> Answer:
        """One secret: read, changed (POST) or removed (DELETE). ``name`` is ``realm:name:``, or a name without a realm."""
        self._sessions.may(
            request.user, "list_storage_passwords" if request.method == "GET" else "edit_storage_passwords"
        )
        with self._lock:
            keys = [
                (app, key) for app, key in self._held if key in {name, f":{name}:"} and request.app in {"", "-", app}
            ]
            if not keys:
                raise RefusedError(404, f"Could not find object id={name}")
            app, key = keys[0]
            if request.method == "DELETE":
                del self._held[app, key]
                return atom.feed(request, "passwords", [])
            if request.method == "POST":
                self._held[app, key] = (self._held[app, key][0], request.get("password"))
            return atom.feed(request, "passwords", [self._entry(app, key)])

    def _entry(self, app: str, key: str) -> atom.Entry:
        name, secret = self._held[app, key]
        content = {
            "clear_password": secret,
            "encr_password": "$7$hidden",
            "password": "********",
            "realm": key[: -len(name) - 2],
            "username": name,
        }
        return atom.Entry(key, f"storage/passwords/{key}", content, "nobody", app)
