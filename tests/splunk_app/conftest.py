"""The app as it would lie on a search head, and what it talks to there."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from tests.splunk_app.search import APP, Installed
from tests.splunkd.auth import User
from tests.splunkd.server import Splunkd

sys.path.insert(0, str(APP / "bin"))

SECRETS = {"search": "search-token-of-at-least-32-characters", "inlet": "push-token-of-at-least-32-characters"}


@pytest.fixture(scope="session")
def search_head():
    """A stand-in with the app's tokens in its credential store, an analyst who may read them, and one who may not."""
    users = {"analyst": User("a"), "guest": User("g", capabilities=frozenset({"search"}))}
    with Splunkd(users=users) as splunkd:
        for name, secret in SECRETS.items():
            splunkd.passwords.put(name, secret, "triaged", "triaged")
        yield splunkd


@pytest.fixture
def app(tmp_path) -> Installed:
    """Installed, and not set up."""
    return Installed(tmp_path / "apps")


@pytest.fixture
def installed(tmp_path, search_head) -> Callable[..., Installed]:
    """Installs the app on the search head and sets it up with these values."""

    def install(user: str = "analyst", **values: str) -> Installed:
        found = Installed(tmp_path / "apps", search_head.url, search_head.sessions.session(user))
        found.set_up(**values)
        return found

    return install
