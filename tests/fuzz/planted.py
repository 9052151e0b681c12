"""A target with a fault in it, for the test of the runner. It knows the seeds of the target whose name it is given."""

from __future__ import annotations

import os
import sys

import atheris


def run(data: bytes) -> None:
    if data.startswith(b"{"):
        if os.environ["PLANTED"] == "raises":
            raise ValueError("planted")
        while True:
            pass


if __name__ == "__main__":
    program, _, *arguments = sys.argv
    atheris.Setup([program, *arguments], run)
    atheris.Fuzz()
