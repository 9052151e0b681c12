"""The quick path: corrections of both heads and a new second stage over frozen features. Seconds, without torch.

Calibration and thresholds stay the incumbent's, so that what changes of a verdict is what the closures changed; the gate
says whether they still hold. Every retraining starts from the frozen heads, not from the last correction: what an analyst
takes back is gone.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.training import second_stage, served
from connector.learn.training.labels import Targets, targets
from connector.learn.training.retrain import correction, frozen
from connector.learn.training.retrain.frozen import Frozen
from connector.learn.training.retrain.graft import Correction, graft
from connector.learn.training.retrain.renewed import Renewal, finish, workplace
from connector.learn.training.retrain.replay import Floats, is_closure
from connector.models import second_stage as serving
from connector.models.integrity import MANIFEST
from connector.models.manifest import HeadCalibration, Manifest, Platt
from connector.models.store import Store
from connector.models.text import MODEL, Options
from connector.ports import MemberSpec


class Learnt(msgspec.Struct, frozen=True, eq=False):
    """What the closures changed, and the techniques that they were about."""

    correction: Correction
    second: serving.SecondStage | None
    concerned: tuple[str, ...]
    moved: float
    """How far base rows moved: the root mean square of what was added to their calibrated malicious logits."""


def refit(
    ref: str,
    store: Store,
    rows: Sequence[Row],
    weights: NDArray[np.floating],
    version: str,
    *,
    cache: Path | None = None,
    newest: Sequence[Row] = (),
    about: Mapping[str, Any] | None = None,
) -> str:
    """Writes ``name/version``, the bundle ``ref`` retrained on ``rows`` with ``weights`` (n,), and returns its name.

    Closures among the rows are learnt from; base rows of the split ``train`` hold the rest in place; those of the other
    splits, and the ``newest`` closures, are only measured. ``cache`` is a folder for features; ``about`` is added to what
    the manifest says of the retraining. Raises ``ConfigError`` where there is nothing to learn from, or the version exists.
    """
    manifest, source = _verified(store, ref)
    spec = served.reader(manifest)
    network = frozen.digest(manifest, spec)
    path = None if cache is None else frozen.cached(cache, network)
    with workplace(store, manifest.name, version) as place:
        learnt = learn(source / spec.directory, spec, rows, np.asarray(weights, np.float64), path)
        work = place / manifest.name / version
        shutil.copytree(source, work, ignore=shutil.ignore_patterns(MANIFEST))
        _put(work / spec.directory, learnt)
        facts = {"incumbent": ref, "path": "quick", **(about or {}), **_told(rows, learnt), "frozen": network}
        renewal = Renewal(
            before=manifest, source=source, spec=spec, version=version, rows=rows, newest=newest, facts=facts
        )
        finish(work, renewal)
    return f"{manifest.name}/{version}"


def learn(member: Path, spec: MemberSpec, rows: Sequence[Row], weights: Floats, cache: Path | None) -> Learnt:
    """The corrections and the second stage for a member's folder. Raises ``ConfigError`` where nothing can be learnt."""
    closure = is_closure(rows)
    base = (weights > 0.0) & ~closure
    shown, held = (list(compress(rows, which)) for which in (closure, base))
    if not any(row.malicious is not None or row.techniques for row in shown):
        raise ConfigError("no closure says anything to learn from")
    if not held:
        raise ConfigError("no base row holds in place what the bundle knows: nothing is retrained without")
    with closing(Frozen(member, spec)) as network:
        said = network.read([row.text for row in shown])
        features, logits = network.remembered([row.text for row in held], cache)
    heads = msgspec.convert(spec.options, Options).calibration
    wide, kept = correction.widened(said.features), correction.widened(features)
    inertia = correction.inertia(kept, weights[base])
    wanted, platts = targets(shown, spec.labels), _platts(heads, spec.labels)
    names, pull = wanted.techniques.astype(np.float64), weights[closure]
    made = Correction(
        techniques=correction.columns(wide, said.techniques, names, pull, platts, inertia),
        malicious=_malice(wide, said.malicious, wanted, pull, heads.malicious, inertia),
    )
    added = kept @ made.malicious
    stage = second_stage.fit(
        [*shown, *held],
        np.concatenate([said.features, features]),
        np.concatenate([said.malicious + wide @ made.malicious, logits + added]),
    )
    return Learnt(
        correction=made,
        second=stage,
        concerned=tuple(spec.labels[place] for place in correction.concerned(said.techniques, names, platts)),
        moved=heads.malicious.a * float(np.sqrt(np.average(added**2, weights=weights[base]))),
    )


def _malice(  # noqa: PLR0917  (one caller, above)
    wide: Floats, logits: Floats, wanted: Targets, pull: Floats, platt: Platt, inertia: Floats
) -> Floats:
    """The correction of the malicious head, from those closures that say malicious or not."""
    told = ~np.isnan(wanted.malicious)
    truth = wanted.malicious[told].astype(np.float64)
    return correction.fitted(wide[told], logits[told], truth, pull[told], platt, inertia)


def _told(rows: Sequence[Row], learnt: Learnt) -> dict[str, Any]:
    shown = list(compress(rows, is_closure(rows)))
    return {
        "closures": len(shown),
        "malicious": sum(row.malicious is True for row in shown),
        "benign": sum(row.malicious is False for row in shown),
        "groups": len({row.group for row in shown}),
        "techniques_corrected": list(learnt.concerned),
        "second_stage": learnt.second is not None,
        "base_rows_moved": round(learnt.moved, 4),
    }


def _platts(heads: HeadCalibration, labels: Sequence[str]) -> list[Platt]:
    return [heads.labels.get(label, heads.techniques) for label in labels]


def _verified(store: Store, ref: str) -> tuple[Manifest, Path]:
    manifest = store.manifest(ref)
    if problems := store.verify(ref):
        raise ConfigError(f"bundle {ref} is not retrained: {'; '.join(problems)}")
    return manifest, store.directory(ref)


def _put(member: Path, learnt: Learnt) -> None:
    """Writes what was learnt into a member's folder. A second stage of before is gone where there is none now."""
    graft(member / MODEL, learnt.correction)
    (member / serving.FILE).unlink(missing_ok=True)
    if learnt.second is not None:
        learnt.second.write(member)
