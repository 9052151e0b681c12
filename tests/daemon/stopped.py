"""Runs a daemon that gets SIGTERM amid a reload, while more events come: ``python -m tests.daemon.stopped CONFIG``."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from connector import daemon, telemetry, wiring
from connector.errors import TransientError


def main() -> None:
    telemetry.configure("json", "info")
    config = Path(sys.argv[1])
    folder = config.parent / "in"

    def again() -> wiring.App:
        signal.raise_signal(signal.SIGTERM)
        (folder / "b.jsonl").write_text((folder / "a.jsonl").read_text().replace("tool-", "later-"))
        time.sleep(1)  # ten polls
        raise TransientError("no server answers")

    daemon.Daemon(lambda: wiring.App(wiring.load_settings(config)), again).run()


if __name__ == "__main__":
    main()
