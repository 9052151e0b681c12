"""Runs a daemon that gets SIGHUP at each line of its waiting and reloading, and SIGTERM at the end.

``python -m tests.daemon.interrupted CONFIG``. The first reload finds a locked store, the second works, the rest are refused.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from connector import daemon, telemetry, wiring
from connector.errors import ConfigError, TransientError

REFUSED = 20


def main() -> None:
    telemetry.configure("json", "info")
    daemon.RELOAD_AGAIN_S = 0.1
    settings = wiring.load_settings(Path(sys.argv[1]))
    builds = 0

    def build() -> wiring.App:
        nonlocal builds
        builds += 1
        if builds == 2:
            raise TransientError("the store is locked")
        if builds > 3:
            raise ConfigError("one reload is enough")
        return wiring.App(settings)

    def interrupt(frame: FrameType, event: str, _: Any) -> Any:
        if frame.f_code.co_filename != daemon.__file__:
            return None
        if event == "line" and callable(signal.getsignal(signal.SIGHUP)):
            signal.raise_signal(signal.SIGHUP if builds < 3 + REFUSED else signal.SIGTERM)
        return interrupt

    runs = daemon.Daemon(build)
    sys.settrace(interrupt)
    runs.run()


if __name__ == "__main__":
    main()
