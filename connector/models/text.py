"""The text member: a fine-tuned transformer over the rendered event, in ONNX.

The graph takes ``input_ids`` and ``attention_mask`` (n, tokens; ``token_type_ids`` where it asks for them) and gives the
logits ``techniques`` (n, labels) and ``malicious`` (n,). Every event is a batch of its own by default: dynamic int8
quantisation takes one scale a tensor, so in a larger batch a score would depend on the events beside it, and on CPUs a
larger batch is not faster (docs/decisions/0007-one-event-a-run.md).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from tokenizers import Encoding, Tokenizer

from connector.errors import ConfigError
from connector.events import render
from connector.models.calibration import scaled, sigmoid, technique_scale
from connector.models.manifest import HeadCalibration
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
OUTPUTS = ("techniques", "malicious")

UNKNOWN_NOTE = "text: out of distribution, most of it is no word that the model knows"

_LOAD_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)

Batch = tuple[list[int], dict[str, NDArray[np.int64]]]
"""The places of the events in the call, and the graph's inputs."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the manifest may say of a text member.

    ``max_length`` cuts a text at so many tokens. ``batch_size`` above 1 is for graphs whose scores do not depend on
    the batch. Where more than ``max_unknown`` of the tokens are unknown, the member has no view of the event.
    """

    max_length: int = 128
    batch_size: int = 1
    max_unknown: float = 1.0
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
        self._session = _session(directory / MODEL)
        self._inputs = tuple(node.name for node in self._session.get_inputs())
        self._slope, self._intercept = technique_scale(self._options.calibration, self.labels)
        workers = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(workers, f"score-{spec.name}") if workers > 1 else None
        self._prove()

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()

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
        encodings = self._tokenizer.encode_batch_fast([render(event.canonical) for event in events])
        strange = [self._strange(encoding) for encoding in encodings]
        seen = [i for i, is_strange in enumerate(strange) if not is_strange]
        techniques, malicious = self._logits([encodings[i] for i in seen])
        columns = np.full((len(events), len(self.labels)), np.nan, np.float32)
        votes = np.full(len(events), np.nan, np.float32)
        columns[seen] = sigmoid(techniques * self._slope + self._intercept)
        votes[seen] = sigmoid(scaled(malicious, self._options.calibration.malicious))
        notes = tuple((UNKNOWN_NOTE,) if is_strange else () for is_strange in strange)
        return Scores(techniques=columns, p_malicious=votes, notes=notes), StateChange()

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The raw ``techniques`` (n, labels) and ``malicious`` (n,) logits of rendered texts, for calibration."""
        return self._logits(self._tokenizer.encode_batch_fast(list(texts)))

    def _logits(self, encodings: Sequence[Encoding]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        techniques = np.empty((len(encodings), len(self.labels)), np.float64)
        malicious = np.empty(len(encodings), np.float64)
        batches = _batches([encoding.ids for encoding in encodings], self._options.batch_size, self._inputs)
        for places, (columns, votes) in (map if self._pool is None else self._pool.map)(self._run, batches):
            techniques[places] = columns
            malicious[places] = votes
        return techniques, malicious

    def _run(self, batch: Batch) -> tuple[list[int], Any]:
        places, inputs = batch
        return places, self._session.run(OUTPUTS, inputs)

    def _strange(self, encoding: Encoding) -> bool:
        words = sum(mask == 0 for mask in encoding.special_tokens_mask)
        if not words:
            return True
        limit = self._options.max_unknown
        return limit < 1.0 and encoding.ids.count(self._unknown) > limit * words

    def _prove(self) -> None:
        """Runs the graph once, so that one that does not fit is refused when it is loaded."""
        missing = set(OUTPUTS) - {node.name for node in self._session.get_outputs()}
        if missing:
            raise ConfigError(f"member {self.name!r}: the graph has no output {', '.join(sorted(missing))}")
        for text in ("a", "a text of more tokens than the other one"):
            ((_, inputs),) = _batches([self._tokenizer.encode(text).ids], 1, self._inputs)
            try:
                techniques, malicious = self._session.run(OUTPUTS, inputs)
            except _LOAD_ERRORS as error:
                raise ConfigError(f"member {self.name!r}: the graph does not run: {error}") from error
            if (techniques.shape, malicious.shape) != ((1, len(self.labels)), (1,)):
                raise ConfigError(
                    f"member {self.name!r}: for one event and {len(self.labels)} labels the graph gives logits of shape "
                    f"{techniques.shape} and {malicious.shape}"
                )


def _batches(ids: Sequence[Sequence[int]], size: int, names: Sequence[str]) -> Iterator[Batch]:
    """Longest first: like lengths share a batch, and the threads end together."""
    order = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
    for start in range(0, len(order), size):
        places = order[start : start + size]
        width = len(ids[places[0]])
        tokens = np.zeros((len(places), width), np.int64)
        mask = np.zeros((len(places), width), np.int64)
        for row, place in enumerate(places):
            length = len(ids[place])
            tokens[row, :length] = ids[place]
            mask[row, :length] = 1
        inputs = {"input_ids": tokens, "attention_mask": mask}
        if "token_type_ids" in names:
            inputs["token_type_ids"] = np.zeros_like(tokens)
        yield places, inputs


def _tokenizer(path: Path, max_length: int) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_buffer(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} is no tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer


def _session(path: Path) -> ort.InferenceSession:
    """One thread a run, for runs side by side. The graph is loaded from bytes, so it cannot name other files."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except (OSError, *_LOAD_ERRORS) as error:
        raise ConfigError(f"{path} is no graph that can be run: {error}") from error


plugin = MemberPlugin(member=TextMember, testbed="connector.models.testbed:TextTestbed")
