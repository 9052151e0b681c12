"""The sequence member: how likely the last things that a host did are an attack's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import is_
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.graph import GRAPH_ERRORS
from connector.models.manifest import HeadCalibration
from connector.models.sequence import vocabulary as vocabularies
from connector.models.sequence.arrays import Arrays, arrays, unlike
from connector.models.sequence.tokens import Seen, Tokens, seen
from connector.models.sequence.vocabulary import Places
from connector.models.sequence.window import UNSCORED, Context, Token, Window, packed, unpacked
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL: Final = "model.onnx"
TEXT: Final = "text"
BATCH: Final = 512
"""Windows that are laid out as arrays at a time: what they hold in memory is bounded by it."""

READ: Final = 128
"""Windows that the graph reads at a time: what it makes of them stays within a core's cache."""

DAMAGED: Final = "the host's window could not be read and began anew"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a sequence member. From ``explain_from`` on the strongest of what stood before is named."""

    explain_from: float = 0.5
    calibration: HeadCalibration = HeadCalibration()


_Asked: TypeAlias = tuple[Sequence[Event], Sequence[Seen]]


class SequenceMember:
    """Scores each event by its host's window. An event that names no host gets no view.

    Events are taken in the order in which they come, so a score depends on what came before, never on the batch.
    """

    needs: tuple[str, ...] = (TEXT,)

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        self.name = spec.name
        self.labels = spec.labels
        try:
            self._options = msgspec.convert(spec.options, Options)
        except msgspec.ValidationError as error:
            raise ConfigError(f"member {spec.name!r}: {error}") from error
        self._vocabulary = vocabularies.read(directory)
        self._digest = self._vocabulary.digest
        self._places = Places(self._vocabulary)
        self._tokens = Tokens(self._vocabulary)
        self._slope, self._intercept = technique_scale(self._options.calibration, self.labels)
        self._asked: _Asked = ((), ())  # one batch at most: of what is scored without its rows, until the next
        self._session = _session(directory / MODEL, threads)
        self._probe(directory / MODEL)

    def key(self, event: Event) -> str | None:
        """None: a score depends on what the host did before."""
        del event
        return None

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """One row a host: a digest of its deployment and of the identity that its collector attests, else of its name."""
        self._asked = tuple(events), tuple(map(seen, events))
        return frozenset([one.key for one in self._asked[1] if one.key is not None])

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """Calibrated probabilities of each event's window, and the windows that changed.

        A row that cannot be read begins anew, and the host's first event says so. Raises ``ConfigError`` where the text
        member is another than this member was trained with.
        """
        text = views[TEXT]
        if text.techniques.shape[1] != len(self._vocabulary.text):
            raise ConfigError(
                f"member {self.name!r} was trained with a text member of {len(self._vocabulary.text)} labels, "
                f"this one has {text.techniques.shape[1]}: a bundle takes both from one training"
            )
        known = self._seen(events)
        tokens = self._tokens.of(events, known, self._tokens.told(text.techniques, text.p_malicious))
        windows: dict[str, Window] = {}
        notes: list[tuple[str, ...]] = [()] * len(events)
        windowed: list[int] = []
        contexts: list[Context] = []
        for place, ((key, at, *_), token) in enumerate(zip(known, tokens, strict=True)):
            if key is None:
                continue
            window = windows.get(key)
            if window is None:
                found = unpacked(state[key][1], self._digest) if key in state else Window()
                notes[place] = () if found is not None else (f"{self.name}: {DAMAGED}",)
                window = windows[key] = found or Window()
            windowed.append(place)
            contexts.append(window.enter(token, timed=at is not None))
        rows = {
            key: (state.get(key, (0, b""))[0], packed(window, self._digest))
            for key, window in windows.items()
            if window.changed
        }
        return self._scores(len(events), windowed, contexts, notes), StateChange(rows=rows)

    def _seen(self, events: Sequence[Event]) -> Sequence[Seen]:
        """What windows need of the events: it was read already where their rows were asked for just before."""
        asked, known = self._asked
        self._asked = ((), ())
        return known if len(asked) == len(events) and all(map(is_, asked, events)) else list(map(seen, events))

    def _scores(
        self, count: int, windowed: Sequence[int], contexts: Sequence[Context], notes: list[tuple[str, ...]]
    ) -> Scores:
        techniques = np.full((count, len(self.labels)), np.nan, np.float32)
        p_malicious = np.full(count, np.nan, np.float32)
        distinct, which = unlike(contexts)
        places = np.array(windowed, np.intp)
        for start in range(0, len(distinct), BATCH):
            found, malicious = self.logits(arrays(distinct[start : start + BATCH]))
            own = (start <= which) & (which < start + BATCH)
            rows = which[own] - start
            techniques[places[own]] = sigmoid(found * self._slope + self._intercept)[rows]
            p_malicious[places[own]] = sigmoid(scaled(malicious, self._options.calibration.malicious))[rows]
        for i in np.flatnonzero(p_malicious[places] >= self._options.explain_from).tolist():
            notes[windowed[i]] += self._told(contexts[i])
        return Scores(techniques=techniques, p_malicious=p_malicious, notes=tuple(notes))

    def logits(self, windows: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The raw logits of n windows: of techniques (n, labels), and of malice (n,)."""
        count = len(windows.names)
        techniques, malicious = np.empty((count, len(self.labels))), np.empty(count)
        for start in range(0, count, READ):
            part = slice(start, start + READ)
            techniques[part], malicious[part] = self._session.run(
                ["techniques", "malicious"], windows.part(part).inputs()
            )
        return techniques, malicious

    def _told(self, context: Context) -> tuple[str, ...]:
        """The worst of what stood before, by kind, program's family and how long before."""
        before, own = context
        scored = [token for token in before if token.score != UNSCORED]
        if not scored:
            return ()
        worst = max(scored, key=lambda token: token.score)
        kind = self._places.kinds.get(worst.kind, "an event")
        image = self._places.names.get(worst.image, "a program")
        seconds = max(0, own.at - worst.at) / 1000  # an event may tell a time to come
        return (f"{self.name}: {len(before)} before it, the worst {kind} of {image} {seconds:.0f} s before",)

    def _probe(self, path: Path) -> None:
        blank = arrays([[Token(0, 0, 1, 0, 0, 0, (0, 0, 0), (0, 0, 0), 0, 0)]] * 2)
        try:
            techniques, malicious = self._session.run(["techniques", "malicious"], blank.inputs())
        except GRAPH_ERRORS as error:
            raise ConfigError(f"{path} does not read windows: {error}") from error
        if techniques.shape != (2, len(self.labels)) or malicious.shape != (2,):
            raise ConfigError(f"{path} gives techniques {techniques.shape}, wanted (2, {len(self.labels)})")


def _session(path: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except GRAPH_ERRORS as error:
        raise ConfigError(f"{path} is no graph that can be run: {error}") from error


plugin = MemberPlugin(member=SequenceMember, testbed="connector.models.sequence.testbed:SequenceTestbed")
