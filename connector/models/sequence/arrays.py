"""Windows as the arrays that a network reads: for each of n events its last tokens, padded before, its own token last."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.models.sequence.window import LENGTH, TOP, UNSCORED, Context, Token

GAPS: Final = np.array([1, 10, 100, 1_000, 10_000, 60_000, 600_000, 3_600_000], np.int64)
"""Edges of the buckets of the time since the token before, in milliseconds."""

_EDGES: Final = GAPS.tolist()

NAMES, FLAGS = 4, 6
"""Columns: kind, family, parent's family, gap; and score, is it scored, same process, its parent, its child, is there a token."""

_LOGIT: Final = 8.0
_SCALE: Final = 32.0
_SHARE: Final = 255.0
_PAD: Final = Token(0, 0, 0, 0, 0, UNSCORED, (0, 0, 0), (0, 0, 0), 0, 0)


class Arrays(msgspec.Struct, frozen=True, eq=False):
    """n windows. ``names`` int64 (n, LENGTH, NAMES); ``flags`` float32 (n, LENGTH, FLAGS).

    ``top`` int64 and ``weights`` float32 (n, LENGTH, TOP): techniques, 0 for none, and how likely they are.
    """

    names: NDArray[np.int64]
    flags: NDArray[np.float32]
    top: NDArray[np.int64]
    weights: NDArray[np.float32]

    def part(self, rows: NDArray[np.integer] | slice) -> Arrays:
        """Some of the windows."""
        return Arrays(self.names[rows], self.flags[rows], self.top[rows], self.weights[rows])

    def inputs(self) -> dict[str, NDArray[np.generic]]:
        """The arrays by the names of the graph's inputs."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


def logit_of(score: NDArray[np.floating]) -> NDArray[np.int64]:
    """Logits of malice in eighths, as tokens keep them; nan is :data:`UNSCORED`."""
    return np.where(np.isnan(score), UNSCORED, np.clip(np.rint(np.nan_to_num(score) * _LOGIT), -127, 127)).astype(
        np.int64
    )


def arrays(windows: Sequence[Sequence[Token]]) -> Arrays:
    """The windows of n events, each with the event's own token last, none longer than :data:`LENGTH`."""
    lengths = np.array([len(window) for window in windows], np.intp)
    flat = [token for window in windows for token in window]
    _, first, back = np.unique(np.fromiter(map(id, flat), np.int64, len(flat)), return_index=True, return_inverse=True)
    # Windows of one host share most of their tokens, so each is read once; the first row stands for none.
    tokens = [_PAD, *(flat[place] for place in first.tolist())]
    plain = np.array([(*t[2:6], *t.top, *t.weights, t.process, t.above) for t in tokens], np.int64)
    places = np.zeros((len(windows), LENGTH), np.intp)
    places[np.arange(LENGTH) >= LENGTH - lengths[:, None]] = back + 1
    table, at = plain[places], np.array([token.at for token in tokens], np.int64)[places]
    there = table[:, :, 0] > 0
    names = np.concatenate([table[:, :, :3], _gaps(at, there)[:, :, None]], axis=2)
    top, share = table[:, :, 4 : 4 + TOP], table[:, :, 4 + TOP : 4 + 2 * TOP]
    weights = (share / _SHARE).astype(np.float32)
    return Arrays(names, _flags(table, there), top, weights)


def unlike(contexts: Sequence[Context]) -> tuple[list[tuple[Token, ...]], NDArray[np.intp]]:
    """The windows of n events less those that give the same arrays as another, and which of them is each event's, (n,).

    What a host does again and again stands behind the very same tokens, and is only a little later.
    """
    found: dict[object, int] = {}
    distinct: list[tuple[Token, ...]] = []
    which: list[int] = []
    for before, own in contexts:
        gap = bisect_right(_EDGES, own.at - before[-1].at) if before else 0
        place = found.setdefault((id(before), own[2:], gap), len(distinct))
        if place == len(distinct):
            distinct.append((*before, own))
        which.append(place)
    return distinct, np.array(which, np.intp)


def _gaps(at: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The bucket of the time since the token before, from 2 on; 1 where nothing stands before, 0 where no token is."""
    since = np.searchsorted(GAPS, np.diff(at, axis=1), side="right") + 2
    gaps = np.where(there[:, :-1], since, 1)
    return np.where(there, np.concatenate([np.ones((len(at), 1), np.int64), gaps], axis=1), 0)


def _flags(table: NDArray[np.int64], there: NDArray[np.bool_]) -> NDArray[np.float32]:
    score, process, above = table[:, :, 3], table[:, :, -2], table[:, :, -1]
    own, parent = process[:, -1:], above[:, -1:]
    scored = score != UNSCORED
    columns = (
        np.where(scored, score / _SCALE, 0.0),
        scored,
        (process == own) & (process != 0),
        (process == parent) & (process != 0),
        (above == own) & (above != 0),
        there,
    )
    return np.stack(columns, axis=2).astype(np.float32)
