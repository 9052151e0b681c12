"""The whole evaluation: which models are fitted, what they are asked, and what is measured of the answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn import dataset, dataset_file, held_out
from connector.learn.corpora import evtx_to_mitre, open_xp_rules
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.source import PINS, Corpora, pinned
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation import (
    alarms,
    fitting,
    folds,
    lolbas,
    malice,
    operating,
    recordings,
    samples,
    shipped,
    sigma,
    techniques,
)
from connector.learn.evaluation.alarms import Judged
from connector.learn.evaluation.fitting import Kind, Order, Predicted, parted
from connector.learn.evaluation.folds import FOLDS, HELD_OUT, WITHOUT, Fit
from connector.learn.evaluation.points import Point
from connector.learn.evaluation.recordings import Streams
from connector.learn.evaluation.result import About, Evaluation, Measured
from connector.learn.evaluation.targets import Parts, judged
from connector.learn.training.fit import Recipe
from connector.models.rules.ruleset import RuleSet
from connector.models.store import Store
from connector.types import Event

QUICK = {"wide_epochs": 3.0, "wide_evaluations": 3, "letter_epochs": 2.0, "epochs": 0.0, "pretrain": 0.0}
"""What a quick run does at most of a recipe: three passes of the bag, and no encoder. It fits the linear baseline on the bundle's split alone."""

LOGGED = (lolbas.NAME, open_xp_rules.NAME, evtx_to_mitre.NAME)
FITTED = "fitted"
"""The folder below the output that an interrupted run goes on from."""


Logged = Mapping[str, Sequence[tuple[Row, Event]]]
"""Rows with their whole events, by source."""

Answers = Mapping[tuple[str, Kind], Predicted]
"""What each fitted model said of its test rows, of the same as logged, and of the texts after them, by fit and kind of model."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to evaluate, on what, and where to. ``rows`` None: the dataset is built from the corpora.

    ``pins`` is the table of sources, ``workers`` how many models are fitted at a time, ``quick`` asks for :data:`QUICK`.
    """

    corpora: Path
    store: Path
    output: Path
    bundle: str | None = None
    rows: Path | None = None
    pins: Path = PINS
    folds: int = 5
    quick: bool = False
    workers: int = 2


class _Found:
    """What was measured so far, by the part of the result that it belongs to."""

    def __init__(self) -> None:
        self.parts: dict[str, list[Any]] = {name: [] for name in Parts.__struct_fields__}
        self.parts["separation"] = []

    def add(self, name: str, entries: Iterator[Any] | Sequence[Any]) -> None:
        self.parts[name].extend(entries)


def evaluate(plan: Plan) -> Evaluation:
    """Runs every suite. Raises ``ConfigError`` for a missing source, a bundle that does not verify, or too few rows."""
    start = monotonic()
    given = _given(plan, start)
    orders = list(_orders(given))
    found_by = fitting.predicted(orders, plan.output / FITTED, plan.workers)
    answers = {(order.fit.name, order.kind): said for order, said in zip(orders, found_by, strict=True)}
    _say(start, "every model is fitted")
    found = _Found()
    costs = _held_out(found, given, answers)
    _left_out(found, given, answers)
    _others(found, given, answers)
    _rules(found, given, answers)
    _say(start, "measured")
    parts = Parts(**{name: found.parts[name] for name in Parts.__struct_fields__})
    return Evaluation(
        bundle=given.bundle.manifest.ref,
        dataset=given.rows.facts.digest,
        recipe=msgspec.to_builtins(given.recipe),
        folds=plan.folds,
        seconds=round(monotonic() - start),
        rows={fit.name: dict(Counter(row.source for row in fit.test)) for fit in given.fits},
        targets=judged(parts),
        separation=found.parts["separation"],
        operating_points=costs,
        leaks=list(_leaks(given.fits)),
        **{name: found.parts[name] for name in Parts.__struct_fields__},
    )


