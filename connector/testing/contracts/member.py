"""The contract of members: a score is a function of what its key names, however events are batched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from connector.ports import Closes, Member, MemberPlugin, State
from connector.testing import examples
from connector.testing.contracts.rules import require, testbed
from connector.types import Event, Scores

_EVENTS = 24
_TOLERANCE = 1e-3


def check_member(plugin: MemberPlugin, directory: Path) -> None:
    """Puts a member through its contract. Raises ``ContractError`` naming the rule that it broke."""
    with testbed(plugin, directory) as bed:
        spec = bed.spec()
        member: Member = plugin.member(spec, bed.directory(), 1)
        try:
            events = examples.events(_EVENTS)
            require(member.name == spec.name, "a member bears the name that the manifest gives it", member.name)
            require(tuple(member.labels) == tuple(spec.labels), "a member's columns are the manifest's labels")
            require(member.name not in member.needs, "a member does not need itself", member.needs)
            whole = _scored(member, events, {})[0]
            _shapes(member, [], _scored(member, [], {})[0])
            _shapes(member, events, whole)
            _one_score_a_key(member, events, whole)
            _whatever_the_batches(member, events, whole)
        finally:
            if isinstance(member, Closes):
                member.close()


def _views(member: Member, events: Sequence[Event]) -> Mapping[str, Scores]:
    columns = np.full((len(events), len(member.labels)), 0.25, np.float32)
    view = Scores(techniques=columns, p_malicious=np.full(len(events), 0.5, np.float32), notes=((),) * len(events))
    return dict.fromkeys(member.needs, view)


def _scored(member: Member, events: Sequence[Event], state: State) -> tuple[Scores, State]:
    keys = member.state_keys(events)
    held = {key: row for key, row in state.items() if key in keys}
    scores, change = member.score(events, _views(member, events), held)
    for key, (version, value) in change.rows.items():
        require(key in keys, "only rows named by state_keys are changed", key)
        require(version == held.get(key, (0, b""))[0], "a changed row carries the version that it was made from", key)
        require(isinstance(value, bytes), "a state row is bytes", value)
    return scores, {**state, **{key: (version + 1, value) for key, (version, value) in change.rows.items()}}


def _shapes(member: Member, events: Sequence[Event], scores: Scores) -> None:
    n, labels = len(events), len(member.labels)
    require(scores.techniques.shape == (n, labels), "techniques are (n, labels)", scores.techniques.shape)
    require(scores.p_malicious.shape == (n,), "p_malicious is (n,)", scores.p_malicious.shape)
    require(len(scores.notes) == n, "there is one tuple of notes an event", len(scores.notes))
    for name, values in (("techniques", scores.techniques), ("p_malicious", scores.p_malicious)):
        require(values.dtype == np.float32, f"{name} is float32", values.dtype)
        known = values[~np.isnan(values)]
        require(((known >= 0) & (known <= 1)).all(), f"{name} holds probabilities, or nan", known)
    blind = np.isnan(scores.p_malicious)
    require(np.isnan(scores.techniques[blind]).all(), "an event without a view has nan in all its columns")


def _row(scores: Scores, index: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.append(scores.techniques[index], scores.p_malicious[index])


def _one_score_a_key(member: Member, events: Sequence[Event], scores: Scores) -> None:
    first: dict[str, int] = {}
    for index, event in enumerate(events):
        key = member.key(event)
        require(key == member.key(event), "an event has one key", key)
        if key is None:
            continue
        other = first.setdefault(key, index)
        same = np.allclose(_row(scores, index), _row(scores, other), atol=_TOLERANCE, equal_nan=True)
        require(same, "events of one key have one score", index, other)


def _whatever_the_batches(member: Member, events: Sequence[Event], whole: Scores) -> None:
    for size in (1, 5):
        rows = []
        state: State = {}
        for start in range(0, len(events), size):
            batch = events[start : start + size]
            scores, state = _scored(member, batch, state)
            rows += [_row(scores, index) for index in range(len(batch))]
        for index, row in enumerate(rows):
            same = np.allclose(row, _row(whole, index), atol=_TOLERANCE, equal_nan=True)
            require(same, f"a score is the same in a batch of {size} and in one of {len(events)}", index)
    if not member.state_keys(events):
        backwards = _scored(member, events[::-1], {})[0]
        for index in range(len(events)):
            same = np.allclose(_row(backwards, -1 - index), _row(whole, index), atol=_TOLERANCE, equal_nan=True)
            require(same, "without state, a score does not depend on the order of events", index)
