"""``triaged train phishing``: the text member's base fine-tuned on labelled mail, measured by groups of near-copies.

A fifth of the groups is held out for the report. The same rows split at random, near-copies on both sides, give the
optimistic figures beside. Files whose upstream allows evaluation alone are measured and their weights thrown away.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.attack import catalogue
from connector.errors import ConfigError
from connector.events import CANONICAL_VERSIONS
from connector.learn.corpora.source import pinned
from connector.learn.dataset import Dataset, Facts, Row, digest_of, split_of
from connector.learn.evaluation.bootstrap import Interval, ratio
from connector.learn.phishing.groups import grouped
from connector.learn.phishing.mails import Mail, Mails, read
from connector.learn.training.bundle import Trained, assemble
from connector.learn.training.calibrate import platt
from connector.learn.training.fit import Recipe
from connector.learn.training.labels import Floats
from connector.learn.training.phishing_card import card
from connector.learn.training.provenance import CLOSED, default_base, own
from connector.learn.training.served import free
from connector.learn.training.text import FittedRows, fit_rows
from connector.models import manifest as manifests
from connector.models.calibration import scaled, sigmoid
from connector.models.mail import LABELS, PHISHING

EXIT_CONFIG = 2
SOURCE = "mail"
KIND = "generic"
MAILS = own(SOURCE, upstream="the user's own files", licence="the mails' own")
"""How the user's mails are listed among a bundle's sources."""
TEST_SHARE = 0.2
WIDE_EPOCHS = 1.0
"""Of the bag of tokens below the encoder: enough to start from, and little enough to leave the encoder something."""


class Split(NamedTuple):
    """Rows by use. ``test`` is seen by nothing but the report."""

    train: list[Row]
    dev: list[Row]
    calibration: list[Row]
    test: list[Row]


class Measured(NamedTuple):
    """Precision and recall of phishing at p ≥ 0.5, and the share of harmless mails that are called phishing."""

    precision: Interval
    recall: Interval
    alarms: Interval


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; 0 done, 2 something must be changed first."""
    options = _parser().parse_args(arguments)
    try:
        return _train(options)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG


def _train(options: argparse.Namespace) -> int:
    paths = [*options.mails, *options.phishing, *options.harmless]
    closed = [] if options.output is None else restricted(paths)
    if closed:
        raise ConfigError(f"{', '.join(closed)} may not train what is kept: leave out --output, to measure alone")
    if options.output is not None:
        free(options.output, options.name, options.version)
    found = Mails()
    for given, phishing in ((options.mails, None), (options.phishing, True), (options.harmless, False)):
        if given:
            read(given, phishing, found)
    mails = list(found.kept.values())
    rows = rows_of(mails, grouped(mails), options.rows)
    _say_rows(rows, found)
    recipe = recipe_of(options)
    base = options.base or default_base()
    by_group = split_by_group(rows, options.seed)
    made, calibration = fitted(by_group, recipe, base)
    told = [_told("split by group of near-copies", measured(made, calibration, by_group.test))]
    at_random = split_at_random(rows, options.seed)
    told.append(_told("split at random (optimistic)", measured(*fitted(at_random, recipe, base), at_random.test)))
    if options.test:
        other = Mails()
        read(options.test, None, other)
        told.append(_told_of_others(list(other.kept.values()), mails, made, calibration, options.rows))
    if options.output is not None:
        print(f"bundle written: {written(made, by_group, base, recipe, options, told)}")
    return 0


def strangers(found: Sequence[Mail], known: Sequence[Mail]) -> list[tuple[Mail, str]]:
    """The mails, each with its group, that share no group with ``known``: near-copies of what was learnt measure nothing."""
    groups = grouped([*known, *found])
    taken = set(groups[: len(known)])
    return [(mail, group) for mail, group in zip(found, groups[len(known) :], strict=True) if group not in taken]


def _told_of_others(
    found: Sequence[Mail], known: Sequence[Mail], network: FittedRows, calibration: manifests.Platt, most: int | None
) -> str:
    left = strangers(found, known)
    name = (
        f"other mails (--test; {len(found) - len(left)} of {len(found)} left out: near-copies of the training files')"
    )
    rows = rows_of([mail for mail, _ in left], [group for _, group in left], most)
    if rows:
        return _told(name, measured(network, calibration, rows))
    line = f"{name}: none is left to measure"
    print(line, flush=True)
    return line


