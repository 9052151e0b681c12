"""What a text member gains by reading further: each of its two caps tried shorter and longer, on rows that it did not learn.

A bag of word pieces or letters reads a text of any length, so a cap is an option of what serves and nothing is fitted anew.
Every group (file, recording, rule, test, report) counts once, and gains over the caps that the bundle has are drawn by
group, both in the same draws.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import process_time
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from connector.learn.dataset import Dataset, Row, Split
from connector.learn.evaluation import bootstrap, calibration, curves
from connector.learn.evaluation.bootstrap import Floats, Interval
from connector.learn.evaluation.shipped import Bundle
from connector.learn.evaluation.truth import group_of
from connector.learn.training.measure import LEAST, parent_hits
from connector.models.graph import spelling
from connector.models.text import TOKENIZER, Options, TextMember

TOKENS = (32, 64, 96, 128, 160, 192, 256, 384, 512)
LETTERS = (256, 512, 768, 1024, 1536, 2048, 4096)
SPLITS: tuple[Split, ...] = ("dev", "calibration")
TIMED, ROUNDS = 300, 9


class Caps(NamedTuple):
    """So many tokens, special ones counted, and so many bytes in lower case are read of a text."""

    tokens: int
    letters: int


class Rate(msgspec.Struct, frozen=True):
    """A rate, and what it gains over the bundle's own caps."""

    value: float
    gain: Interval


class Rates(msgspec.Struct, frozen=True):
    """Of a split: the share of texts that are cut, right parents first and among three, and the mean AUC over kinds."""

    cut: float
    top1: Rate
    top3: Rate
    auc: Rate


class Tried(msgspec.Struct, frozen=True):
    """One cap, of ``tokens`` or ``letters``; ``cpu`` is the time that the member takes, of that with the bundle's own caps."""

    read: str
    cap: int
    own: bool
    cpu: float
    splits: Mapping[str, Rates]


class Study(msgspec.Struct, frozen=True):
    """Every cap, on which rows and of which bundle."""

    dataset: str
    bundle: str
    rows: Mapping[str, int]
    tried: Sequence[Tried]


class _Answers(NamedTuple):
    """The rank (n,) of the first right parent, -1 where a row names none, the logit (n,) of malice, and what it costs."""

    ranks: NDArray[np.int64]
    malicious: Floats
    cost: float


def study(bundle: Bundle, dataset: Dataset, step: int = 1) -> Study:
    """Tries every cap on one unseen row in ``step``."""
    rows = [row for row in bundle.unseen(dataset) if row.split in SPLITS][::step]
    lengths, own = _lengths(bundle, [row.text for row in rows]), _own(bundle)
    tried = [("tokens", Caps(cap, own.letters)) for cap in sorted({*TOKENS, own.tokens})]
    if own.letters:
        tried += [("letters", Caps(own.tokens, cap)) for cap in sorted({*LETTERS, own.letters})]
    answers = _answers(bundle, own, [caps for _, caps in tried], rows)
    places = {split: np.flatnonzero([row.split == split for row in rows]) for split in SPLITS}

    def rates(read: str, caps: Caps) -> Mapping[str, Rates]:
        cut = lengths[read] > getattr(caps, read)
        return {
            split: _rates([rows[place] for place in part], cut[part], _at(answers[caps], part), _at(answers[own], part))
            for split, part in places.items()
            if len(part)
        }

    return Study(
        dataset=dataset.facts.digest,
        bundle=bundle.manifest.ref,
        rows={split: len(part) for split, part in places.items()},
        tried=[
            Tried(read, getattr(caps, read), caps == own, answers[caps].cost, rates(read, caps)) for read, caps in tried
        ],
    )


def lines(found: Study) -> Iterator[str]:
    """The study as a table."""
    counted = ", ".join(f"{count} rows of {split}" for split, count in found.rows.items())
    yield f"{found.bundle}, dataset {found.dataset[:12]}: {counted}; gains over the bundle's own caps, in points"
    yield ""
    yield "| reads | split | cut | top-1 | gain | top-3 | gain | mean AUC | gain | CPU |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for one in found.tried:
        name = f"{one.cap} {one.read}"
        for split, seen in one.splits.items():
            rates = " | ".join(_told(rate, own=one.own) for rate in (seen.top1, seen.top3, seen.auc))
            yield f"| {f'**{name}**' if one.own else name} | {split} | {seen.cut:.1%} | {rates} | {one.cpu:.2f} |"


