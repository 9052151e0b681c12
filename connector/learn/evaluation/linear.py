"""The linear baseline: TF-IDF over character 3- to 5-grams and linear models, by scikit-learn.

Grams are hashed, so one table serves every fold: the hash learns nothing. Their frequencies and the weights are learnt
from a fold's training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import MultiLabelBinarizer

from connector.learn.dataset import Row
from connector.learn.evaluation.truth import parents
from connector.learn.training.labels import Floats, label_space

BUCKETS, GRAMS, LEAST_ROWS = 2**20, (3, 5), 2
"""Buckets of the hash, lengths of the grams, and in how many training rows a gram must stand."""

ALPHA, EPOCHS = 3e-6, 3
"""Regularisation and passes of stochastic gradient descent."""

CHUNK = 2000


class Head(msgspec.Struct, frozen=True):
    """A fitted linear model over hashed grams; ``names`` are of its techniques, empty where it tells malice."""

    names: tuple[str, ...]
    columns: NDArray[np.int64]
    frequencies: Any
    model: Any

    def scores(self, grams: csr_matrix) -> Floats:
        """Margins (n, names) of techniques, or (n,) of malice: they rank, and are no probabilities."""
        found = self.model.decision_function(self.frequencies.transform(grams[:, self.columns]))
        if len(self.names) == 1:
            found = found.reshape(-1, 1)
        return np.asarray(found, np.float32)

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return len(self.columns) * max(len(self.names), 1)


def hashed(texts: Sequence[str]) -> csr_matrix:
    """How often each hashed gram stands in each text (n, :data:`BUCKETS`)."""
    reader = HashingVectorizer(
        analyzer="char", ngram_range=GRAMS, n_features=BUCKETS, alternate_sign=False, norm=None, dtype=np.float32
    )
    parts = [reader.transform(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
    return vstack(parts, format="csr") if parts else csr_matrix((0, BUCKETS), dtype=np.float32)


def fit_techniques(rows: Sequence[Row], grams: csr_matrix, parent_groups: int = 3) -> Head:
    """Parents that occur in so many groups, each against the rest, on the training rows that name any."""
    names = [name for name in label_space(rows, parent_groups, parent_groups) if "." not in name]
    labelled = [number for number, row in enumerate(rows) if parents(row) & set(names)]
    marks = MultiLabelBinarizer(classes=names).fit_transform(
        [parents(rows[number]) & set(names) for number in labelled]
    )
    columns, frequencies, found = _weighed(grams[labelled])
    return Head(tuple(names), columns, frequencies, OneVsRestClassifier(_learner()).fit(found, marks))


def fit_malice(rows: Sequence[Row], grams: csr_matrix) -> Head:
    """Malicious against benign, on the training rows that say which."""
    said = [number for number, row in enumerate(rows) if row.malicious is not None]
    truth = [bool(rows[number].malicious) for number in said]
    columns, frequencies, found = _weighed(grams[said])
    return Head((), columns, frequencies, _learner().fit(found, truth))


def _weighed(grams: csr_matrix) -> tuple[NDArray[np.int64], Any, csr_matrix]:
    columns = np.flatnonzero(np.bincount(grams.indices, minlength=BUCKETS) >= LEAST_ROWS)
    frequencies = TfidfTransformer(sublinear_tf=True)
    return columns, frequencies, frequencies.fit_transform(grams[:, columns])


def _learner() -> SGDClassifier:
    return SGDClassifier(loss="log_loss", alpha=ALPHA, max_iter=EPOCHS, tol=None, random_state=1)