def restricted(paths: Sequence[Path]) -> list[str]:
    """The pinned sources for evaluation alone that are among the files, told by their digests."""
    closed = {source.sha256: name for name, source in pinned().items() if not source.may_train and source.sha256}
    files = [file for path in paths for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file()]
    found = set()
    for file in files:
        with file.open("rb") as stream:
            found.add(closed.get(hashlib.file_digest(stream, "sha256").hexdigest(), ""))
    return sorted(found - {""})


def rows_of(mails: Sequence[Mail], groups: Sequence[str], most: int | None) -> list[Row]:
    """Mails as rows; ``most`` keeps whole groups, drawn by their names, until there are so many rows."""
    rows = [
        Row(
            text=mail.text,
            kind=KIND,
            fingerprint=mail.fingerprint,
            techniques=(PHISHING,) if mail.phishing else (),
            malicious=mail.phishing,
            basis="file-name",
            source=SOURCE,
            group=group,
            record=mail.place,
            licence="the mails' own",
            split=split_of(SOURCE, group, 1),
        )
        for mail, group in zip(mails, groups, strict=True)
    ]
    rows.sort(key=lambda row: (hashlib.sha256(row.group.encode()).digest(), row.fingerprint))
    if most is None or len(rows) <= most:
        return rows
    while most and rows[most - 1].group == rows[most].group:
        most -= 1
    return rows[:most]


def split_by_group(rows: Sequence[Row], seed: int) -> Split:
    """Every group of near-copies lies on one side."""
    return _split(rows, [_draw(seed, row.group) for row in rows])


def split_at_random(rows: Sequence[Row], seed: int) -> Split:
    """Each row by itself: near-copies lie on both sides."""
    return _split(rows, [_draw(seed, row.fingerprint) for row in rows])


def _draw(seed: int, name: str) -> float:
    return int.from_bytes(hashlib.sha256(f"{seed}\0mail\0{name}".encode()).digest()[:8], "big") / 2**64


def _split(rows: Sequence[Row], draws: Sequence[float]) -> Split:
    split = Split([], [], [], [])
    for row, draw in zip(rows, draws, strict=True):
        if draw < TEST_SHARE:
            split.test.append(row)
        elif draw < TEST_SHARE + 0.1:
            split.dev.append(msgspec.structs.replace(row, split="dev"))
        elif draw < TEST_SHARE + 0.2:
            split.calibration.append(msgspec.structs.replace(row, split="calibration"))
        else:
            split.train.append(msgspec.structs.replace(row, split="train"))
    for name, part in zip(Split._fields, split, strict=True):
        if len({row.malicious for row in part}) < 2:
            raise ConfigError(f"too few mails: the part {name} needs both phishing and harmless ones")
    return split


def fitted(
    split: Split, recipe: Recipe, base: Path, *, replay: Floats | None = None
) -> tuple[FittedRows, manifests.Platt]:
    """The network, and its calibration from rows that chose nothing. ``replay``: as for :func:`fit_rows`."""
    made = fit_rows(split.train, split.dev, recipe, labels=(PHISHING,), base=base, replay=replay)
    _, logits = made.logits([row.text for row in split.calibration])
    return made, platt(logits, _truth(split.calibration).astype(np.float32), np.ones(len(logits), np.float32))


def measured(network: FittedRows, calibration: manifests.Platt, rows: Sequence[Row]) -> Measured:
    """The three rates on rows that training never saw, each with its 95% interval by group."""
    _, logits = network.logits([row.text for row in rows])
    said = sigmoid(scaled(logits.astype(np.float64), calibration)) >= 0.5
    truth, groups = _truth(rows), [row.group for row in rows]
    both = (said & truth).astype(np.float64)
    return Measured(
        precision=ratio(both, said.astype(np.float64), groups),
        recall=ratio(both, truth.astype(np.float64), groups),
        alarms=ratio((said & ~truth).astype(np.float64), (~truth).astype(np.float64), groups),
    )


