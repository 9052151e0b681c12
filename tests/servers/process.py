"""A server as a process of its own: started, restarted, stopped and killed by its id."""

from __future__ import annotations

import base64
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

NOBODY = 65534
QUICK = "-XX:TieredStopAtLevel=1"
"""Options of Java that halve the work of a start; a measurement gives none."""

_PR_SET_PDEATHSIG = 1
_START_S = 300.0
_STOP_S = 30.0
_LOG_TAIL = 6000


class StartError(RuntimeError):
    """The server did not come up; the message ends with its log."""


class Server:
    """One server on a free loopback port, in a folder of its own that is removed at the end. A context manager."""

    name = "server"
    scheme = "http"
    as_nobody = True
    """Where the tests run as root, the server runs as a user without rights."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings = dict(settings or {})
        self.folder = Path(tempfile.mkdtemp(prefix=f"triaged-{self.name}-"))
        self.port = free_port()
        self.log = self.folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def at(cls, address: str) -> Self:
        """A server that somebody else has started, and will end: it can be asked, and nothing else."""
        server = cls.__new__(cls)
        server.port = int(address.rpartition(":")[2])
        server.start = lambda: server
        return server

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    def command(self) -> Sequence[str]:
        """What starts it."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Variables beside those of this process."""
        return {}

    def ssl_context(self) -> ssl.SSLContext | None:
        """What its certificate is checked with, where it speaks TLS."""
        return None

    def credentials(self) -> tuple[str, str] | None:
        """A user that may ask for the cluster's health."""
        return None

    def start(self) -> Self:
        """Starts it and returns once it answers. Raises :class:`StartError` with the end of the log."""
        if self.running:
            return self
        command = self.command()
        rights = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if self.as_nobody and os.geteuid() == 0 else {}
        if rights:
            give_away(self.folder)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "HOME": str(self.folder), **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the child of a test that was killed must not stay
                **rights,
            )
        self._wait()
        return self

    def stop(self) -> None:
        """Ends it in an orderly way; what it holds stays for the next start."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it as a crash would."""
        self._end(signal.SIGKILL)

    def restart(self) -> Self:
        """Stops it and starts it again, at the same address with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """Ends it and removes its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def log_tail(self) -> str:
        """The end of what it said."""
        return self.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace") if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for sent in (how, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sent)  # the launcher's session: it starts the server as a child
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                continue
            if gone(process.pid, _STOP_S):
                return

    def _wait(self) -> None:
        until = time.monotonic() + _START_S
        while not self._answers():
            if not self.running or time.monotonic() > until:
                self.kill()
                raise StartError(f"{self.name} did not start; the end of its log:\n{self.log_tail()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        request = urllib.request.Request(f"{self.url}/_cluster/health?wait_for_status=yellow&timeout=5s")
        if credentials := self.credentials():
            request.add_header("Authorization", "Basic " + base64.b64encode(":".join(credentials).encode()).decode())
        try:
            with urllib.request.urlopen(request, timeout=10, context=self.ssl_context()) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _end_with_parent() -> None:
    """Runs in the child: ask the kernel for a SIGTERM when the process that started it ends, however it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def gone(session: int, seconds: float) -> bool:
    """Whether every process of a session has ended, within a time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def give_away(folder: Path) -> None:
    """Gives a folder to a user without rights: Elasticsearch refuses to run as root."""
    for place in (folder, *folder.rglob("*")):
        os.chown(place, NOBODY, NOBODY, follow_symlinks=False)


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
