"""The red team's logons among all logons of LANL's recording, by how logons are made and what they were like before.

No user, computer or time is a feature: a logon is told by its kind, by how often its pairs were seen until then, and by the flows
and process starts of the minutes around it. Training ends where half of the red team's logons are past: later ones are
what a model of that day would have met. Ordinary logons are thinned, and each that is kept weighs for those that were not.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from connector.errors import ConfigError
from connector.learn.corpora.lanl import Logon, RedTeam, flows, known, logons, red_team, starts
from connector.learn.training.trees import one_thread

KINDS: Final = ("Kerberos", "NTLM", "Negotiate", "MICROSOFT_AUTHENTICATION_PACKAGE_V1_0")
LOGON_TYPES: Final = ("Network", "Interactive", "Batch", "Service", "Unlock", "RemoteInteractive", "NewCredentials")
ORIENTATIONS: Final = ("LogOn", "LogOff", "TGS", "TGT", "AuthMap")
NAMES: Final = (
    *KINDS,
    *LOGON_TYPES,
    *ORIENTATIONS,
    *("success", "machine account", "own computer", "own name"),
    *("user to destination", "user from source", "source to destination", "user's logons", "user's failures"),
    *("flows", "bytes", "process starts"),
)
"""The features. The counts are of what was seen before, as log2(1 + n)."""

MOST_KEYS: Final = 4_000_000
"""Pairs that are counted at most; later ones count as never seen."""

WINDOW: Final = 60
FEWEST: Final = 3
"""Logons of the red team on either side of the split, without which nothing is measured."""


class Rated(msgspec.Struct, frozen=True):
    """One model on the later part: area under the ROC, and average precision beside the share that chance would have."""

    model: str
    auc: float
    average_precision: float
    share: float


class Found(msgspec.Struct, frozen=True):
    """What was measured, and on what: logons read, kept, of the red team on either side; red-team logons that no line has."""

    logons: int
    kept: int
    trained: int
    tested: int
    missing: int
    rated: tuple[Rated, ...]


class _Window:
    """How much of something each key had within the last minute, of a stream in time order."""

    def __init__(self, stream: Iterator[tuple[int, Hashable, int]]) -> None:
        self._stream = stream
        self._next = next(stream, None)
        self._held: deque[tuple[int, Hashable, int]] = deque()
        self._count: Counter[Hashable] = Counter()
        self._sum: Counter[Hashable] = Counter()

    def until(self, time: int) -> None:
        """Takes in what happened up to then, and lets go of what is older than a minute."""
        while self._next is not None and self._next[0] <= time:
            _, key, size = self._next
            self._held.append(self._next)
            self._count[key] += 1
            self._sum[key] += size
            self._next = next(self._stream, None)
        while self._held and self._held[0][0] < time - WINDOW:
            _, key, size = self._held.popleft()
            self._count[key] -= 1
            self._sum[key] -= size
            if not self._count[key]:
                del self._count[key], self._sum[key]

    def of(self, key: Hashable) -> tuple[int, int]:
        """How many there were of the key, and their sum."""
        return self._count[key], self._sum[key]


class _Before:
    """How often each thing was seen, in bounded memory."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, int] = {}

    def counted(self, key: Hashable, *, add: bool = True) -> int:
        """How often until now; then once more."""
        times = self._seen.get(key, 0)
        if add and (times or len(self._seen) < MOST_KEYS):
            self._seen[key] = times + 1
        return times


def study(folder: Path, *, every: int = 100, trees: int = 100, seed: int = 1) -> Found:
    """Reads the four files once and measures. Raises ``ConfigError`` where one is missing, or the red team too rare."""
    red = red_team(folder)
    features, truth, times, read = _kept(folder, red, every)
    if truth.sum() < 2 * FEWEST or len(np.unique(times[truth])) < 2:
        raise ConfigError(
            f"{folder}: {int(truth.sum())} logons of the red team are among the authentication events: too few"
        )
    edge = np.median(times[truth])
    rest, held = times <= edge, times > edge
    weight = np.where(truth, 1.0, every)
    rated = tuple(
        _rated(name, model, (features, truth, weight), rest, held) for name, model in _models(trees, seed).items()
    )
    return Found(
        read, len(truth), int(truth[rest].sum()), int(truth[held].sum()), max(len(red) - int(truth.sum()), 0), rated
    )


