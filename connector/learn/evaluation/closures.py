"""``triaged labels study``: the second stage and the check of labels, tried on simulated analysts.

The second stage, on a site that trained nothing: analysts close every alert of all hosts but one rightly, and name the
cause of each false one. The filter learns from these closures and the base rows, and the last host is judged.
Then the same on corpora rows that the bundle did not train on, where near-duplicates are left out together.

The check, on such rows: some labels are said the wrong way round, and what is found is compared with what was done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold

from connector.errors import ConfigError
from connector.learn import dataset_file
from connector.learn.dataset import STRENGTH, Row
from connector.learn.evaluation import shipped as bundles, simulated
from connector.learn.evaluation.studies.site import Site, read
from connector.learn.training import second_stage
from connector.learn.training.calibrate import probabilities
from connector.learn.training.quality import contradicted
from connector.learn.training.retrain.frozen import Said
from connector.models.second_stage import SecondStage
from connector.models.store import Store
from connector.resources import shipped

EXIT_CONFIG: Final = 2
FOLDS: Final = 5
FLIPPED: Final = (0.0, 0.05, 0.1, 0.2)
"""Shares of labels that are said the wrong way round."""

LABELS: Final = 400
DRAWS: Final = 5
"""So many labels are drawn, so many times."""

SURE: Final = 2
"""The strength of a label's basis from which the corpora's own label is taken for the truth."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Alarms(msgspec.Struct, frozen=True):
    """Events at or above a level without and with the filter: ordinary ones, those of them that nobody had closed, attacks."""

    ordinary: tuple[int, int]
    new: tuple[int, int]
    attacks: tuple[int, int]


class Filtered(msgspec.Struct, frozen=True, kw_only=True):
    """What was left out; closures and explained false positives that were learnt from; alarms by level."""

    left_out: str
    closures: int
    explained: int
    levels: Mapping[str, Alarms]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Over all draws: labels, how many were flipped, how many were called likely errors, and how many rightly."""

    share: float
    labels: int
    flipped: int
    found: int
    right: int


class Study(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured."""

    bundle: str
    site: Sequence[Filtered]
    corpora: Sequence[Filtered]
    labels: Sequence[Checked]


