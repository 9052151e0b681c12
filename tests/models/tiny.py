"""A store with one tiny bundle in production, for every suite that needs a real model."""

from __future__ import annotations

from pathlib import Path

import msgspec

from connector.models import Store, manifest as manifests
from connector.models.testbed import WEIGHTS, Weights, lay_bundle
from connector.ports import MemberSpec


def tiny_store(path: Path, *, version: str = "1", weights: Weights = WEIGHTS) -> Path:
    """Lays ``tiny/<version>`` out and promotes it. Returns the store's folder."""
    lay_bundle(path, version=version, weights=weights)
    Store(path).promote(f"tiny/{version}")
    return path


def add_member(path: Path, *, name: str, kind: str, labels: tuple[str, ...], ref: str = "tiny/1") -> None:
    """Lists one more member, which has no files of its own, in a bundle, and seals it again."""
    directory = path / ref
    manifest = manifests.read(directory)
    spec = MemberSpec(name=name, kind=kind, directory=name, labels=labels)
    everything = tuple(sorted({*manifest.labels, *labels}))
    more = msgspec.structs.replace(
        manifest, members=(*manifest.members, spec), labels=everything, text_thresholds=manifest.thresholds_alone
    )
    manifests.seal(directory, more)
