"""A PostgreSQL server of our own: a temporary directory, a Unix socket, no network, gone after the tests."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg

MISSING = "PostgreSQL is not installed: `apt-get install postgresql` (Debian), or put `postgres` and `initdb` on PATH"


def binary(name: str) -> Path | None:
    """The newest installed one: on PATH, or where Debian keeps it."""
    found = shutil.which(name)
    if found:
        return Path(found).resolve()
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    return versions[-1] if versions else None


class Server:
    """Starts on construction; ``url(database)`` names a database of it."""

    def __init__(self, postgres: Path, initdb: Path) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="triaged-pg-", dir="/tmp"))  # a socket's path must be short
        self.user, self._as = self._owner()
        data = self.root / "data"
        # Its messages are only of interest where it fails.
        subprocess.run(
            [*self._as, str(initdb), "-D", str(data), "-U", "triaged", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True, capture_output=True, cwd=self.root,
        )  # fmt: skip
        settings = ["listen_addresses=", "fsync=off", "synchronous_commit=off", "max_connections=60"]
        options = [part for setting in settings for part in ("-c", setting)]
        with (self.root / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*self._as, str(postgres), "-D", str(data), "-k", str(self.root), *options],
                stdout=log, stderr=log, cwd=self.root,
            )  # fmt: skip
        self._wait()

    def _owner(self) -> tuple[str, list[str]]:
        if os.geteuid() != 0:
            return getpass.getuser(), []
        account = next(pwd.getpwnam(name) for name in ("postgres", "nobody") if _exists(name))
        os.chown(self.root, account.pw_uid, account.pw_gid)
        drop = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        return account.pw_name, drop

    def _wait(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.run("SELECT 1")
            except psycopg.OperationalError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.root / "log").read_text()) from None
                time.sleep(0.05)
            else:
                return

    def run(self, statements: str, database: str = "postgres") -> None:
        with psycopg.connect(f"host={self.root} user=triaged dbname={database}", autocommit=True) as connection:
            connection.execute(statements.encode())

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://triaged@/{database}?host={self.root}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        shutil.rmtree(self.root)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