class Judge:
    """A bundle with a second stage or without, over events whose features were computed once."""

    def __init__(self, bundle: bundles.Bundle, base: Sequence[Row], said: Said) -> None:
        self._calibrated = bundle.calibrated
        self._base, self._said = base, said
        self.levels = bundle.manifest.thresholds_alone.levels()

    def stage(self, rows: Sequence[Row], said: Said) -> SecondStage | None:
        """What base rows and closures teach."""
        features, logits = (
            np.concatenate([mine, theirs])
            for mine, theirs in ((self._said.features, said.features), (self._said.malicious, said.malicious))
        )
        return second_stage.fit([*self._base, *rows], features, logits)

    def p(self, said: Said, stage: SecondStage | None = None) -> Floats:
        """p_malicious (n,)."""
        logits = said.malicious if stage is None else stage.lowered(said.features, said.malicious)
        return probabilities(logits.astype(np.float32), self._calibrated)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the study; 0 done, 2 something must be changed first."""
    parser = argparse.ArgumentParser(prog="triaged labels study", description=__doc__)
    parser.add_argument("--corpora", type=Path, required=True, help="folder of the corpora archives")
    parser.add_argument("--rows", type=Path, required=True, help="a built dataset")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    parser.add_argument("--bundle", help="name/version; default: the one in production")
    parser.add_argument("--output", type=Path, default=Path("study"), help="folder for the result")
    options = parser.parse_args(arguments)
    try:
        bundle = bundles.opened(Store(options.store or shipped("model_store")), options.bundle)
        rows = dataset_file.read(options.rows)
        found = study(bundle, read(options.corpora), rows.of("train"), bundle.unseen(rows))
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_CONFIG
    options.output.mkdir(parents=True, exist_ok=True)
    path = options.output / "closures.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    print("\n".join(told(found)), f"\nwritten: {path}", sep="\n")
    return 0


def study(bundle: bundles.Bundle, site: Site, base: Sequence[Row], unseen: Sequence[Row]) -> Study:
    """Both parts. ``base`` rows may be learnt from; ``unseen`` rows and the site trained nothing."""
    held, here, elsewhere = simulated.said(bundle, [row.text for row in base], site.texts, [row.text for row in unseen])
    judge = Judge(bundle, base, held)
    return Study(
        bundle=bundle.manifest.ref,
        site=list(_on_site(judge, site, here)),
        corpora=list(_on_corpora(judge, unseen, elsewhere)),
        labels=list(_checked(unseen, elsewhere)),
    )


def _on_site(judge: Judge, site: Site, said: Said) -> Iterator[Filtered]:
    before = judge.p(said)
    for name, host in site.hosts.items():
        attack: dict[int, bool] = {}
        for other in (other for left, other in site.hosts.items() if left != name):
            for place, yes in zip(other.places.tolist(), other.attack.tolist(), strict=True):
                attack.setdefault(place, yes)  # the analyst speaks of the first such event
        closed = [place for place in attack if before[place] >= judge.levels["suspicious"]]
        rows = [_closure(place, site.groups[place], attack=attack[place]) for place in closed]
        stage = judge.stage(rows, _part(said, closed))
        after, mine = judge.p(said, stage), host.places
        new = ~np.isin(mine, closed)
        levels = {
            level: _alarms(before[mine] >= cut, after[mine] >= cut, host.attack, new)
            for level, cut in judge.levels.items()
        }
        explained = sum(row.malicious is False for row in rows)
        yield Filtered(left_out=f"host {name}", closures=len(rows), explained=explained, levels=levels)


def _on_corpora(judge: Judge, rows: Sequence[Row], said: Said) -> Iterator[Filtered]:
    """Each false alarm is left out once, with its near-duplicates; every attack is judged by the filter of each fold."""
    before, cut = judge.p(said), judge.levels["suspicious"]
    attack = np.array([row.malicious is True for row in rows])
    benign = np.array([row.malicious is False for row in rows])
    wrong = np.flatnonzero(benign & (before >= cut))
    groups = [rows[place].cluster for place in wrong.tolist()]
    if len(set(groups)) < FOLDS:
        return
    levels = dict.fromkeys(judge.levels, Alarms((0, 0), (0, 0), (0, 0)))
    for learnt, left in GroupKFold(FOLDS).split(wrong, groups=groups):
        closed = wrong[learnt].tolist()
        stage = judge.stage([_closure(n, rows[n].cluster, attack=False) for n in closed], _part(said, closed))
        after, judged = judge.p(said, stage), attack.copy()
        judged[wrong[left]] = True
        for level, at in judge.levels.items():
            over, still = before[judged] >= at, after[judged] >= at
            found = _alarms(over, still, attack[judged], np.ones(len(over), bool))
            levels[level] = _sum(levels[level], found)
    yield Filtered(left_out=f"near-duplicates, {FOLDS} folds", closures=len(wrong), explained=len(wrong), levels=levels)


def _checked(rows: Sequence[Row], said: Said) -> Iterator[Checked]:
    """Each share of flipped labels over all draws; nothing where there are too few rows to draw from."""
    sure = [n for n, row in enumerate(rows) if row.malicious is not None and STRENGTH[row.basis] >= SURE]
    if len(sure) < LABELS:
        return
    for share in FLIPPED:
        counts = np.zeros(3, int)
        for seed in range(DRAWS):
            draw = np.random.default_rng(seed)
            chosen = draw.choice(sure, LABELS, replace=False)
            truth = np.array([bool(rows[place].malicious) for place in chosen.tolist()])
            flipped = draw.random(LABELS) < share
            groups = [rows[place].cluster for place in chosen.tolist()]
            wrong, _ = contradicted(truth ^ flipped, said.features[chosen], groups)
            counts += (flipped.sum(), wrong.sum(), (wrong & flipped).sum())
        flips, found, right = counts.tolist()
        yield Checked(share=share, labels=DRAWS * LABELS, flipped=flips, found=found, right=right)


def _closure(place: int, group: str, *, attack: bool) -> Row:
    return simulated.closure(place, group, malicious=attack, cause=None if attack else "benign_software")


def _part(said: Said, places: Sequence[int]) -> Said:
    rows = list(places)
    return Said(said.features[rows], said.techniques[rows], said.malicious[rows])


def _alarms(before: Bools, after: Bools, attack: Bools, new: Bools) -> Alarms:
    sides = (~attack, ~attack & new, attack)
    return Alarms(*((int((before & side).sum()), int((after & side).sum())) for side in sides))


def _sum(one: Alarms, other: Alarms) -> Alarms:
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return Alarms(*((a[0] + b[0], a[1] + b[1]) for a, b in pairs))


def told(found: Study) -> Iterator[str]:
    """The result for people."""
    yield f"Bundle {found.bundle}. Each pair: without the filter → with it\n"
    yield "| left out | closures learnt from | explained | level | ordinary events | of these never closed | attack events |"
    yield "|---|---|---|---|---|---|---|"
    for one in (*found.site, *found.corpora):
        for level, alarms in one.levels.items():
            pairs = " | ".join(f"{pair[0]} → {pair[1]}" for pair in msgspec.structs.astuple(alarms))
            yield f"| {one.left_out} | {one.closures} | {one.explained} | {level} | {pairs} |"
    yield "\n| flipped | labels | wrong | called likely errors | rightly | precision | recall |"
    yield "|---|---|---|---|---|---|---|"
    for line in found.labels:
        precision = f"{line.right / line.found:.2f}" if line.found and line.flipped else "-"
        recall = f"{line.right / line.flipped:.2f}" if line.flipped else "-"
        yield (
            f"| {line.share:.0%} | {line.labels} | {line.flipped} | {line.found} | {line.right} "
            f"| {precision} | {recall} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