def _told(rate: Rate, *, own: bool) -> str:
    if own:
        return f"{rate.value:.3f} | "
    gain = rate.gain
    return f"{rate.value:.3f} | {100 * gain.value:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]"


def _own(bundle: Bundle) -> Caps:
    spec, _ = bundle.member
    options = msgspec.convert(spec.options, Options)
    return Caps(options.max_length, options.letters)


def _lengths(bundle: Bundle, texts: Sequence[str]) -> Mapping[str, NDArray[np.int64]]:
    """How many tokens and letters each whole text has."""
    _, folder = bundle.member
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return {
        "tokens": np.array([len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts))], np.int64),
        "letters": np.array([len(spelling(text, sys.maxsize)) for text in texts], np.int64),
    }


@contextmanager
def _opened(bundle: Bundle, caps: Caps) -> Iterator[TextMember]:
    spec, folder = bundle.member
    options = {**spec.options, "max_length": caps.tokens, "letters": caps.letters}
    member = TextMember(msgspec.structs.replace(spec, options=options), folder, 1)
    try:
        yield member
    finally:
        member.close()


def _answers(bundle: Bundle, own: Caps, tried: Sequence[Caps], rows: Sequence[Row]) -> Mapping[Caps, _Answers]:
    """What the member says of the rows with each pair of caps, and what it costs beside its own right before."""
    texts, labels = [row.text for row in rows], bundle.member[0].labels
    timed = texts[:: max(len(texts) // TIMED, 1)][:TIMED]
    found = {}
    with _opened(bundle, own) as usual:
        for caps in dict.fromkeys(tried):
            with _opened(bundle, caps) as member:
                techniques, malicious = member.logits(texts)
                cost = np.median([_seconds(member, timed) / _seconds(usual, timed) for _ in range(ROUNDS)])
            found[caps] = _Answers(parent_hits(techniques.astype(np.float32), rows, labels), malicious, float(cost))
    return found


def _seconds(member: TextMember, texts: Sequence[str]) -> float:
    start = process_time()
    member.logits(texts)
    return process_time() - start


def _at(answers: _Answers, places: NDArray[np.intp]) -> _Answers:
    return _Answers(answers.ranks[places], answers.malicious[places], answers.cost)


def _rates(rows: Sequence[Row], cut: NDArray[np.bool_], mine: _Answers, own: _Answers) -> Rates:
    return Rates(
        cut=float(cut.mean()), top1=_hits(rows, mine, own, 1), top3=_hits(rows, mine, own, 3), auc=_auc(rows, mine, own)
    )


def _hits(rows: Sequence[Row], mine: _Answers, own: _Answers, depth: int) -> Rate:
    named = np.flatnonzero(own.ranks >= 0)
    groups = [group_of(rows[place]) for place in named.tolist()]
    weight = calibration.by_group(groups)
    hits, before = ((one.ranks[named] < depth).astype(np.float64) for one in (mine, own))
    value = float(np.average(hits, weights=weight)) if len(named) else float("nan")
    return Rate(value, bootstrap.ratio(weight * (hits - before), weight, groups))


def _auc(rows: Sequence[Row], mine: _Answers, own: _Answers) -> Rate:
    """The mean over kinds with enough rows of either side of the AUC of malicious against benign within the kind."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.malicious is not None:
            kinds[row.kind].append(number)
    truth = np.array([row.malicious is True for row in rows], bool)
    parts = [np.array(part) for part in kinds.values() if LEAST <= truth[part].sum() <= len(part) - LEAST]
    ranked = [[curves.Ranked(one.malicious[part], truth[part]) for part in parts] for one in (mine, own)]
    groups = [group_of(row) for row in rows]

    def area(kept: Sequence[curves.Ranked], weight: Floats) -> float:
        areas = [one.auc(weight[part]) for one, part in zip(kept, parts, strict=True)]
        drawn = [value for value in areas if np.isfinite(value)]
        return float(np.mean(drawn)) if drawn else float("nan")

    weight = calibration.by_group(groups)
    gain = bootstrap.statistic(lambda w: area(ranked[0], w) - area(ranked[1], w), weight, groups)
    return Rate(area(ranked[0], weight), gain)
