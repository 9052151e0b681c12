"""What was planted in the scenario. Read by tests and by the demo's last line; never by anything that scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from connector.demo.paths import TRUTH
from connector.types import Noun


class Planted(Noun, frozen=True):
    """One event of the intrusion: where it stands, what the intruder did, and the techniques that it shows."""

    file: str
    line: int
    host: str
    channel: str
    record: int
    code: int
    techniques: tuple[str, ...]
    step: str

    @property
    def place(self) -> str:
        """``file:line``, as the end of an event's place reads."""
        return f"{self.file}:{self.line}"


class Truth(Noun, frozen=True):
    """The planted events, with the ATT&CK version of their technique ids."""

    attack_version: str
    planted: tuple[Planted, ...]


def truth(path: Path = TRUTH) -> Truth:
    """Reads the truth file."""
    return msgspec.json.decode(path.read_bytes(), type=Truth)


def steps_found(planted: Collection[Planted], tagged: Mapping[str, Collection[str]]) -> tuple[int, int]:
    """How many of the planted steps have an event that was tagged with a technique which it shows, and of how many.

    ``tagged``: technique ids by place (``file:line``). A parent stands for its sub-techniques and the other way round.
    """
    steps: dict[str, bool] = {}
    for event in planted:
        shown = {technique.partition(".")[0] for technique in event.techniques}
        got = {technique.partition(".")[0] for technique in tagged.get(event.place, ())}
        steps[event.step] = steps.get(event.step, False) or bool(shown & got)
    return sum(steps.values()), len(steps)
