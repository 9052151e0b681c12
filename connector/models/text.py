"""The text member: a network over the rendered event, a transformer or the bag of word pieces that stands beside one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from connector.errors import ConfigError
from connector.events import render
from connector.models import second_stage
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.cpus import usable
from connector.models.graph import Graph, Logits, Reading, spelling
from connector.models.manifest import HeadCalibration
from connector.models.relevance import telling_words
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

UNKNOWN_NOTE = "text: out of distribution, most of it is no word that the model knows"
LOWERED_NOTE = "like false positives that analysts explained; log-odds"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a text member.

    ``max_length`` cuts a text at so many tokens, and ``letters`` is how many bytes of it are spelt out. ``batch_size``
    above 1 is for graphs whose scores do not depend on the batch. Where more than ``max_unknown`` of the tokens are
    unknown, the member has no view of the event. From ``explain_from`` on, p_malicious at the training prevalence, the
    words that weighed most are named.
    """

    max_length: int = 128
    letters: int = 0
    batch_size: int = 1
    max_unknown: float = 1.0
    explain_from: float = 0.5
    calibration: HeadCalibration = HeadCalibration()


class TextMember:
    """Scores events by their rendered text. Equal fingerprints have equal texts, so the fingerprint is the key."""

    needs: tuple[str, ...] = ()

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        self.name = spec.name
        self.labels = spec.labels
        try:
            self._options = msgspec.convert(spec.options, Options)
        except msgspec.ValidationError as error:
            raise ConfigError(f"member {spec.name!r}: {error}") from error
        self._tokenizer = _tokenizer(directory / TOKENIZER, self._options.max_length)
        unknown = self._tokenizer.token_to_id("[UNK]")
        self._unknown = -1 if unknown is None else unknown
        self._slope, self._intercept = technique_scale(self._options.calibration, self.labels)
        self._graph = Graph(
            directory / MODEL,
            labels=len(self.labels),
            threads=threads or usable(),
            batch_size=self._options.batch_size,
        )
        self._second = second_stage.read(directory, self._graph.width)

    def settle(self) -> int:
        """Finds how many events are best scored side by side here, and how many that is; no score depends on it."""
        return self._graph.settle()

    def close(self) -> None:
        """Ends the threads."""
        self._graph.close()

    def key(self, event: Event) -> str | None:
        """The fingerprint: the text is a function of the canonical form alone."""
        return event.fingerprint

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: each event is scored by itself."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """Calibrated probabilities; nan where the text is empty or made of unknown tokens."""
        del views, state
        texts = [render(event.canonical) for event in events]
        encodings = self._tokenizer.encode_batch_fast(texts)
        seen = [place for place, encoding in enumerate(encodings) if not self._is_strange(encoding)]
        logits, final = self._run(
            [Reading(encodings[place].ids, spelling(texts[place], self._options.letters)) for place in seen]
        )
        malicious = self._options.calibration.malicious
        columns = np.full((len(events), len(self.labels)), np.nan, np.float32)
        votes = np.full(len(events), np.nan, np.float32)
        columns[seen] = sigmoid(logits.techniques * self._slope + self._intercept)
        votes[seen] = sigmoid(scaled(final, malicious))
        first = sigmoid(scaled(logits.malicious, malicious))
        notes: list[tuple[str, ...]] = [(UNKNOWN_NOTE,)] * len(events)
        for row, place in enumerate(seen):
            notes[place] = ()
            if final[row] < logits.malicious[row] and first[row] >= self._options.explain_from:
                moved = malicious.a * (final[row] - logits.malicious[row])
                notes[place] = (f"{self.name}: {LOWERED_NOTE} {moved:+.2f}",)
            if len(logits.relevance[row]) and votes[place] >= self._options.explain_from:
                words = telling_words(
                    texts[place], self._tokenizer.encode(texts[place]), malicious.a * logits.relevance[row]
                )
                notes[place] += tuple(f"{self.name}: {word}" for word in words)
        return Scores(techniques=columns, p_malicious=votes, notes=tuple(notes)), StateChange()

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The raw ``techniques`` (n, labels) and ``malicious`` (n,) logits of rendered texts, for calibration.

        The second stage, where there is one, has had its say: what follows is calibrated for both.
        """
        found, final = self._run(self._readings(texts))
        return found.techniques, final

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The features (n, d) of rendered texts that both heads read.

        Raises ``ConfigError`` for a bundle whose graph does not give them.
        """
        return self._graph.embed(self._readings(texts))

    def read(self, texts: Sequence[str]) -> Logits:
        """What the graph gives of rendered texts, features too: before calibration and the second stage."""
        return self._graph.run(self._readings(texts), embeds=True)

    def _readings(self, texts: Sequence[str]) -> list[Reading]:
        return readings(self._tokenizer, texts, self._options.letters)

    def _run(self, texts: Sequence[Reading]) -> tuple[Logits, NDArray[np.float64]]:
        """What the graph gives, and its malicious logits (n,) after the second stage."""
        found = self._graph.run(texts, embeds=self._second is not None)
        if self._second is None:
            return found, found.malicious
        return found, self._second.lowered(found.embedding, found.malicious)

    def _is_strange(self, encoding: Encoding) -> bool:
        words = encoding.special_tokens_mask.count(0)
        limit = self._options.max_unknown
        return not words or (limit < 1.0 and encoding.ids.count(self._unknown) > limit * words)


def readings(tokenizer: Tokenizer, texts: Sequence[str], letters: int) -> list[Reading]:
    """Rendered texts as a graph reads them, the first so many bytes of each spelt out."""
    encodings = tokenizer.encode_batch_fast(list(texts))
    return [Reading(encoding.ids, spelling(text, letters)) for text, encoding in zip(texts, encodings, strict=True)]


def _tokenizer(path: Path, max_length: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


plugin = MemberPlugin(member=TextMember, testbed="connector.models.testbed:TextTestbed")
