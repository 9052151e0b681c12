"""Runs the daemon and ends it with SIGKILL when a step of the loops is done for the n-th time.

``python -m tests.daemon.crash CONFIG STEP N``
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

from connector import wiring
from connector.daemon import Daemon


class KillAt:
    """A ``Steps`` that does not survive."""

    def __init__(self, step: str, occurrence: int) -> None:
        self._step = step
        self._occurrence = occurrence
        self._seen: Counter[str] = Counter()

    def __call__(self, step: str) -> None:
        self._seen[step] += 1
        if step == self._step and self._seen[step] == self._occurrence:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    config, step, occurrence = sys.argv[1:]
    settings = wiring.load_settings(Path(config))
    Daemon(lambda: wiring.App(settings, steps=KillAt(step, int(occurrence)))).run()


if __name__ == "__main__":
    main()
