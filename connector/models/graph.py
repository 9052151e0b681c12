"""An ONNX graph that reads tokens, run one event at a time, with several runs side by side.

The graph takes ``input_ids`` and ``attention_mask`` (n, tokens; ``token_type_ids`` where it asks for them), where it reads
letters ``letters`` and ``letters_mask`` (n, bytes; :func:`spelling`), and gives the
logits ``techniques`` (n, labels) and ``malicious`` (n,). It may give ``relevance`` (n, tokens): how much of the malicious
logit each token brought; and ``embedding`` (n, d): the features that both heads read.

Every event is a batch of its own by default: dynamic int8 quantisation takes one scale a tensor, so in a larger batch a
score would depend on the events beside it (docs/decisions/0007-one-event-a-run.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from connector.errors import ConfigError
from connector.models.trials import fastest

OUTPUTS = ("techniques", "malicious")
RELEVANCE = "relevance"
EMBEDDING = "embedding"
LETTERS = "letters"

GRAPH_ERRORS = tuple(
    getattr(ort_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)
"""What onnxruntime raises for a file that is no graph, and for inputs that do not fit one."""


def spelling(text: str, most: int) -> NDArray[np.int64]:
    """The letters of a text as a graph reads them: the first ``most`` bytes of its UTF-8 in lower case."""
    return np.frombuffer(text[:most].lower().encode("utf-8", "replace")[:most], np.uint8).astype(np.int64)


class Reading(NamedTuple):
    """A text as a graph reads it: token ids, and its :func:`spelling`, empty where the graph reads no letters."""

    tokens: Sequence[int]
    letters: NDArray[np.int64] = np.empty(0, np.int64)


_PROBES = (Reading([0], np.zeros(1, np.int64)), Reading([0] * 9, np.zeros(7, np.int64)))
"""Texts that every graph must run: of one token and letter, and of several."""


_TRIAL = Reading([0] * 48, np.zeros(256, np.int64))
"""A text of usual length, for trials: what the words are takes no time."""

_RUNS = 4
"""Runs of a thread in a trial; of one thread twice as many."""


class Logits(NamedTuple):
    """Logits of n texts: ``techniques`` (n, labels), ``malicious`` (n,), and one array of ``relevance`` a text.

    ``relevance`` is empty where the graph does not give it; ``embedding`` (n, d) where it was not asked for.
    """

    techniques: NDArray[np.float64]
    malicious: NDArray[np.float64]
    relevance: Sequence[NDArray[np.float32]]
    embedding: NDArray[np.float32]


class _Batch(NamedTuple):
    """The places of the texts in the call, and what the graph is given."""

    places: list[int]
    inputs: dict[str, NDArray[np.int64]]


_Scored: TypeAlias = tuple[list[int], list[Any]]
"""The places of the texts in the call, and the graph's outputs for them."""


