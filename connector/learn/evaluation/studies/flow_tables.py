"""The flow data sets as tables of numbers, each with its classes and its groups of near copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.corpora import labelled_flows
from connector.learn.corpora.nsl_kdd import SYMBOLS, TEST, TRAIN, Connections, read
from connector.learn.corpora.source import Corpora

Numbers = NDArray[np.float32]
Whole = NDArray[np.intp]

NEAR: Final = 2
"""Numbers count as the same where log2(1 + |number|) agrees to so many parts of one."""


class Table(msgspec.Struct, frozen=True, eq=False):
    """Rows of one data set: ``features`` (n, columns), ``truth`` (n,) as places in ``classes``, ``groups`` (n,) of near copies."""

    name: str
    features: Numbers
    truth: Whole
    groups: NDArray[np.str_]
    classes: tuple[str, ...]

    def at(self, places: Any) -> Table:
        """The rows at these places."""
        return Table(self.name, self.features[places], self.truth[places], self.groups[places], self.classes)


def unsw(corpora: Corpora) -> Table:
    """UNSW-NB15: all its columns but the number of the row; near copies agree in what is the flow's own."""
    rows = list(labelled_flows.unsw_rows(corpora))
    words = ("proto", "service", "state")
    own = ("dur", "spkts", "dpkts", "sbytes", "dbytes")
    numbers = [name for name in rows[0] if name not in {"id", "attack_cat", "label", *words}]
    features = np.hstack([_logs(_numbers(rows, numbers)), _indicators(rows, words)])
    keys = [",".join([*(row[word] for word in words), *near]) for row, near in zip(rows, _near(rows, own), strict=True)]
    return _table("UNSW-NB15", features, [row["attack_cat"] for row in rows], keys)


def cicids(corpora: Corpora) -> Table:
    """The CICIDS2017 sample: all its columns, by which near copies are told too."""
    rows = list(labelled_flows.cicids_rows(corpora))
    numbers = [name for name in rows[0] if name != "Labelb"]
    truth = ["attack" if row["Labelb"] != "0" else "benign" for row in rows]
    return _table(
        "CICIDS2017 sample", _logs(_numbers(rows, numbers)), truth, [",".join(near) for near in _near(rows, numbers)]
    )


def nsl(corpora: Corpora) -> tuple[Connections, Connections]:
    """NSL-KDD's training file and ``KDDTest+``."""
    return read(corpora, TRAIN), read(corpora, TEST)


def plain(records: Connections, fitted: Connections) -> Numbers:
    """NSL-KDD's own 41 columns: logarithms of the numbers, and a column for each word of the records that are fitted to."""
    columns = [
        records.symbols[:, place] == word
        for place in range(len(SYMBOLS))
        for word in np.unique(fitted.symbols[:, place])
    ]
    return np.hstack([np.log1p(records.numbers), np.stack(columns, 1)]).astype(np.float32)


def _table(name: str, features: NDArray[np.float64], kinds: Sequence[str], groups: Sequence[str]) -> Table:
    classes, truth = np.unique(np.array(kinds, np.str_), return_inverse=True)
    return Table(
        name, features.astype(np.float32), truth.astype(np.intp), np.array(groups, np.str_), tuple(map(str, classes))
    )


def _numbers(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> NDArray[np.float64]:
    found = np.array([[float(row[name]) for name in names] for row in rows], np.float64)
    found[~np.isfinite(found)] = 0.0
    return found


def _logs(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.sign(numbers) * np.log2(1.0 + np.abs(numbers))
    return found


def _near(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> list[list[str]]:
    return [list(map(str, row)) for row in np.round(_logs(_numbers(rows, names)) * NEAR).astype(int).tolist()]


def _indicators(rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> NDArray[np.float64]:
    columns = [[row[name] == word for row in rows] for name in names for word in sorted({row[name] for row in rows})]
    return np.array(columns, np.float64).T
