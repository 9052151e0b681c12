"""The command ``triaged``: one module a group of commands.

Exit status: 0 done · 1 something was found (gaps, problems) · 2 wrong settings or arguments · 3 some events could not be classified.
"""

from __future__ import annotations

import sys

from connector.cli.app import app
from connector.errors import TriagedError


def main() -> None:
    """Runs the command line. An error that a person can act on is one line, without a traceback."""
    try:
        app()
    except TriagedError as error:
        sys.stderr.write(f"triaged: {error}\n")
        raise SystemExit(2) from None
    except BrokenPipeError:
        # the reader of our output went away, as `head` does: that is no failure
        sys.stderr.close()
        raise SystemExit(0) from None


__all__ = ["app", "main"]
