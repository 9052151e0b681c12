"""Members side by side: in which order they run, and what their scores say together.

Evidence adds: ``p_malicious`` is the sum of what the members' votes say beyond the prevalence they were trained at, in
log-odds, calibrated (I. J. Good, Probability and the Weighing of Evidence, 1950). A member named ``meta`` stands for those
that it reads, where it has a view. Each technique has the highest probability that any member gives it. A member without a
view does not count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models.calibration import log_odds, logit, prior_shift, scaled, sigmoid
from connector.models.manifest import Calibration
from connector.ports import Evidence, Member
from connector.types import Scores

META = "meta"

TEXT = "text"
"""The member whose scores depend on the canonical form alone."""


class Combined:
    """What n events scored together. All arrays have one row an event; nan where nobody has a view.

    ``p_malicious`` (n,) and ``votes`` (members, n) are calibrated and at the reference prevalence. ``techniques`` is
    (n, labels) in the bundle's labels. ``spread`` (n,) is how far the base members' votes are apart, at the
    training prevalence.
    """

    __slots__ = ("p_malicious", "spread", "techniques", "votes")

    def __init__(
        self,
        p_malicious: NDArray[np.float64],
        techniques: NDArray[np.float32],
        votes: NDArray[np.float64],
        spread: NDArray[np.float64],
    ) -> None:
        self.p_malicious = p_malicious
        self.techniques = techniques
        self.votes = votes
        self.spread = spread


def in_order(members: Sequence[Member]) -> tuple[Member, ...]:
    """The members, each after those that it needs. Raises ``ConfigError`` on a cycle or an unknown name."""
    waiting = {member.name: member for member in members}
    known = frozenset(waiting)
    for member in members:
        if strangers := sorted(set(member.needs) - known):
            raise ConfigError(f"member {member.name!r} needs {', '.join(strangers)}, which the bundle does not have")
    ordered: list[Member] = []
    while waiting:
        ready = [member for member in waiting.values() if not any(need in waiting for need in member.needs)]
        if not ready:
            raise ConfigError(f"members need each other in a circle: {', '.join(sorted(waiting))}")
        ordered.extend(waiting.pop(member.name) for member in ready)
    return tuple(ordered)


class Combiner:
    """Brings every member's columns into the bundle's labels, and their votes to one probability."""

    def __init__(
        self,
        members: Sequence[Member],
        labels: Sequence[str],
        calibration: Calibration,
        evidence: Mapping[str, Evidence] | None = None,
    ) -> None:
        """``evidence`` says by a member's name what its vote adds; the whole of it where it is not named."""
        column = {label: index for index, label in enumerate(labels)}
        self._width = len(labels)
        self._columns = {m.name: np.array([column[label] for label in m.labels], np.intp) for m in members}
        self._names = tuple(member.name for member in members)
        self._read = {need for member in members if member.name == META for need in member.needs}
        self._evidence = {name: (evidence or {}).get(name, "whole") for name in self._names}
        self._prior = log_odds(calibration.train_prevalence)
        self._platt = calibration.malicious
        self._shift = prior_shift(calibration)

    def combine(self, views: Mapping[str, Scores], events: int) -> Combined:
        """The members' views of so many events, as one."""
        logits = np.stack([logit(views[name].p_malicious) for name in self._names])
        base = [row for row, name in enumerate(self._names) if name != META]
        techniques = self._highest(views, [self._names[row] for row in base], events)
        parts = {name: self._adds(name, row) for name, row in zip(self._names, logits, strict=True)}
        if META in self._names:
            meta = views[META]
            told = ~np.isnan(meta.p_malicious)
            parts |= {name: np.where(told, np.nan, part) for name, part in parts.items() if name in self._read}
            seen = ~np.isnan(meta.techniques)
            place = np.zeros((events, self._width), bool)
            place[:, self._columns[META]] = seen
            techniques[place] = meta.techniques[seen]
        together = self._prior + _sum(np.stack(list(parts.values())))
        opinions = sigmoid(logits[base])
        return Combined(
            p_malicious=sigmoid(scaled(together, self._platt) + self._shift),
            techniques=techniques,
            votes=sigmoid(logits + self._shift),
            spread=np.fmax.reduce(opinions, axis=0) - np.fmin.reduce(opinions, axis=0),
        )

    def _adds(self, name: str, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """What a member's votes (n,) add to the log-odds; nan where that is nothing at all."""
        added = logits - self._prior
        match self._evidence[name]:
            case "whole":
                return added
            case "found":
                return np.maximum(added, 0.0)
            case "none":
                return np.full_like(added, np.nan)

    def _highest(self, views: Mapping[str, Scores], names: Sequence[str], events: int) -> NDArray[np.float32]:
        found = np.full(
            (self._width, events), np.nan, np.float32
        )  # whole columns are taken faster where they lie as rows
        for name in names:
            columns = self._columns[name]
            found[columns] = np.fmax(found[columns], views[name].techniques.T)
        return found.T


def _sum(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum over the members with something to add; nan where there is none."""
    return np.where(np.isnan(parts).all(axis=0), np.nan, np.nansum(parts, axis=0))