def _kept(folder: Path, red: frozenset[RedTeam], every: int) -> tuple[NDArray[np.float32], NDArray[np.bool_], Any, int]:
    """Features, whether it is the red team's, and the time, of its logons and of one in so many others; and how many were read."""
    rows, truth, times, read = [], [], [], 0
    for read, (logon, row) in enumerate(described(folder), 1):
        ours = RedTeam(logon.time, logon.user, logon.source, logon.destination) in red
        if ours or zlib.crc32(f"{read}".encode()) % every == 0:
            rows.append(row)
            truth.append(ours)
            times.append(logon.time)
    return np.array(rows, np.float32).reshape(-1, len(NAMES)), np.array(truth, bool), np.array(times), read


def described(folder: Path) -> Iterator[tuple[Logon, list[float]]]:
    """Each logon with its features, in the file's order."""
    moved = _Window((flow.time, (flow.source, flow.destination), flow.bytes) for flow in flows(folder))
    begun = _Window((start.time, (start.user, start.computer), 0) for start in starts(folder))
    seen = _Before()
    for logon in logons(folder):
        for window in (moved, begun):
            window.until(logon.time)
        yield logon, _row(logon, moved, begun, seen)


def _row(logon: Logon, moved: _Window, begun: _Window, seen: _Before) -> list[float]:
    there, sent = moved.of((logon.source, logon.destination))
    began, _ = begun.of((logon.user, logon.source))
    counts = [
        seen.counted(("user, destination", logon.user, logon.destination)),
        seen.counted(("user, source", logon.user, logon.source)),
        seen.counted(("source, destination", logon.source, logon.destination)),
        seen.counted(("user", logon.user)),
        seen.counted(("failure", logon.user), add=not logon.success),
        *(there, sent, began),
    ]
    account = logon.user.partition("@")[0]
    return [
        *(float(logon.kind == name) for name in KINDS),
        *(float(logon.logon_type == name) for name in LOGON_TYPES),
        *(float(logon.orientation == name) for name in ORIENTATIONS),
        float(logon.success),
        float(account.endswith("$")),
        float(logon.source == logon.destination),
        float(known(logon.target_user) and logon.user == logon.target_user),
        *np.log2(1.0 + np.array(counts, np.float64)).tolist(),
    ]


def _models(trees: int, seed: int) -> dict[str, Callable[[], Any]]:
    return {
        "gradient boosting": lambda: HistGradientBoostingClassifier(
            max_iter=trees, min_samples_leaf=5, class_weight="balanced", early_stopping=False, random_state=seed
        ),
        "random forest": lambda: RandomForestClassifier(trees, class_weight="balanced", random_state=seed),
        "logistic regression": lambda: make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=200, class_weight="balanced")
        ),
    }


def _rated(
    name: str,
    model: Callable[[], Any],
    data: tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.float64]],
    rest: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> Rated:
    features, truth, weight = data
    with one_thread():
        said = model().fit(features[rest], truth[rest]).predict_proba(features[held])[:, 1]
    found = {"sample_weight": weight[held]}
    return Rated(
        name,
        round(float(roc_auc_score(truth[held], said, **found)), 4),
        round(float(average_precision_score(truth[held], said, **found)), 4),
        round(float(np.average(truth[held], weights=weight[held])), 8),
    )


def lines(found: Found) -> Iterator[str]:
    """The figures as a table."""
    yield f"{found.logons} logons read, {found.kept} kept; of the red team's {found.trained} before the split, {found.tested} after"
    yield f"logons of the red team that no authentication event shows: {found.missing}"
    yield ""
    yield "| model | AUC | average precision | by chance |"
    yield "|---|---|---|---|"
    for row in found.rated:
        yield f"| {row.model} | {row.auc:.4f} | {row.average_precision:.4f} | {row.share:.8f} |"
