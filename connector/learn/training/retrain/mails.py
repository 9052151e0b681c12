"""The phishing member's own rows, and its full path: mails that the user labelled, and mails that analysts closed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from connector.errors import ConfigError
from connector.learn.dataset import Dataset, Row
from connector.learn.phishing.groups import grouped
from connector.learn.phishing.mails import Mails, read as read_mails
from connector.learn.training import phishing
from connector.learn.training.fit import Recipe
from connector.learn.training.provenance import default_base
from connector.learn.training.retrain.replay import times


def read(paths: Sequence[Path], seed: int) -> Dataset:
    """Labelled mails, split as ``triaged train phishing`` splits them; the test part is left out.

    Raises ``ConfigError`` for files that may not train what is kept.
    """
    if closed := phishing.restricted(paths):
        raise ConfigError(f"{', '.join(closed)} may not train what is kept")
    found = Mails()
    read_mails(paths, None, found)
    mails = list(found.kept.values())
    return phishing.dataset_of(phishing.split_by_group(phishing.rows_of(mails, grouped(mails), None), seed), seed)


def train(  # noqa: PLR0917  (one caller)
    base: Dataset, closures: Sequence[Row], recipe: Recipe, encoder: Path | None, place: Path, ref: str
) -> Path:
    """Trains ``ref`` anew into the store at ``place`` on mails and closures; returns its folder."""
    folder = encoder or default_base()
    split = phishing.Split([*base.of("train"), *closures], base.of("dev"), base.of("calibration"), [])
    fitted, _ = phishing.fitted(split, recipe, folder, replay=times(split.train))
    name, _, version = ref.partition("/")
    options = argparse.Namespace(output=place, name=name, version=version, seed=base.facts.seed)
    return phishing.written(fitted, split, folder, recipe, options, [f"retrained with {len(closures)} closed mails"])
