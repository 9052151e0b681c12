"""What the whole bundle costs beside its text member alone: CPU of normalising and scoring one stream, in one run.

``python -m tests.bench.ensemble --corpora DIR --store STORE --bundle triaged/0.4.0 [--rules sigma/rules]``. Events come in
the order of their recordings, in the daemon's batches, with the state that members keep. Both are measured in turns, several
times, so that what else the machine does falls on both.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import msgspec
import numpy as np

from connector.errors import PermanentError
from connector.events import normalise
from connector.models import Store
from connector.models.bundle import Bundle
from connector.models.ensemble import TEXT
from connector.resources import shipped
from connector.types import Event, RawEvent, SourceRef
from tests.bench.streams import gather

BATCH: Final = 1000
WANTED: Final = 0.7
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
        text.append(_spent(_fresh(bundle, (TEXT,)), lines))
        whole.append(_spent(_fresh(bundle, tuple(bundle.members)), lines))
    return Cost(len(lines), median(text), median(whole))


def _fresh(bundle: Bundle, names: Sequence[str]) -> Bundle:
    return Bundle(bundle.manifest, [bundle.members[name] for name in names])


def _spent(bundle: Bundle, lines: Sequence[bytes]) -> float:
    """CPU seconds to normalise and score the lines, and to keep what members remember."""
    begun = time.process_time()
    replayed(bundle, lines)
    return time.process_time() - begun


def replayed(bundle: Bundle, lines: Sequence[bytes]) -> Mapping[str, Mapping[str, tuple[int, bytes]]]:
    """Scores the lines batch by batch; the rows that members keep in the end, by member and key."""
    states: dict[str, dict[str, tuple[int, bytes]]] = {}
    for start in range(0, len(lines), BATCH):
        batch = enumerate(lines[start : start + BATCH], start)
        events = [event for number, line in batch if (event := _event(number, line)) is not None]
        wanted = bundle.state_keys(events)
        held = {
            name: {key: states[name][key] for key in keys if key in states.get(name, {})}
            for name, keys in wanted.items()
        }
        for name, change in bundle.predict(events, held)[1].items():
            rows = states.setdefault(name, {})
            rows.update({key: (version + 1, value) for key, (version, value) in change.rows.items()})
    return states


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
    bundle = Store(options.store or shipped("model_store")).open(options.bundle, threads=1, options=own)
    try:
        cost = measure(bundle, lines, options.rounds)
    finally:
        bundle.close()
    print(
        f"{bundle.ref} ({', '.join(bundle.members)}) on {cost.events} events of {stream.name}: text alone "
        f"{1e6 * cost.text / cost.events:.0f} µs of CPU an event, whole {1e6 * cost.whole / cost.events:.0f} µs; "
        f"{cost.ratio:.2f} of the text member's throughput (wanted {WANTED})"
    )
    return 0 if cost.ratio >= WANTED else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.bench.ensemble", description=__doc__)
    made.add_argument("--corpora", type=Path, required=True)
    made.add_argument("--store", type=Path)
    made.add_argument("--bundle")
    made.add_argument("--rules", type=Path, action="append", default=[])
    made.add_argument("--events", type=int, default=20_000)
    made.add_argument("--rounds", type=int, default=3)
    return made


if __name__ == "__main__":
    sys.exit(main())
