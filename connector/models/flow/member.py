"""The flow member: is this connection a flood, a scan, a guess at passwords, or what connections ordinarily are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from connector.errors import ConfigError
from connector.models.flow.classes import BENIGN, Floats, Options, probabilities
from connector.models.flow.features import NAMES, features, rows
from connector.models.flow.view import Flow, flow_of
from connector.ports import MemberPlugin, MemberSpec, State
from connector.types import Event, Scores, StateChange

MODEL: Final = "model.onnx"
NOTED: Final = 0.8
"""p_malicious from which an explanation says what the flow is like."""

_ERRORS: Final = tuple(
    getattr(ort_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)


class FlowMember:
    """Scores events that tell of a network flow; any other event has no view."""

    needs: tuple[str, ...] = ()

    def __init__(self, spec: MemberSpec, directory: Path, threads: int) -> None:
        self.name = spec.name
        self.labels = spec.labels
        self._options = _options(spec)
        self._trees = _Trees(directory / MODEL, len(self._options.classes), threads)

    def key(self, event: Event) -> str | None:
        """SHA-256 of the row that the trees read and of what a note tells; one key for all events without a flow."""
        flow = flow_of(event.ecs)
        if flow is None:
            return ""
        return hashlib.sha256(features(flow).tobytes() + told_of(flow).encode()).hexdigest()

    def state_keys(self, events: Sequence[Event]) -> frozenset[str]:
        """None: each flow is judged by itself."""
        del events
        return frozenset()

    def score(self, events: Sequence[Event], views: Mapping[str, Scores], state: State) -> tuple[Scores, StateChange]:
        """p_malicious: that the flow is of another class than benign; a technique: that it is of one which shows it."""
        del views, state
        techniques = np.full((len(events), len(self.labels)), np.nan, np.float32)
        p_malicious = np.full(len(events), np.nan, np.float32)
        notes: list[tuple[str, ...]] = [()] * len(events)
        flows = {place: flow for place, event in enumerate(events) if (flow := flow_of(event.ecs)) is not None}
        if flows:
            seen = list(flows)
            raw = self._trees.raw(list(flows.values()))
            p_malicious[seen], techniques[seen] = probabilities(raw, self._options, self.labels)
            for (place, flow), classes in zip(flows.items(), raw, strict=True):
                if p_malicious[place] >= NOTED:
                    notes[place] = (self._note(flow, classes),)
        return Scores(techniques=techniques, p_malicious=p_malicious, notes=tuple(notes)), StateChange()

    def _note(self, flow: Flow, raw: Floats) -> str:
        """``flow: like flood: tcp, port 80, 0 s, 1 packets out, 0 in, never answered``."""
        likeliest = max((value, name) for value, name in zip(raw, self._options.classes, strict=True) if name != BENIGN)
        return f"{self.name}: like {likeliest[1]}: {told_of(flow)}"


def told_of(flow: Flow) -> str:
    """A flow in a few words."""
    outcome = flow.outcome
    words = [
        flow.transport or "",
        "" if flow.port is None else f"port {flow.port}",
        f"{flow.seconds:.3g} s",
        f"{flow.sent_packets or 0:.0f} packets out, {flow.received_packets or 0:.0f} in",
        "reset" if outcome.reset else "never answered" if outcome.established is False else "",
    ]
    return ", ".join(word for word in words if word)


class _Trees:
    """The graph that ``connector/learn/training/trees.py`` writes: rows of features to raw scores of classes."""

    def __init__(self, path: Path, classes: int, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4
        try:
            self._session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except (OSError, *_ERRORS) as error:
            raise ConfigError(f"{path} is no ONNX graph that can be run: {error}") from error
        shapes = [part.shape[1:] for part in (*self._session.get_inputs(), *self._session.get_outputs())]
        if shapes != [[len(NAMES)], [classes]]:
            raise ConfigError(
                f"{path} has inputs and outputs {shapes}, not {len(NAMES)} features and {classes} classes"
            )
        self._input = self._session.get_inputs()[0].name

    def raw(self, flows: Sequence[Flow]) -> Floats:
        """Raw scores (n, classes)."""
        found: Floats = self._session.run(None, {self._input: rows(flows)})[0].astype(np.float64)
        return found


def _options(spec: MemberSpec) -> Options:
    try:
        options = msgspec.convert(spec.options, Options)
    except msgspec.ValidationError as error:
        raise ConfigError(f"member {spec.name!r}: {error}") from error
    if options.features != NAMES:
        raise ConfigError(f"member {spec.name!r} was trained on other features of flows than this version reads")
    if BENIGN not in options.classes or len(set(options.classes)) < max(2, len(options.classes)):
        raise ConfigError(f"member {spec.name!r}: its classes are {BENIGN!r} and others, each named once")
    unknown = [label for label in spec.labels if not any(label in shown for shown in options.techniques.values())]
    if unknown or set(options.techniques) - set(options.classes):
        raise ConfigError(f"member {spec.name!r}: its table of techniques does not fit its labels and classes")
    return options


plugin = MemberPlugin(member=FlowMember, testbed="connector.models.flow.testbed:FlowTestbed")
