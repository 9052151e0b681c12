"""Runs the daemon with a bundle check every tenth of a second: ``python -m tests.daemon.impatient CONFIG``."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from connector import daemon, wiring


def main() -> None:
    daemon.BUNDLE_CHECK = timedelta(seconds=0.1)
    settings = wiring.load_settings(Path(sys.argv[1]))
    daemon.Daemon(lambda: wiring.App(settings)).run()


if __name__ == "__main__":
    main()
