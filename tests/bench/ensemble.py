"""What the whole bundle costs beside its text member alone: CPU of normalising and scoring one stream, in one run.

``python -m tests.bench.ensemble --corpora DIR --store STORE --bundle triaged/0.4.0 [--rules sigma/rules] [--members NAME ...]``.
Events come in the order of their recordings, in the daemon's batches, with the state that members keep. Both are measured in
turns, batch by batch and several times, so that what else the machine does falls on both. What each member costs a distinct
text is told too.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple, TypeAlias

import msgspec
import numpy as np

from connector.daemon import tune
from connector.errors import PermanentError
from connector.events import normalise
from connector.models import Store
from connector.models.bundle import Bundle
from connector.models.ensemble import TEXT
from connector.ports import Member
from connector.resources import shipped
from connector.types import Event, RawEvent, SourceRef
from tests.bench.streams import gather

BATCH: Final = 1000
WANTED: Final = 0.7
States: TypeAlias = Mapping[str, Mapping[str, tuple[int, bytes]]]
_NOWHERE: Final = SourceRef(siem="bench", index="bench", id="")


class Cost(NamedTuple):
    """CPU seconds of the same events by the text member alone and by the whole bundle, the median of the rounds."""

    events: int
    text: float
    whole: float

    @property
    def ratio(self) -> float:
        """The whole bundle's throughput, as a share of the text member's."""
        return self.text / self.whole


def measure(bundle: Bundle, lines: Sequence[bytes], rounds: int) -> Cost:
    """Both ways in turns, each round with nothing remembered."""
    text, whole = [], []
    for _ in range(rounds):
        ways = [replay(_fresh(bundle, names), lines) for names in ((TEXT,), tuple(bundle.members))]
        turns = [[_spent(way) for way in ways] for _ in range(0, len(lines), BATCH)]
        text.append(sum(turn[0] for turn in turns))
        whole.append(sum(turn[1] for turn in turns))
    return Cost(len(lines), median(text), median(whole))


def distinct(bundle: Bundle, lines: Sequence[bytes], rounds: int) -> tuple[int, Mapping[str, float]]:
    """How many texts are distinct, and the CPU seconds that each member without needs takes to name and score one of each."""
    events = list({event.fingerprint: event for event in _events(0, lines)}.values())
    parts = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    spent: dict[str, list[float]] = {name: [] for name, member in bundle.members.items() if not member.needs}
    for _ in range(rounds):
        for name, rounds_of in spent.items():
            rounds_of.append(_spent(_scored(bundle.members[name], parts)))
    return len(events), {name: median(rounds_of) for name, rounds_of in spent.items()}


def _fresh(bundle: Bundle, names: Sequence[str]) -> Bundle:
    return Bundle(bundle.manifest, [bundle.members[name] for name in names])


def _spent(way: Iterator[object]) -> float:
    """CPU seconds of the next step."""
    begun = time.process_time()
    next(way)
    return time.process_time() - begun


def _scored(member: Member, parts: Sequence[Sequence[Event]]) -> Iterator[None]:
    for part in parts:
        for event in part:
            member.key(event)
        member.score(part, {}, {})
    yield


def replay(bundle: Bundle, lines: Sequence[bytes]) -> Iterator[States]:
    """Normalises and scores the lines batch by batch; after each the rows that members keep, by member and key."""
    states: dict[str, dict[str, tuple[int, bytes]]] = {}
    for start in range(0, len(lines), BATCH):
        events = _events(start, lines[start : start + BATCH])
        wanted = bundle.state_keys(events)
        held = {
            name: {key: states[name][key] for key in keys if key in states.get(name, {})}
            for name, keys in wanted.items()
        }
        for name, change in bundle.predict(events, held)[1].items():
            rows = states.setdefault(name, {})
            rows.update({key: (version + 1, value) for key, (version, value) in change.rows.items()})
        yield states


def _events(start: int, lines: Sequence[bytes]) -> list[Event]:
    return [event for number, line in enumerate(lines, start) if (event := _event(number, line)) is not None]


def _event(number: int, line: bytes) -> Event | None:
    try:
        raw = RawEvent(deployment="bench", native_id=str(number), ref=_NOWHERE, data=msgspec.json.decode(line))
        return normalise(raw)
    except (PermanentError, msgspec.DecodeError):
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the ratio; 1 where it is below what is wanted."""
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        stream = gather(options.corpora, Path(place))
        lines = list(stream.lines(np.arange(min(options.events, len(stream)))))
    own = {"rules": {"folders": [str(folder) for folder in options.rules]}} if options.rules else None
    whole = Store(options.store or shipped("model_store")).open(options.bundle, threads=1, options=own)
    bundle = _fresh(whole, (TEXT, *options.members)) if options.members else whole
    tune()  # as the daemon does
    try:
        cost = measure(bundle, lines, options.rounds)
        texts, alone = distinct(bundle, lines, options.rounds)
    finally:
        whole.close()
    print(
        f"{bundle.ref} ({', '.join(bundle.members)}) on {cost.events} events of {stream.name}: text alone "
        f"{1e6 * cost.text / cost.events:.0f} µs of CPU an event, whole {1e6 * cost.whole / cost.events:.0f} µs; "
        f"{cost.ratio:.2f} of the text member's throughput (wanted {WANTED})"
    )
    each = ", ".join(f"{name} {1e6 * spent / texts:.0f} ({spent / alone[TEXT]:.2f})" for name, spent in alone.items())
    print(f"µs of CPU to name and score one of {texts} distinct texts (as a share of the text member's): {each}")
    return 0 if cost.ratio >= WANTED else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.bench.ensemble", description=__doc__)
    made.add_argument("--corpora", type=Path, required=True)
    made.add_argument("--store", type=Path)
    made.add_argument("--bundle")
    made.add_argument("--rules", type=Path, action="append", default=[])
    made.add_argument("--members", nargs="+", help="beside the text member; all without this")
    made.add_argument("--events", type=int, default=20_000)
    made.add_argument("--rounds", type=int, default=3)
    return made


if __name__ == "__main__":
    sys.exit(main())
