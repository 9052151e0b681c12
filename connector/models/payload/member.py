"""The payload member: a convolutional network over the bytes of what a client sent.

It reads each piece of a payload by itself, without what hides it, and an event is as bad as its worst piece. The network
names attacks by kind; which techniques a kind shows is a table of the member's options, made in training from labels alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.cpus import usable
from connector.models.graph import Graph, Reading
from connector.models.manifest import HeadCalibration
from connector.models.payload.parts import Piece, pieces
from connector.models.payload.windows import MOST_WINDOWS, readable, windows
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL: Final = "model.onnx"
BATCH: Final = 16
SHOWN: Final = 80
"""Characters of an attack that a note shows."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a payload member.

    ``kinds`` are the columns of the graph, each with the technique ids that it shows. ``raw`` are those of them that are
    told of bytes that are no text; without any the member has no view of such bytes. ``calibration`` is by kind. From ``explain_from`` on, the worst piece is shown.
    """

    kinds: Mapping[str, tuple[str, ...]]
    raw: tuple[str, ...] = ()
    calibration: HeadCalibration = HeadCalibration()
    explain_from: float = 0.5


class Read(NamedTuple):
    """What the network says of n windows: calibrated ``kinds`` (n, kinds) and ``malicious`` (n,)."""

    kinds: NDArray[np.float64]
    malicious: NDArray[np.float64]


class PayloadMember:
    """Scores events by what a client sent; no view of events that hold no payload."""

    needs: tuple[str, ...] = ()

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        self.name, self.labels = spec.name, spec.labels
        self._options = _options(spec)
        self._kinds = tuple(self._options.kinds)
        self._slope, self._intercept = technique_scale(self._options.calibration, self._kinds)
        shown = [[label in shown for label in spec.labels] for shown in self._options.kinds.values()]
        self._shows = np.array(shown, bool).reshape(len(self._kinds), len(spec.labels))
        self._heard = np.array([[(kind in self._options.raw) is raw for kind in self._kinds] for raw in (False, True)])
        threads = threads or usable()
        self._graph = Graph(directory / MODEL, labels=len(self._kinds), threads=threads, batch_size=BATCH)

    def close(self) -> None:
        """Ends the threads."""
        self._graph.close()

    def key(self, event: Event) -> str | None:
        """SHA-256 over the pieces that are read, unmasked; one for all events without a payload."""
        found = self._pieces(event)
        if not found:
            return ""
        key = hashlib.sha256()
        for piece in found:
            where = piece.where.encode()
            key.update(b"%d:%b%d%d:%b" % (len(where), where, piece.raw, len(piece.data), piece.data))
        return key.hexdigest()

    def _pieces(self, event: Event) -> list[Piece]:
        """What it has a view of: bytes that are no text only where it was trained on such."""
        return [piece for piece in pieces(event.ecs) if self._options.raw or not piece.raw]

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: each event is scored by itself."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """For each event what its worst window says; nan where it holds no payload."""
        del views, state
        techniques = np.full((len(events), len(self.labels)), np.nan, np.float32)
        p_malicious = np.full(len(events), np.nan, np.float32)
        notes: list[tuple[str, ...]] = [()] * len(events)
        cut = [_cut(self._pieces(event)) for event in events]
        read = self.read([window for found in cut for _, window in found], [p.raw for found in cut for p, _ in found])
        start = 0
        for row, found in enumerate(cut):
            if not found:
                continue
            rows = slice(start, start + len(found))
            start += len(found)
            kinds = read.kinds[rows].max(axis=0)
            techniques[row] = np.where(self._shows, kinds[:, None], 0.0).max(axis=0, initial=0.0)
            worst = int(read.malicious[rows].argmax())
            p_malicious[row] = read.malicious[rows][worst]
            if p_malicious[row] >= self._options.explain_from:
                told = self._kinds[int(read.kinds[rows][worst].argmax())]
                notes[row] = (f"{self.name}: {told} in {found[worst][0].where}: {shown(found[worst][1])}",)
        return Scores(techniques=techniques, p_malicious=p_malicious, notes=tuple(notes)), StateChange()

    def read(self, found: Sequence[bytes], raw: Sequence[bool]) -> Read:
        """What the network says of windows, calibrated. Of raw bytes only raw kinds are told, of text only the others."""
        logits, malicious = self.logits(found)
        kinds = sigmoid(logits * self._slope + self._intercept)
        kinds *= self._heard[np.array(raw, np.intp)]
        return Read(kinds, sigmoid(scaled(malicious, self._options.calibration.malicious)))

    def logits(self, found: Sequence[bytes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The raw logits of ``kinds`` (n, kinds) and ``malicious`` (n,) of windows, for calibration."""
        read = self._graph.run([Reading(np.frombuffer(window, np.uint8).astype(np.int64) + 1) for window in found])  # type: ignore[arg-type]
        return read.techniques, read.malicious


def shown(window: bytes) -> str:
    """The beginning of a window as printable ASCII: safe wherever it is written."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in window[:SHOWN])
    return text if len(window) <= SHOWN else f"{text}…"


def _cut(found: Sequence[Piece]) -> list[tuple[Piece, bytes]]:
    """The windows of an event, each with its piece: the first windows of all pieces, then the next ones."""
    parts = [(piece, list(windows(readable(piece)))) for piece in found]
    deepest = max((len(part) for _, part in parts), default=0)
    rows = [(piece, part[depth]) for depth in range(deepest) for piece, part in parts if depth < len(part)]
    return [(piece, window) for piece, window in rows if window][:MOST_WINDOWS]


def _options(spec: MemberSpec) -> Options:
    try:
        options = msgspec.convert(spec.options, Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"member {spec.name!r}: {error}") from error
    if not options.kinds or (strange := sorted(set(options.raw) - options.kinds.keys())):
        raise ConfigError(
            f"member {spec.name!r}: its raw kinds {strange if options.kinds else []} are none of its kinds"
        )
    told = {label for shows in options.kinds.values() for label in shows}
    if told != set(spec.labels):
        raise ConfigError(f"member {spec.name!r}: its kinds show {', '.join(sorted(told))}, not its labels")
    return options


plugin = MemberPlugin(member=PayloadMember, testbed="connector.models.payload.testbed:PayloadTestbed")
