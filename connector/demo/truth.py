"""What was planted in the scenario. Read by tests and by the demo's last line; never by anything that scores."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import msgspec

from connector.demo.paths import TRUTH
from connector.types import Noun, SourceRef

Place = tuple[str, int]
"""A scenario file's name and a line in it, counted from 1."""


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


class Truth(Noun, frozen=True):
    """The planted events, with the ATT&CK version of their technique ids."""

    attack_version: str
    planted: tuple[Planted, ...]


def truth(path: Path = TRUTH) -> Truth:
    """Reads the truth file."""
    return msgspec.json.decode(path.read_bytes(), type=Truth)


def place(ref: SourceRef) -> Place:
    """The scenario line that a verdict's source names. The files source counts a packed file's records from 0."""
    ordinal = ref.id.rpartition(":")[2]
    return Path(ref.index).name, int(ordinal) + 1


def steps_found(planted: Collection[Planted], tagged: Mapping[Place, Collection[str]]) -> tuple[int, int]:
    """How many of the planted steps have an event that was tagged with a technique which it shows, and of how many.

    ``tagged``: technique ids by place. A parent stands for its sub-techniques and the other way round.
    """
    steps: dict[str, bool] = {}
    for event in planted:
        shown = {technique.partition(".")[0] for technique in event.techniques}
        got = {technique.partition(".")[0] for technique in tagged.get((event.file, event.line), ())}
        steps[event.step] = steps.get(event.step, False) or bool(shown & got)
    return sum(steps.values()), len(steps)
