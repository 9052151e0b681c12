"""``triaged learn report-text``: how well sentences of reports are tagged, in reports that training never saw.

TRAM's sentences in five folds by report, each fold's model fitted on the other reports' sentences and ATT&CK's procedure
examples; the same with sentences dealt at random, so that a report lies on both sides, gives the optimistic figures.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.corpora.texts import PROCEDURES, TRAM
from connector.learn.dataset import Row
from connector.learn.evaluation import linear, ranking
from connector.learn.evaluation.folds import dealt
from connector.learn.evaluation.truth import group_of, parents
from connector.learn.training.fit import Recipe
from connector.learn.training.text import fit_rows

EXIT_CONFIG = 2
FOLDS = 5


class Said(NamedTuple):
    """What a model says of rows: scores (n, names), higher is likelier."""

    names: Sequence[str]
    scores: NDArray[np.floating]


def _parser() -> argparse.ArgumentParser:
    """The command's options; its recipe is the bundle's unless they say otherwise."""
    options = argparse.ArgumentParser(prog="triaged learn report-text", description=__doc__)
    options.add_argument("--corpora", type=Path, help="folder of corpora archives or unpacked trees")
    options.add_argument("--rows", type=Path, help="a dataset built before, instead of --corpora")
    options.add_argument("--epochs", type=float, default=Recipe().epochs, help="passes of an encoder upon the bag")
    options.add_argument("--models", default="linear,text", help="which models to fit: linear, text or both")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    try:
        rows = _rows(options.corpora, options.rows)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    for line in measured(rows, options.models.split(","), Recipe(epochs=options.epochs)):
        print(line, flush=True)
    return 0


def _rows(corpora: Path | None, built: Path | None) -> list[Row]:
    """The sentences of both sources. Raises ``ConfigError`` where there are none of reports."""
    if corpora is None and built is None:
        raise ConfigError("name the corpora folder with --corpora, or a built dataset with --rows")
    if built is not None:
        every = dataset_file.read(built).rows
    else:
        every = dataset.build(Corpora(corpora or Path()), only=(TRAM, PROCEDURES)).rows
    rows = [row for row in every if row.source in {TRAM, PROCEDURES}]
    if not any(row.source == TRAM for row in rows):
        raise ConfigError(f"the dataset holds no rows of {TRAM}")
    return rows


def measured(rows: Sequence[Row], models: Sequence[str], recipe: Recipe) -> Iterator[str]:
    """A line a model and split: parent technique among the first one and three, with intervals by report."""
    tagged = [row for row in rows if row.source == TRAM]
    more = [row for row in rows if row.source != TRAM]
    reports, techniques = {row.group for row in tagged}, {name for row in tagged for name in parents(row)}
    yield f"{len(tagged)} sentences of {len(reports)} reports, {len(techniques)} parent techniques; {len(more)} procedure examples"
    splits = {"by report": [group_of(row) for row in tagged], "at random": [(TRAM, row.fingerprint) for row in tagged]}
    for model in models:
        for name, units in splits.items():
            place = dealt(Counter(units), FOLDS)
            ranks = np.empty(len(tagged), np.int64)
            for fold in range(FOLDS):
                out = np.array([place[unit] == fold for unit in units])
                test = [row for row, left in zip(tagged, out, strict=True) if left]
                near = {row.cluster for row in test if row.cluster} if name == "by report" else set()
                seen = [row for row, left in zip(tagged, out, strict=True) if not left]
                train = [row for row in (*seen, *more) if row.cluster not in near]  # reports quote each other
                said = _linear(train, test) if model == "linear" else _text(train, test, recipe)
                ranks[out] = ranking.ranks(said.scores, [parents(row) for row in test], said.names)
            found = ranking.hits(ranks, [group_of(row) for row in tagged])
            optimistic = " (optimistic)" if name == "at random" else ""
            top = ", ".join(
                f"{what} {seen.value:.3f} [{seen.low:.3f}, {seen.high:.3f}]"
                for what, seen in (("top-1", found.top1), ("top-3", found.top3))
            )
            yield f"{model}, {name}{optimistic}: {top}"


def _linear(train: Sequence[Row], test: Sequence[Row]) -> Said:
    head = linear.fit_techniques(train, linear.hashed([row.text for row in train]))
    return Said(head.names, head.scores(linear.hashed([row.text for row in test])))


def _text(train: Sequence[Row], test: Sequence[Row], recipe: Recipe) -> Said:
    """Early stopping looks at the groups of the training rows that their own split holds back."""
    fitted = fit_rows(
        [row for row in train if row.split != "dev"], [row for row in train if row.split == "dev"], recipe
    )
    columns = [place for place, name in enumerate(fitted.labels) if "." not in name]
    scores = fitted.logits([row.text for row in test])[0]
    return Said([fitted.labels[place] for place in columns], scores[:, columns])


if __name__ == "__main__":
    raise SystemExit(main())
