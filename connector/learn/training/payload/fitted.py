"""A fitted and calibrated network in a folder, read as serving reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import numpy as np

from connector.learn.corpora.http_params import NORMAL, SHOWS
from connector.learn.training.calibrate import platt
from connector.learn.training.payload.export import export
from connector.learn.training.payload.fit import Floats, Recipe, fit, targets
from connector.learn.training.payload.rows import Row
from connector.models.manifest import HeadCalibration, Platt
from connector.models.payload.member import PayloadMember, Read
from connector.models.payload.parts import Piece
from connector.models.payload.windows import readable, windows
from connector.ports import MemberSpec

MEMBER: Final = "payload"


class Fitted:
    """The member as served, with what it was fitted to tell."""

    def __init__(self, folder: Path, spec: MemberSpec) -> None:
        self.folder, self.spec = folder, spec
        self.kinds: tuple[str, ...] = tuple(spec.options["kinds"])
        self._member = PayloadMember(spec, folder, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._member.close()

    def read(self, data: Sequence[bytes], *, raw: bool = False) -> Read:
        """What the worst window of each value says: ``kinds`` (n, kinds), ``malicious`` (n,)."""
        cut = [list(windows(readable(Piece("", each, raw=raw)))) for each in data]
        flat = [window or b" " for found in cut for window in found]
        read = self._member.read(flat, [raw] * len(flat))
        starts = np.cumsum([0, *map(len, cut)])[:-1]
        return Read(np.maximum.reduceat(read.kinds, starts, axis=0), np.maximum.reduceat(read.malicious, starts))

    def classes(self, read: Read) -> list[str]:
        """The class of each value: ordinary below one half, else the likeliest kind of attack."""
        web = [column for column, kind in enumerate(self.kinds) if kind in SHOWS]
        best = read.kinds[:, web].argmax(axis=1)
        return [
            NORMAL if malicious < 0.5 else self.kinds[web[place]]
            for malicious, place in zip(read.malicious, best, strict=True)
        ]


def fitted(
    folder: Path, train: Sequence[Row], calibration: Sequence[Row], raw: Sequence[str], recipe: Recipe
) -> Fitted:
    """Fits on ``train`` and calibrates on rows that the fit never saw, where there are any.

    ``raw`` are the techniques that raw bytes may show.
    """
    kinds = {**SHOWS, **{technique: (technique,) for technique in raw}}
    export(fit(train, tuple(kinds), recipe), folder)
    bare = _spec(kinds, raw, HeadCalibration())
    if not calibration:
        return Fitted(folder, bare)
    with Fitted(folder, bare) as plainly:
        calibrated = _calibration(plainly, calibration)
    return Fitted(folder, _spec(kinds, raw, calibrated))


def _spec(kinds: dict[str, tuple[str, ...]], raw: Sequence[str], calibration: HeadCalibration) -> MemberSpec:
    options: dict[str, Any] = {
        "kinds": kinds,
        "raw": tuple(raw),
        "calibration": msgspec.to_builtins(calibration),
    }
    labels = tuple(sorted({label for shows in kinds.values() for label in shows}))
    return MemberSpec(name=MEMBER, kind=MEMBER, directory=MEMBER, labels=labels, options=options)


def _calibration(uncalibrated: Fitted, rows: Sequence[Row]) -> HeadCalibration:
    """Platt scaling: of malice with either side at one half, of kinds over the cells that are known."""
    logits: list[Floats] = []
    malice: list[Floats] = []
    for raw in (False, True):
        part = [row.data for row in rows if row.raw is raw]
        read = uncalibrated.read(part, raw=raw) if part else None
        if read is not None:
            logits.append(_logit(read.kinds))
            malice.append(_logit(read.malicious))
    ordered = sorted(rows, key=lambda row: row.raw)
    cells = np.array([targets(row, uncalibrated.kinds)[0] for row in ordered])
    truth = np.array([targets(row, uncalibrated.kinds)[1] for row in ordered])
    known, told = ~np.isnan(cells), ~np.isnan(truth)
    of_text = np.array([kind in SHOWS for kind in uncalibrated.kinds])
    sides = np.where(truth > 0.5, max(np.nansum(truth), 1), max(np.nansum(1 - truth), 1))
    weight = np.where(told, len(truth) / (2 * sides), 0.0)
    stacked, flat = np.concatenate(logits), np.concatenate(malice)
    of_kinds, of_raw = (
        platt(_single(stacked[here]), _single(cells[here]), np.ones(int(here.sum()), np.float32))
        if here.any()
        else Platt()
        for here in (known & of_text, known & ~of_text)
    )
    return HeadCalibration(
        malicious=platt(_single(flat[told]), _single(truth[told]), _single(weight[told])),
        techniques=of_kinds,
        labels={kind: of_raw for kind in uncalibrated.kinds if kind not in SHOWS},
    )


def _logit(probabilities: Floats) -> Floats:
    kept = np.clip(probabilities, 1e-7, 1 - 1e-7)
    return np.asarray(np.log(kept) - np.log1p(-kept))


def _single(values: Floats) -> np.ndarray[Any, np.dtype[np.float32]]:
    return values.astype(np.float32)
