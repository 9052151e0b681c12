"""Proves the measuring itself: without a signal it must find none, and a leak that was planted must be flagged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import TypeVar

import msgspec
import numpy as np

from connector.learn.dataset import Row
from connector.learn.evaluation import bootstrap, curves, folds, linear, ranking
from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.folds import Fit
from connector.learn.evaluation.techniques import majority
from connector.learn.evaluation.truth import group_of, parents
from connector.learn.scrub import leaks

GROUPS, ROWS = 80, 3
SHARE = 0.5

T = TypeVar("T")

_WORDS = ("open", "copy", "list", "start", "stop", "query", "write", "read", "send", "load")


class Check(msgspec.Struct, frozen=True):
    """One thing that must hold, what was seen, and whether it holds."""

    name: str
    seen: str
    passed: bool


def checks(rows: Sequence[Row]) -> list[Check]:
    """Every check, on real rows or on made ones; the linear baseline stands for all models."""
    named = [row for row in rows if row.techniques]
    judged = [row for row in rows if row.malicious is not None]
    chance = _first(named, guess="majority")
    true, mixed = _first(named), _first(_mixed_techniques(named))
    found, lost = _separation(judged), _separation(_mixed_malice(judged))
    telling = sum(leaks(row.text) for row in rows)
    return [
        Check("no text names a technique", f"{telling} of {len(rows)}", not telling),
        Check("labels are found", _of(true, chance), true.low > chance.high),
        Check("shuffled labels fall to chance", _of(mixed, chance), mixed.low <= chance.high),
        Check("attacks are told from harmless rows", _shown(found), found.low > 0.5),
        Check("shuffled attacks fall to chance", _shown(lost), lost.low <= 0.5 <= lost.high),
        *_planted(named),
    ]


def made() -> list[Row]:
    """Rows whose words tell the technique, in groups, half of them harmless."""
    draw = Random(7)  # noqa: S311
    rows = []
    for number in range(GROUPS):
        technique, attack = f"T{1001 + number % 4}", number % 2 == 0
        for record in range(ROWS):
            words = [*draw.sample(_WORDS, 4), f"tool{number % 4}" if attack else "ordinary", f"{draw.random():.4f}"]
            rows.append(_row(number, record, " ".join(words), (technique,) if attack else (), attack=attack))
    return rows


def _row(group: int, record: int, text: str, techniques: tuple[str, ...], *, attack: bool) -> Row:
    return Row(
        text=text,
        kind="sysmon-1",
        fingerprint=f"{group:032x}{record:032x}",
        techniques=techniques,
        malicious=attack,
        basis="executed-test",
        source="made",
        group=str(group),
        record=str(record),
        licence="-",
        split="train",
    )


def halves(rows: Sequence[Row]) -> Fit:
    """Half of the groups to fit on, the others to try on."""
    groups = sorted({group_of(row) for row in rows})
    Random(3).shuffle(groups)  # noqa: S311
    kept = set(groups[: int(len(groups) * SHARE)])
    train = [row for row in rows if group_of(row) in kept]
    return Fit("halves", "halves", train, (), (), [row for row in rows if group_of(row) not in kept])


def _first(rows: Sequence[Row], guess: str = "linear") -> Interval:
    """Top-1 of the second half of the groups."""
    fit = halves(rows)
    wanted, groups = [parents(row) for row in fit.test], [group_of(row) for row in fit.test]
    names = sorted({name for row in fit.train for name in parents(row)})
    if guess == "majority":
        scores = majority(fit.train, names, len(fit.test))
    else:
        model = linear.fit_techniques(fit.train, linear.hashed([row.text for row in fit.train]), parent_groups=1)
        names, scores = list(model.names), model.scores(linear.hashed([row.text for row in fit.test]))
    return bootstrap.share(ranking.ranks(scores, wanted, names) < 1, groups)


def _separation(rows: Sequence[Row]) -> Interval:
    fit = halves(rows)
    model = linear.fit_malice(fit.train, linear.hashed([row.text for row in fit.train]))
    score = model.scores(linear.hashed([row.text for row in fit.test])).astype(np.float64)
    truth = np.array([bool(row.malicious) for row in fit.test])
    groups = [group_of(row) for row in fit.test]
    return bootstrap.statistic(lambda weight: curves.auc(score, truth, weight), np.ones(len(truth)), groups)


def _mixed_techniques(rows: Sequence[Row]) -> list[Row]:
    """Every group with the techniques of another."""
    own: dict[tuple[str, str], tuple[str, ...]] = {group_of(row): row.techniques for row in rows}
    given = _dealt(own)
    return [msgspec.structs.replace(row, techniques=given[group_of(row)]) for row in rows]


def _mixed_malice(rows: Sequence[Row]) -> list[Row]:
    """Every group with one side, drawn among all groups' sides."""
    sides: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row in rows:
        sides[group_of(row)].append(bool(row.malicious))
    given = _dealt({group: found[0] for group, found in sides.items()})
    return [msgspec.structs.replace(row, malicious=given[group_of(row)]) for row in rows]


def _dealt(own: dict[tuple[str, str], T]) -> dict[tuple[str, str], T]:
    values = [own[group] for group in sorted(own)]
    Random(11).shuffle(values)  # noqa: S311
    return dict(zip(sorted(own), values, strict=True))


def _planted(rows: Sequence[Row]) -> list[Check]:
    """A technique id in each text, a group in two splits, and a near copy in two splits: each must be flagged."""
    told = [msgspec.structs.replace(row, text=f"{row.text} {row.techniques[0]}") for row in rows]
    flagged = sum(leaks(row.text) for row in told)
    fit = halves(rows)
    both = msgspec.structs.replace(fit, test=[*fit.test, fit.train[0]])
    copies = msgspec.structs.replace(
        fit,
        train=[msgspec.structs.replace(row, cluster="c") for row in fit.train[:1]],
        test=[msgspec.structs.replace(row, cluster="c") for row in fit.test[:1]],
    )
    return [
        Check("an id in every text is flagged", f"{flagged} of {len(told)}", flagged == len(told)),
        Check("an honest split is not flagged", "; ".join(folds.leaks(fit)) or "nothing", not folds.leaks(fit)),
        Check(
            "a group in two splits is flagged", "; ".join(folds.leaks(both)) or "nothing", len(folds.leaks(both)) > 1
        ),
        Check(
            "a near copy in two splits is flagged",
            "; ".join(folds.leaks(copies)) or "nothing",
            bool(folds.leaks(copies)),
        ),
    ]


def _of(seen: Interval, chance: Interval) -> str:
    return f"top-1 {_shown(seen)}, chance {_shown(chance)}"


def _shown(seen: Interval) -> str:
    return f"{seen.value:.3f} [{seen.low:.3f}, {seen.high:.3f}]"
