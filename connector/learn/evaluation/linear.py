"""The linear baseline: TF-IDF over character 3- to 5-grams and linear models, by scikit-learn.

Grams are hashed, so one table serves every fold: the hash learns nothing. Their frequencies and the weights are learnt
from a fold's training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
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

ALPHA, EPOCHS = 3e-6, 5
"""Regularisation and passes of stochastic gradient descent."""

CHUNK = 2000


class Linear(msgspec.Struct, frozen=True):
    """A fitted baseline over hashed grams."""

    names: tuple[str, ...]
    columns: Any
    frequencies: Any
    techniques: Any
    malicious: Any

    def scores(self, grams: csr_matrix) -> tuple[Floats, Floats]:
        """Margins of parent techniques (n, names) and of malice (n,): they rank, and are no probabilities."""
        found = self.frequencies.transform(grams[:, self.columns])
        techniques, malicious = (head.decision_function(found) for head in (self.techniques, self.malicious))
        return techniques.astype(np.float32), malicious.astype(np.float32)

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return len(self.columns) * (len(self.names) + 1)


def hashed(texts: Sequence[str]) -> csr_matrix:
    """How often each hashed gram stands in each text (n, :data:`BUCKETS`)."""
    reader = HashingVectorizer(
        analyzer="char", ngram_range=GRAMS, n_features=BUCKETS, alternate_sign=False, norm=None, dtype=np.float32
    )
    parts = [reader.transform(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
    return vstack(parts, format="csr") if parts else csr_matrix((0, BUCKETS), dtype=np.float32)


def fit_linear(rows: Sequence[Row], grams: csr_matrix, parent_groups: int = 3) -> Linear:
    """Fits both heads on training rows and their grams: the parents that the text member could learn from them too."""
    columns = np.flatnonzero(np.bincount(grams.indices, minlength=BUCKETS) >= LEAST_ROWS)
    frequencies = TfidfTransformer(sublinear_tf=True)
    found = frequencies.fit_transform(grams[:, columns])
    names = [name for name in label_space(rows, parent_groups, parent_groups) if "." not in name]
    labelled = [number for number, row in enumerate(rows) if parents(row) & set(names)]
    marks = MultiLabelBinarizer(classes=names).fit_transform(
        [parents(rows[number]) & set(names) for number in labelled]
    )
    said = [number for number, row in enumerate(rows) if row.malicious is not None]
    truth = [bool(rows[number].malicious) for number in said]
    techniques = OneVsRestClassifier(_learner(ALPHA)).fit(found[labelled], marks)
    malicious = _learner(ALPHA).fit(found[said], truth)
    return Linear(tuple(names), columns, frequencies, techniques, malicious)


def _learner(alpha: float) -> SGDClassifier:
    return SGDClassifier(loss="log_loss", alpha=alpha, max_iter=EPOCHS, tol=None, random_state=1)
