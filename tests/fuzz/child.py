"""One target under libFuzzer: ``python -m tests.fuzz.child TARGET [libFuzzer's own arguments]``."""

from __future__ import annotations

import sys

import atheris

_WATCHED = ["connector.events", "connector.policy", "connector.siem", "connector.models.manifest"]
"""What reads input. Watching more costs seconds at every start and guides nothing."""

with atheris.instrument_imports(include=_WATCHED):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    program, name, *arguments = sys.argv
    atheris.Setup([program, *arguments], TARGETS[name].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
