"""``python -m connector.learn.evaluation.gate``: what ``triaged promote`` starts as a subprocess."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.corpora.recipes import RECIPES
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import SPLIT_RULE, Dataset, Facts, Row
from connector.learn.evaluation.gate import report
from connector.learn.evaluation.gate.judge import Material, judge
from connector.learn.evaluation.gate.recordings import left_out
from connector.learn.export import training
from connector.learn.training.retrain import closures
from connector.learn.training.retrain.combined import apart
from connector.learn.training.retrain.frozen import RETRAINED
from connector.models import fingerprints
from connector.models.manifest import Manifest
from connector.models.store import Store

EXIT_CONFIG = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Judges and writes the report; 0 whatever it says, 2 something must be changed first."""
    options = parser().parse_args(arguments)
    store = Store(options.store)
    try:
        material = gathered(store, options)
        found = report.standing(store, options.challenger, options.incumbent)
        if found is None or found[0].material != material.digest:
            judged = judge(store, options.challenger, options.incumbent, material)
            print(f"gate: {report.write(store, judged)}", flush=True)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    return 0


def gathered(store: Store, options: argparse.Namespace) -> Material:
    """The rows of the base dataset that no weights were fitted on, and the closures by whether the challenger saw them.

    No closure is among them that a bundle knows, nor a row that nearly repeats one. Raises ``ConfigError``
    for a dataset that was split otherwise than the bundles' own, and for other closures than those learnt from.
    """
    both = (options.challenger, options.incumbent)
    base = _base(options, store.manifest(options.incumbent).dataset.seed)
    for ref in both:
        if (seed := store.manifest(ref).dataset.seed) != base.facts.seed:
            raise ConfigError(
                f"the base dataset was split with seed {base.facts.seed}, that of {ref} with {seed}: what one left out, "
                "the other was trained on"
            )
    known = [_known(store, ref) for ref in both]

    def is_known(row: Row) -> bool:
        return any(row.fingerprint in seen for seen in known)

    found = _closures(store, options)
    newest = [msgspec.structs.replace(row, split="dev") for row in found if not is_known(row)]
    learnt = [row for row in found if is_known(row)]
    fitted = [
        () if _same_split(store.manifest(ref), base.facts) else seen for ref, seen in zip(both, known, strict=True)
    ]
    left = (row for row in base.rows if row.split != "train" and not any(row.fingerprint in seen for seen in fitted))
    unseen = [*newest, *left]
    kept = apart(Dataset(tuple(unseen), base.facts), learnt).rows if learnt else unseen
    return Material(
        left_out=[row for row in kept if row.source != training.SOURCE],
        newest=[row for row in kept if row.source == training.SOURCE],
        shown=[row for row in learnt if row.fingerprint in known[0]],
        recordings=None
        if options.corpora is None
        else left_out(Corpora(options.corpora), base.facts.seed, [store.manifest(ref) for ref in both]),
    )


def _same_split(manifest: Manifest, base: Facts) -> bool:
    """Whether a bundle was trained on the base dataset, or on a part of its sources, split by the same rule.

    A group's split follows from its name. So the bundle knows the dataset's dev and calibration rows, which chose its
    epoch and set its levels, but its weights were fitted on none of them. Of closures that it learnt the export tells.
    What two sources have alike stands in the group of the one that is read first: a source that the bundle lacks must not
    be read before one that it has.
    """
    told = manifest.dataset
    if told.split != SPLIT_RULE or base.split != SPLIT_RULE:
        return False
    if told.digest and told.digest == base.digest:
        return True
    sources = [source for source in manifest.sources_alone if source.name != training.SOURCE]
    order = {name: place for place, name in enumerate(RECIPES)}
    places = [order.get(source.name, len(order)) for source in sources]
    others = [order.get(name, len(order)) for name in base.sources.keys() - {source.name for source in sources}]
    return (
        bool(sources)
        and min(others, default=len(order)) >= max(places)
        and all(
            source.name in base.sources and source.sha256 in {"", base.verified.get(source.name, source.sha256)}
            for source in sources
        )
    )


def _base(options: argparse.Namespace, seed: int) -> Dataset:
    if options.mails:
        from connector.learn.training.retrain.mails import read  # noqa: PLC0415 - imports torch, which only mails need here

        return read(options.mails, seed)
    if options.rows is None:
        raise ConfigError(
            "name the base dataset with --rows, or, for a bundle that reads mails, labelled ones with --mails"
        )
    return dataset_file.read(options.rows)


def _closures(store: Store, options: argparse.Namespace) -> Sequence[Row]:
    """The closures of the export, split as retraining split them; those of a bundle that learnt from none are all new."""
    told = store.manifest(options.challenger).metrics.get(RETRAINED, {})
    if options.export is None:
        if told.get("export"):
            raise ConfigError(f"{options.challenger} learnt from an export: name it with --export")
        return ()
    excluded = frozenset() if options.excluded is None else training.excluded(options.excluded)
    share = told.get("newest_share", 0.0)
    found = closures.read(options.export, share=share, excluded=excluded, mails=bool(options.mails))
    if told.get("export") and (found.export, found.digest) != (told["export"], told["closures_digest"]):
        raise ConfigError(
            f"{options.export} does not hold what {options.challenger} learnt from: name the same export and --excluded, "
            "or retrain on what it holds now"
        )
    return (*found.learnt, *found.newest)


def _known(store: Store, ref: str) -> fingerprints.TrainFingerprints:
    seen = store.manifest(ref).train_fingerprints
    if seen is None:
        raise ConfigError(f"bundle {ref} does not say what it was trained on: nothing can be called unseen")
    return fingerprints.read(store.directory(ref) / seen)


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="triaged promote", description=__doc__)
    made.add_argument("--store", type=Path, required=True)
    made.add_argument("--challenger", required=True)
    made.add_argument("--incumbent", required=True)
    made.add_argument("--mails", type=Path, action="append", default=[])
    for name in ("rows", "export", "excluded", "corpora"):
        made.add_argument(f"--{name}", type=Path)
    return made


if __name__ == "__main__":
    raise SystemExit(main())