def _truth(rows: Sequence[Row]) -> NDArray[np.bool_]:
    return np.array([bool(row.malicious) for row in rows])


def written(  # noqa: PLR0917  (one caller, above)
    network: FittedRows, split: Split, base: Path, recipe: Recipe, options: argparse.Namespace, told: Sequence[str]
) -> Path:
    """Writes the bundle of one phishing member, and returns its folder."""
    dataset = dataset_of(split, options.seed)
    trained = Trained(network.made, network.labels, base, dataset, recipe)
    folder = assemble(trained, {SOURCE: MAILS, CLOSED.name: CLOSED}, options.output, options.name, options.version)
    made = manifests.read(folder)
    member = msgspec.structs.replace(made.members[0], name="phishing", kind="phishing", labels=LABELS)
    limits = msgspec.structs.replace(made.thresholds, techniques=manifests.TechniqueThresholds(default=0.5))
    final = msgspec.structs.replace(made, members=(member,), labels=LABELS, thresholds=limits)
    (folder / "README.md").write_text(card(final, told), "utf-8")
    manifests.seal(folder, final)
    return folder


def dataset_of(split: Split, seed: int) -> Dataset:
    """What a bundle is made from; the test part is not among it."""
    rows = (*split.train, *split.dev, *split.calibration)
    facts = Facts(
        digest=digest_of(rows),
        seed=seed,
        split="by group of near-copies: 60% train, 10% dev, 10% calibration; 20% for the report alone",
        attack_version=catalogue().version,
        canonical_versions=dict(CANONICAL_VERSIONS),
        rows=dict(Counter(row.split for row in rows)),
        sources=dict(Counter(row.source for row in rows)),
        bases=dict(Counter(row.basis for row in rows)),
        dropped={},
        authors={},
    )
    return Dataset(rows, facts)


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The text member's recipe with a whole fine-tuning of the encoder, evaluated after each epoch."""
    layers = None if options.layers == "all" else tuple(int(part) for part in options.layers.split(","))
    return Recipe(
        layers=layers,
        wide_epochs=WIDE_EPOCHS,
        wide_evaluations=1,
        letter_epochs=0.0,
        epochs=options.epochs,
        evaluations=max(1, round(options.epochs)),
        max_length=options.max_length,
        train_length=options.max_length,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )


def _say_rows(rows: Sequence[Row], found: Mails) -> None:
    bad = sum(bool(row.malicious) for row in rows)
    groups = len({row.group for row in rows})
    print(f"{len(rows)} mails in {groups} groups, {bad} phishing; left out: {dict(found.dropped)}", flush=True)


def _told(name: str, rates: Measured) -> str:
    parts: Mapping[str, Interval] = rates._asdict()
    shown = ", ".join(f"{what} {seen.value:.3f} [{seen.low:.3f}, {seen.high:.3f}]" for what, seen in parts.items())
    line = f"{name}: {shown} ({rates.recall.rows} mails, {rates.recall.groups} groups)"
    print(line, flush=True)
    return line


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="triaged train phishing", description=__doc__)
    say = parser.add_argument
    say("--mails", type=Path, action="append", default=[], help="mails with a label each: CSV or JSONL; repeatable")
    say("--phishing", type=Path, action="append", default=[], help="phishing: mbox, .eml, folder, CSV, JSONL")
    say("--harmless", type=Path, action="append", default=[], help="ordinary mail in the same formats")
    say("--test", type=Path, action="append", default=[], help="labelled mails of other origin, only measured")
    say("--output", type=Path, help="the model store that the bundle is written to; without it, measure alone")
    say("--name", default="phishing")
    say("--version", default="0.1.0")
    say("--base", type=Path, help="any Hugging Face model folder; default: the packaged MiniLM")
    say("--layers", default="0,2,5", help="encoder layers to keep, such as 0,2,5, or all")
    say("--epochs", type=float, default=3.0, help="passes over the training mails, 3 to 5")
    say("--learning-rate", type=float, default=1e-4)
    say("--max-length", type=int, default=96, help="tokens of a mail that are read, up to 512")
    say("--rows", type=int, help="at most so many mails, by whole groups: on two cores 2,000 take minutes")
    say("--seed", type=int, default=1)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