class _Given(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is measured on: ``logged`` holds whole events of sources that are tried with the rules too."""

    bundle: shipped.Bundle
    rows: Dataset
    recipe: Recipe
    quick: bool
    rules: RuleSet
    streams: Streams
    logged: Logged
    fits: Sequence[Fit]

    def served(self, rows: Sequence[Row]) -> list[str]:
        """The whole texts of logged events, for techniques: the dataset took fields from some rows, and names from most.

        Malice is judged on the rows as they are: attacks alone would get back what was taken from both classes alike.
        """
        whole = {row.fingerprint: row.text for pairs in self.logged.values() for row, _ in pairs}
        whole.update((mark, text.text) for mark, text in self.streams.texts.items())
        return [whole.get(row.fingerprint, row.text) for row in rows]


def _given(plan: Plan, start: float) -> _Given:
    bundle, corpora = shipped.opened(Store(plan.store), plan.bundle), Corpora(plan.corpora, pinned(plan.pins))
    rows = _dataset(plan, corpora)
    _say(start, f"{bundle.manifest.ref} on dataset {rows.facts.digest[:12]}, {len(rows.rows)} rows")
    rules = sigma.rules(corpora)
    place = plan.output / FITTED / f"recordings-{rows.facts.digest[:16]}.msgpack"
    streams = recordings.kept(corpora, rules, place)
    _say(start, f"{len(streams.recordings)} recordings, {len(streams.texts)} distinct events")
    logged = {name: list(_logged(name, corpora)) for name in LOGGED}
    return _Given(
        bundle=bundle,
        rows=rows,
        recipe=_recipe(bundle.manifest.metrics, fewer=plan.quick),
        quick=plan.quick,
        rules=rules,
        streams=streams,
        logged=logged,
        fits=_fits(bundle, rows, streams, plan.folds),
    )


def _leaks(fits: Sequence[Fit]) -> Iterator[str]:
    """What stands on both sides of a fit that claims to be honest; the bundle's own test rows are its dev and calibration."""
    for fit in fits:
        if fit.suite != folds.RANDOM:
            honest = msgspec.structs.replace(fit, dev=(), calibration=()) if fit.suite == HELD_OUT else fit
            yield from (f"{fit.name}: {leak}" for leak in folds.leaks(honest))


def _say(start: float, what: str) -> None:
    print(f"{monotonic() - start:.0f} s: {what}", flush=True)


def _dataset(plan: Plan, corpora: Corpora) -> Dataset:
    if plan.rows is not None:
        return dataset_file.read(plan.rows)
    return dataset.build(corpora, held_out=held_out.scenario())


def _recipe(metrics: Mapping[str, Any], *, fewer: bool) -> Recipe:
    """The recipe that made the bundle, or a quicker one."""
    recipe = msgspec.convert(metrics.get("training", {}).get("recipe", {}), Recipe)
    return quick(recipe) if fewer else recipe


def quick(recipe: Recipe) -> Recipe:
    """The recipe with at most :data:`QUICK` of each; what it does less of stays so."""
    return msgspec.structs.replace(recipe, **{name: min(most, getattr(recipe, name)) for name, most in QUICK.items()})


def _fits(bundle: shipped.Bundle, rows: Dataset, streams: Streams, count: int) -> list[Fit]:
    """The bundle's own split first, then the folds, one source left out, and random rows."""
    held = Fit(HELD_OUT, HELD_OUT, rows.of("train"), rows.of("dev"), rows.of("calibration"), bundle.unseen(rows))
    parts = folds.by_group(rows.rows, streams.sites, count)
    others = (folds.without(rows.rows, open_xp_rules.NAME), folds.at_random(rows.rows))
    return [fit for fit in (held, *parts, *others) if fit.test]


def _logged(name: str, corpora: Corpora) -> Iterator[tuple[Row, Event]]:
    """What a source's recipe reads; nothing where the source is not in the corpora, and that is said."""
    if not corpora.holds(name):
        print(f"{name} is not in {corpora.folder}: what it measures is left out", flush=True)
        return iter(())
    samples_of = lolbas.samples if name == lolbas.NAME else RECIPES[name]
    return samples.read(samples_of(corpora), name, corpora.sources[name].licence)


def _orders(given: _Given) -> Iterator[Order]:
    """Every model to fit, asked about its test rows in both forms. The bundle's own split needs no text model: the bundle is one."""
    commands = [row.text for row, _ in given.logged[lolbas.NAME]]
    for fit in given.fits:
        own = fit.suite == HELD_OUT
        more = commands if own else [given.streams.texts[mark].text for mark in left_out_marks(fit, given.streams)]
        texts = [*given.served(fit.test), *more]
        if not own:
            yield Order("text", fit, texts, given.recipe)
        if own or not given.quick:
            yield Order("linear", fit, texts, given.recipe)


def _kinds(given: _Given) -> tuple[Kind, ...]:
    """The models that are fitted without the left-out rows."""
    return ("text",) if given.quick else ("text", "linear")


def left_out_marks(fit: Fit, streams: Streams) -> list[str]:
    """The distinct events of a fit's left-out recordings whose attack is known, in a fixed order."""
    found: set[str] = set()
    for stream in streams.recordings:
        if stream.known and stream.site in fit.sites:
            found.update(stream.attack, (mark for mark, _ in stream.background))
    return sorted(found)


def _held_out(found: _Found, given: _Given, answers: Answers) -> list[Point]:
    """The bundle and the baselines on rows that it was not fitted on, and on LOLBAS; the bundle's operating points.

    Calibration and thresholds were set on the calibration rows, so malice is measured on the dev rows alone.
    """
    fit, commands = given.fits[0], [row for row, _ in given.logged[lolbas.NAME]]
    texts = [*(row.text for row in fit.test), *given.served(fit.test), *(row.text for row in commands)]
    spoken = given.bundle.predicted(texts)
    dev = np.flatnonzero([row.split == "dev" for row in fit.test])
    unset = [fit.test[place] for place in dev.tolist()]
    models: tuple[tuple[Measured, Predicted], ...] = (("bundle", spoken), ("linear", answers[HELD_OUT, "linear"]))
    for model, said in models:
        part = parted(said, len(fit.test))
        found.add(
            "techniques", techniques.measured(About(HELD_OUT, model), fit.test, said.names, part.served.techniques)
        )
        found.add("techniques", techniques.measured(About(WITHOUT, model), commands, said.names, part.more.techniques))
        _malice(found, About(HELD_OUT, model), unset, part.rows.part(dev))
    for suite, rows in ((HELD_OUT, fit.test), (WITHOUT, commands)):
        same = techniques.majority(fit.train, spoken.names, len(rows))
        found.add("techniques", techniques.measured(About(suite, "majority"), rows, spoken.names, same))
    return operating.measured(spoken.malicious[dev], unset)


def _malice(found: _Found, about: About, rows: Sequence[Row], said: Predicted) -> None:
    found.add("separation", malice.separation(about, rows, said))
    found.add("flagged", malice.flagged(about, rows, said))
    found.add("stated", malice.stated(about, rows, said))
    found.add("calibration", malice.reliable(about, rows, said))


def _left_out(found: _Found, given: _Given, answers: Answers) -> None:
    """Every left-out group once, by the model that never saw it; thresholds are each fold's own."""
    parts = [fit for fit in given.fits if fit.suite == FOLDS]
    rows = [row for fit in parts for row in fit.test]
    for kind in _kinds(given):
        about = About(FOLDS, kind)
        said = [parted(answers[fit.name, kind], len(fit.test)) for fit in parts]
        served = fitting.joined([one.served for one in said])
        found.add("techniques", techniques.measured(about, rows, served.names, served.techniques))
        _malice(found, about, rows, fitting.joined([one.rows for one in said]))
        streamed = [
            one for fit, part in zip(parts, said, strict=True) for one in _judged(fit, part.more, given.streams)
        ]
        _stream_measures(found, about, streamed)
    names = sorted({name for fit in parts for name in answers[fit.name, "text"].names})
    same = np.concatenate([techniques.majority(fit.train, names, len(fit.test)) for fit in parts])
    found.add("techniques", techniques.measured(About(FOLDS, "majority"), rows, names, same))


def _judged(fit: Fit, said: Predicted, streams: Streams) -> Iterator[Judged]:
    marks = left_out_marks(fit, streams)
    over = {
        level: frozenset(mark for mark, reached in zip(marks, rows, strict=True) if reached)
        for level, rows in said.over.items()
    }
    trained = frozenset(row.fingerprint for row in (*fit.train, *fit.dev, *fit.calibration))
    for stream in streams.recordings:
        if stream.known and stream.site in fit.sites:
            yield Judged(stream, trained, over)


def _stream_measures(found: _Found, about: About, streamed: Sequence[Judged]) -> None:
    found.add("background", alarms.background(about, streamed))
    found.add("recordings", [alarms.recordings(about, streamed)])


def _others(found: _Found, given: _Given, answers: Answers) -> None:
    """One source left out, and the optimistic split."""
    for fit in given.fits:
        if fit.suite not in {WITHOUT, folds.RANDOM}:
            continue
        for kind in _kinds(given):
            about, said = About(fit.suite, kind), parted(answers[fit.name, kind], len(fit.test))
            found.add("techniques", techniques.measured(about, fit.test, said.served.names, said.served.techniques))
            _malice(found, about, fit.test, said.rows)


def _rules(found: _Found, given: _Given, answers: Answers) -> None:
    """Sigma's rules on the same rows where these are no rule's own pattern, and on the streams: alone, and beside the text."""
    tested = {row.fingerprint for fit in given.fits for row in fit.test}
    for name, pairs in given.logged.items():
        same = [pair for pair in pairs if name == lolbas.NAME or pair[0].fingerprint in tested]
        if not same:
            continue
        rows, matches = [row for row, _ in same], given.rules.match([event for _, event in same])
        suite = FOLDS if name == evtx_to_mitre.NAME else WITHOUT
        found.add("techniques", techniques.measured(About(suite, "rules"), rows, *sigma.said(matches)))
        names, scores, heard = _text_of(given, answers, name, rows)
        both = sigma.beside(names, scores, [matches[place] for place in heard])
        about = About(suite, "text and rules")
        found.add("techniques", techniques.measured(about, [rows[place] for place in heard], *both))
    fired = frozenset(mark for mark, text in given.streams.texts.items() if text.alarm)
    known = [stream for stream in given.streams.recordings if stream.known]
    _stream_measures(found, About(FOLDS, "rules"), [Judged(one, frozenset(), {alarms.STRICT: fired}) for one in known])
    either = [
        one._replace(over={level: over | fired for level, over in one.over.items()})
        for fit in given.fits
        if fit.suite == FOLDS
        for one in _judged(fit, parted(answers[fit.name, "text"], len(fit.test)).more, given.streams)
    ]
    _stream_measures(found, About(FOLDS, "text and rules"), either)


def _text_of(
    given: _Given, answers: Answers, source: str, rows: Sequence[Row]
) -> tuple[tuple[str, ...], NDArray[np.floating], list[int]]:
    """What a text model that never saw a source's rows says of their techniques: names, scores, and the places of the rows."""
    if source == lolbas.NAME:
        said = given.bundle.predicted([row.text for row in rows])
        return said.names, said.techniques, list(range(len(rows)))
    fits = [fit for fit in given.fits if fit.suite == (FOLDS if source == evtx_to_mitre.NAME else WITHOUT)]
    said = fitting.joined([parted(answers[fit.name, "text"], len(fit.test)).served for fit in fits])
    place = {row.fingerprint: number for number, row in enumerate(row for fit in fits for row in fit.test)}
    heard = [number for number, row in enumerate(rows) if row.fingerprint in place]
    return said.names, said.techniques[[place[rows[number].fingerprint] for number in heard]], heard
