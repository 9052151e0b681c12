"""Fits a model anew and says what it thinks of rows and texts that it never saw. Runs in processes of their own."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from connector.learn.dataset import Row
from connector.learn.evaluation import linear
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.folds import Fit
from connector.learn.training.calibrate import Calibrated, calibrate, probabilities
from connector.learn.training.fit import Recipe
from connector.learn.training.labels import targets
from connector.learn.training.text import fit_rows
from connector.models.calibration import sigmoid, technique_scale

Kind: TypeAlias = Literal["text", "linear"]

Logits: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of techniques (n, labels) and of malice (n,)."""


class Order(msgspec.Struct, frozen=True):
    """One model to fit: the rows of ``fit``, then what it says of the test rows and of ``texts`` after them."""

    kind: Kind
    fit: Fit
    texts: Sequence[str]
    recipe: Recipe

    @property
    def key(self) -> str:
        """What the predictions depend on, in one word."""
        digest = hashlib.sha256(
            msgspec.json.encode((self.kind, self.fit.name, self.recipe if self.kind == "text" else None))
        )
        for part in (self.fit.train, self.fit.dev, self.fit.calibration, self.fit.test):
            digest.update(b"\0")
            for row in part:
                digest.update(msgspec.json.encode((row.fingerprint, row.text, row.techniques, row.malicious)))
        digest.update("\0".join(self.texts).encode("utf-8", "replace"))
        return digest.hexdigest()


class Predicted(msgspec.Struct, frozen=True, eq=False):
    """What a model says of n rows: parent techniques (n, names), and p_malicious (n,) at the reference prevalence.

    ``over`` says of each level which rows (n,) reach it: every model has thresholds from calibration rows of its own.
    ``prevalence`` is the one that p_malicious is stated for.
    """

    names: tuple[str, ...]
    techniques: NDArray[np.float32]
    malicious: Floats
    over: Mapping[str, NDArray[np.bool_]]
    prevalence: float

    def part(self, numbers: NDArray[np.integer] | slice) -> Predicted:
        """The same of some rows."""
        over = {level: marks[numbers] for level, marks in self.over.items()}
        return Predicted(self.names, self.techniques[numbers], self.malicious[numbers], over, self.prevalence)


class Parted(NamedTuple):
    """What a model said of n rows as the dataset has them, of the same rows as they are logged, and of what came after."""

    rows: Predicted
    served: Predicted
    more: Predicted


def parted(said: Predicted, count: int) -> Parted:
    """The parts of predictions on ``count`` rows twice and on further texts."""
    return Parted(*(said.part(slice(*ends)) for ends in ((count,), (count, 2 * count), (2 * count, None))))


def joined(parts: Sequence[Predicted]) -> Predicted:
    """The predictions of several models, one after the other, over the names of all; what one cannot say is 0."""
    names = tuple(sorted({name for part in parts for name in part.names}))
    place = {name: number for number, name in enumerate(names)}
    techniques = np.zeros((sum(len(part.malicious) for part in parts), len(names)), np.float32)
    start = 0
    for part in parts:
        columns = [place[name] for name in part.names]
        techniques[start : start + len(part.malicious), columns] = part.techniques
        start += len(part.malicious)
    malicious = np.concatenate([part.malicious for part in parts])
    over = {level: np.concatenate([part.over[level] for part in parts]) for level in parts[0].over}
    return Predicted(names, techniques, malicious, over, parts[0].prevalence)


def predict(order: Order) -> Predicted:
    """Fits one model and lets it speak."""
    torch.set_num_threads(1)
    texts = [*(row.text for row in order.fit.test), *order.texts]
    return _linear(order.fit, texts) if order.kind == "linear" else _text(order.fit, texts, order.recipe)


def predicted(orders: Sequence[Order], folder: Path, workers: int) -> Iterator[Predicted]:
    """The predictions of each order, in order. Those of an earlier run with the same rows and recipe are read back."""
    folder.mkdir(parents=True, exist_ok=True)
    places = [folder / f"{order.kind} {order.fit.name} {order.key[:16]}.npz".replace(" ", "-") for order in orders]
    missing = [(order, place) for order, place in zip(orders, places, strict=True) if not place.exists()]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(len(missing), 1)), mp_context=context) as pool:
        for _, place in zip(pool.map(_kept, *zip(*missing, strict=True)) if missing else (), missing, strict=True):
            print(f"fitted: {place[1].stem}", flush=True)
    return map(load, places)


def _kept(order: Order, place: Path) -> None:
    save(place, predict(order))


def save(place: Path, found: Predicted) -> None:
    """Writes predictions as plain arrays, in one step."""
    facts = msgspec.json.encode((found.names, tuple(found.over), found.prevalence))
    over = np.stack(list(found.over.values()))
    fresh = place.with_suffix(".new.npz")
    np.savez(
        fresh,
        techniques=found.techniques,
        malicious=found.malicious,
        over=over,
        facts=np.frombuffer(facts, np.uint8),
    )
    fresh.replace(place)


def load(place: Path) -> Predicted:
    """Reads predictions back."""
    with np.load(place, allow_pickle=False) as arrays:
        names, levels, prevalence = msgspec.json.decode(
            arrays["facts"].tobytes(), type=tuple[tuple[str, ...], tuple[str, ...], float]
        )
        over = dict(zip(levels, arrays["over"], strict=True))
        return Predicted(names, arrays["techniques"], arrays["malicious"], over, prevalence)


def _text(fit: Fit, texts: Sequence[str], recipe: Recipe) -> Predicted:
    fitted = fit_rows(fit.train, fit.dev, recipe)
    seen = fitted.logits([row.text for row in fit.calibration])
    found = fitted.logits(texts)
    return spoken(fitted.labels, found, _calibrated(fit, fitted.labels, seen))


def _linear(fit: Fit, texts: Sequence[str]) -> Predicted:
    grams = linear.hashed([row.text for row in fit.train])
    heads = linear.fit_techniques(fit.train, grams), linear.fit_malice(fit.train, grams)
    said = [(heads[0].scores(part), heads[1].scores(part)) for part in (_hashed(fit.calibration), linear.hashed(texts))]
    return spoken(heads[0].names, said[1], _calibrated(fit, heads[0].names, said[0]))


def _calibrated(fit: Fit, labels: Sequence[str], seen: Logits) -> Calibrated:
    return calibrate(seen[0], seen[1], fit.calibration, targets(fit.calibration, labels))


def _hashed(rows: Iterable[Row]) -> csr_matrix:
    return linear.hashed([row.text for row in rows])


def spoken(labels: Sequence[str], found: Logits, calibrated: Calibrated) -> Predicted:
    """Logits as calibrated probabilities of the parents and of malice."""
    columns = [place for place, name in enumerate(labels) if "." not in name]
    slope, intercept = technique_scale(calibrated.heads, tuple(labels))
    techniques = sigmoid(found[0] * slope + intercept)[:, columns]
    malicious = probabilities(found[1], calibrated)
    return Predicted(
        names=tuple(labels[place] for place in columns),
        techniques=techniques.astype(np.float32),
        malicious=malicious,
        over={level: malicious >= cut for level, cut in calibrated.thresholds.levels().items()},
        prevalence=calibrated.bundle.reference_prevalence,
    )
