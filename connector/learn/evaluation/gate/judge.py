"""Challenger against incumbent on the same rows: rows that neither was fitted on, and the newest closures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import msgspec
import numpy as np

from connector.errors import ConfigError
from connector.learn.dataset import Row
from connector.learn.evaluation.gate import checks, evade
from connector.learn.evaluation.gate.recordings import Recordings, checked, heard, unjudged
from connector.learn.evaluation.gate.report import Check, Report, bundle_digest
from connector.learn.evaluation.gate.said import Said, said
from connector.models.store import Store


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What a challenger is judged by.

    ``left_out``: rows of the base dataset on which neither bundle's weights were fitted. ``newest``: closures, the newest
    in time, that the challenger was not shown. ``shown``: the closures that it was trained on, which are only counted.
    ``recordings``: whole recordings that neither's weights were fitted on, for bundles of several members.
    """

    left_out: Sequence[Row]
    newest: Sequence[Row] = ()
    shown: Sequence[Row] = ()
    recordings: Recordings | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over all that the rows say."""
        found = hashlib.sha256()
        for part in (self.left_out, self.newest, self.shown):
            for row in part:
                found.update(msgspec.json.encode(row))
            found.update(b"\0")
        if self.recordings is not None:
            found.update(self.recordings.digest.encode())
        return found.hexdigest()


def judge(store: Store, challenger: str, incumbent: str, material: Material) -> Report:
    """Scores all rows with both bundles and runs every check; reads the store and writes nothing.

    Raises ``ConfigError`` for a bundle that does not verify, and where there is nothing to judge by.
    """
    if not material.left_out:
        raise ConfigError("the gate needs left-out rows of the base dataset to judge by")
    commands = evade.written(material.left_out)
    found = [
        *checks.labels(store.manifest(challenger), store.manifest(incumbent)),
        *_checked(store, (challenger, incumbent), material, commands),
        *_together(store, (challenger, incumbent), material.recordings),
    ]
    return Report(
        challenger=challenger,
        challenger_digest=bundle_digest(store, challenger),
        incumbent=incumbent,
        incumbent_digest=bundle_digest(store, incumbent),
        created=datetime.now(UTC).replace(microsecond=0),
        material=material.digest,
        rows={
            "left out": len(material.left_out),
            "newest closures": len(material.newest),
            "closures shown": len(material.shown),
            "commands written otherwise": len(commands),
        },
        checks=tuple(found),
        passed=all(check.passed for check in found),
    )


def _checked(
    store: Store, refs: tuple[str, str], material: Material, commands: Sequence[evade.Written]
) -> Iterator[Check]:
    texts = [
        *(row.text for row in material.left_out),
        *(row.text for row in material.newest),
        *(command.text for command in commands),
    ]
    both = (said(store, refs[0], texts), said(store, refs[1], texts))
    ends = np.cumsum([len(material.left_out), len(material.newest), len(commands)])
    parts = [_part(both, start, stop) for start, stop in zip([0, *ends[:-1]], ends, strict=True)]
    yield from checks.groups(material.left_out)
    yield from checks.closures(material.shown, material.newest)
    yield from checks.techniques(material.left_out, *parts[0])
    yield from checks.malice(material.left_out, *parts[0])
    yield from checks.alarms(material.left_out, *parts[0])
    yield from checks.calibrated(material.left_out, *parts[0])
    yield from checks.newest(material.newest, *parts[1])
    yield from evade.checked(commands, *parts[2])


def _together(store: Store, refs: tuple[str, str], recordings: Recordings | None) -> Iterator[Check]:
    """Members that texts cannot judge, and the bundle whole; nothing where neither bundle has any."""
    manifests = [store.manifest(ref) for ref in refs]
    if all(len(manifest.members) == 1 for manifest in manifests):
        return
    if recordings is None:
        yield unjudged(*manifests)
        return
    both = []
    for ref in refs:
        bundle = store.open(ref, threads=1)
        try:
            both.append(heard(bundle, recordings.read()))
        finally:
            bundle.close()
    yield from checked(*both)


def _part(both: tuple[Said, Said], start: int, stop: int) -> tuple[Said, Said]:
    places = np.arange(start, stop)
    return both[0].part(places), both[1].part(places)