class Graph:
    """One session, shared by threads. Raises ``ConfigError`` for a file that is no such graph."""

    def __init__(self, path: Path, *, labels: int, threads: int, batch_size: int = 1) -> None:
        self._session = _session(path)
        self._labels = labels
        self._batch_size = batch_size
        self._inputs = frozenset(node.name for node in self._session.get_inputs())
        outputs = [node.name for node in self._session.get_outputs()]
        if missing := sorted(set(OUTPUTS) - set(outputs)):
            raise ConfigError(f"{path}: the graph has no output {', '.join(missing)}")
        self._outputs = (*OUTPUTS, RELEVANCE) if RELEVANCE in outputs else OUTPUTS
        self._embeds = EMBEDDING in outputs
        self._path = path
        self._prove(path)
        self._threads, self._pool = threads, _pool(threads)

    @property
    def width(self) -> int:
        """How many features an event has; 0 where the graph does not give them."""
        return self.embed([_PROBES[0]]).shape[1] if self._embeds else 0

    def close(self) -> None:
        """Ends the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def settle(self) -> int:
        """Finds how many runs side by side are fastest here, keeps to that and returns it.

        No score depends on it. To be called before anything is scored: the threads are made anew.
        """
        (batch,) = self._batches([_TRIAL])

        def trial(threads: int) -> float:
            batches = [batch] * (_RUNS * max(threads, 2))
            start = perf_counter()
            list(self._scored(batches, OUTPUTS, threads))
            return (perf_counter() - start) / len(batches)

        found = fastest(self._threads, trial)
        if found != self._threads:
            self.close()
            self._threads, self._pool = found, _pool(found)
        return found

    def run(self, texts: Sequence[Reading], *, embeds: bool = False) -> Logits:
        """The logits of texts, and in the same pass their features where ``embeds`` asks for them."""
        techniques = np.empty((len(texts), self._labels), np.float64)
        malicious = np.empty(len(texts), np.float64)
        relevance: list[NDArray[np.float32]] = [_NOTHING] * len(texts)
        features: list[Any] = [_NOTHING] * len(texts)
        outputs = (*self._outputs, EMBEDDING) if embeds else self._outputs
        for places, found in self._scored(list(self._batches(texts)), outputs):
            techniques[places], malicious[places] = found[:2]
            for row, place in enumerate(places):
                if RELEVANCE in outputs:
                    relevance[place] = found[2][row, : len(texts[place].tokens)]
                if embeds:
                    features[place] = found[-1][row]
        return Logits(techniques, malicious, relevance, _stacked(features))

    def embed(self, texts: Sequence[Reading]) -> NDArray[np.float32]:
        """The features (n, d) of texts. Raises ``ConfigError`` where the graph does not give them."""
        if not self._embeds:
            raise ConfigError(f"{self._path}: the graph gives no {EMBEDDING}; export the bundle again")
        rows: list[Any] = [None] * len(texts)
        for places, (found,) in self._scored(list(self._batches(texts)), (EMBEDDING,)):
            for row, place in enumerate(places):
                rows[place] = found[row]
        return _stacked(rows)

    def _scored(
        self, batches: Sequence[_Batch], outputs: Sequence[str], threads: int | None = None
    ) -> Iterable[_Scored]:
        """Every batch, on all threads. Each thread takes the next batch when it is free: one task a thread, not a batch."""
        if self._pool is None:
            return ((batch.places, self._run(batch, outputs)) for batch in batches)
        waiting = iter(batches)

        def take() -> list[_Scored]:
            return [(batch.places, self._run(batch, outputs)) for batch in waiting]

        tasks = [self._pool.submit(take) for _ in range(min(threads or self._threads, len(batches)))]
        return chain.from_iterable(task.result() for task in tasks)

    def _run(self, batch: _Batch, outputs: Sequence[str]) -> list[Any]:
        return list(self._session.run(outputs, batch.inputs))

    def _batches(self, texts: Sequence[Reading]) -> Iterator[_Batch]:
        """Longest first: like lengths share a batch, and the threads end together."""
        order = sorted(range(len(texts)), key=lambda place: -len(texts[place].tokens))
        for start in range(0, len(order), self._batch_size):
            places = order[start : start + self._batch_size]
            inputs = _padded(("input_ids", "attention_mask"), [texts[place].tokens for place in places])
            if "token_type_ids" in self._inputs:
                inputs["token_type_ids"] = np.zeros_like(inputs["input_ids"])
            if LETTERS in self._inputs:
                inputs |= _padded((LETTERS, f"{LETTERS}_mask"), [texts[place].letters for place in places])
            yield _Batch(places, inputs)

    def _prove(self, path: Path) -> None:
        """Runs the graph, so that one that does not fit is refused when it is loaded and not at the first event."""
        for probe in _PROBES:
            (batch,) = self._batches([probe])
            try:
                found = self._run(batch, self._outputs)
            except GRAPH_ERRORS as error:
                raise ConfigError(f"{path}: the graph does not run: {error}") from error
            shapes = [output.shape for output in found]
            if shapes != [(1, self._labels), (1,), (1, len(probe.tokens))][: len(found)]:
                raise ConfigError(
                    f"{path}: for one event of {len(probe.tokens)} tokens and {self._labels} labels the graph gives {shapes}"
                )


_NOTHING = np.empty(0, np.float32)


def _pool(threads: int) -> ThreadPoolExecutor | None:
    return ThreadPoolExecutor(threads, thread_name_prefix="score") if threads > 1 else None


def _padded(names: tuple[str, str], rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
    """Ids (n, longest) and their mask, by the names of the graph's inputs."""
    ids = np.zeros((len(rows), max(1, *map(len, rows))), np.int64)
    mask = np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
        mask[place, : len(row)] = 1
    return dict(zip(names, (ids, mask), strict=True))


def _stacked(rows: Sequence[Any]) -> NDArray[np.float32]:
    return np.stack(rows) if rows else np.empty((0, 0), np.float32)


def _session(path: Path) -> ort.InferenceSession:
    """One thread a run, for runs side by side. The graph is loaded from bytes, so that it cannot name other files."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    except (OSError, *GRAPH_ERRORS) as error:
        raise ConfigError(f"{path} is no graph that can be run: {error}") from error
