"""The baseline: TF-IDF over characters and a linear model, by scikit-learn, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import LinearSVC

from connector.learn.training.payload.rows import Row
from connector.models.payload.decode import plain

GRAMS = (1, 3)


def read_as(data: bytes, *, decoded: bool) -> str:
    """A value as the baseline reads it: with the member's own decoder or without it, in small letters either way."""
    return (plain(data) if decoded else data.lower()).decode("latin-1")


def baseline(rows: Sequence[Row], *, decoded: bool) -> Pipeline:
    """A fitted pipeline over texts of :func:`read_as` that predicts a row's kind."""
    made = make_pipeline(
        TfidfVectorizer(
            analyzer="char", ngram_range=GRAMS, min_df=2, sublinear_tf=True, lowercase=False, dtype=np.float32
        ),
        LinearSVC(class_weight="balanced", C=1.0),
    )
    return made.fit([read_as(row.data, decoded=decoded) for row in rows], [row.kind for row in rows])
