"""Processes that a test starts: what they log can be read while they run, and none of them outlives its test."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.environment import clean

ROOT = Path(__file__).parent.parent

_STARTED: list[Running] = []


class Running(subprocess.Popen[bytes]):
    """A Python process. Its log goes to a file, so that it never waits for a reader, and a failure can tell what it said."""

    def __init__(self, arguments: Sequence[str]) -> None:
        with tempfile.NamedTemporaryFile(prefix="log-", delete=False) as log:
            self._path = Path(log.name)
            super().__init__([sys.executable, *arguments], cwd=ROOT, env=clean(), stderr=log)
        _STARTED.append(self)

    def log(self) -> bytes:
        """What it wrote to standard error until now."""
        return self._path.read_bytes()

    def communicate(self, input: bytes | None = None, timeout: float | None = None) -> tuple[Any, bytes]:  # noqa: A002
        """Waits for its end, and returns what it wrote to standard error second, as of any process."""
        assert input is None, "it reads nothing"
        self.wait(timeout)
        return None, self.log()

    def end(self) -> bool:
        """Ends it at once. Returns whether it still ran, and prints then what it had logged."""
        still = self.poll() is None
        if still:
            self.kill()
            self.wait()
            sys.stdout.write(f"process {self.pid} still ran: {' '.join(map(str, self.args))}\n")  # type: ignore[arg-type]
            sys.stdout.write(self.log().decode(errors="replace"))
        self._path.unlink(missing_ok=True)
        return still


@contextmanager
def ended_at_the_end() -> Iterator[list[Running]]:
    """Ends what was started within, and fills the list with what still ran then."""
    before = len(_STARTED)
    left: list[Running] = []
    try:
        yield left
    finally:
        left += [process for process in _STARTED[before:] if process.end()]
        del _STARTED[before:]
