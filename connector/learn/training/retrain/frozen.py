"""The frozen part of a bundle: features of texts, and the logits of its heads before anything was corrected.

Features are computed once a text and kept between retrainings, since the frozen part stays the same through all of them.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.learn.training.retrain.correction import widened
from connector.learn.training.retrain.graft import grafted
from connector.learn.training.retrain.replay import Floats
from connector.models.manifest import HeadCalibration, Manifest
from connector.models.text import MODEL, TOKENIZER, Options, TextMember
from connector.ports import MemberSpec

RETRAINED: Final = "retrained"
"""The key among a manifest's metrics under which a retrained bundle says what it was made from."""

_KEY: Final = 16
"""Bytes of a text's digest."""

Kept = dict[bytes, NDArray[np.float32]]
"""By text: its features and, last, its malicious logit."""


class Said(NamedTuple):
    """Of n texts: ``features`` (n, d) and the frozen logits ``techniques`` (n, labels) and ``malicious`` (n,)."""

    features: NDArray[np.float32]
    techniques: Floats
    malicious: Floats


def digest(manifest: Manifest, spec: MemberSpec) -> str:
    """Names the frozen part: a retrained bundle carries the name that it had before."""
    retrained: Mapping[str, Any] = manifest.metrics.get(RETRAINED, {})
    if "frozen" in retrained:
        return str(retrained["frozen"])
    files = (manifest.files[f"{spec.directory}/{name}"] for name in (MODEL, TOKENIZER))
    options = msgspec.structs.replace(msgspec.convert(spec.options, Options), calibration=HeadCalibration())
    return hashlib.sha256("\0".join((*files, msgspec.json.encode(options).decode())).encode()).hexdigest()


class Frozen:
    """A member's network without its correction. Raises ``ConfigError`` for a graph that gives no features."""

    def __init__(self, folder: Path, spec: MemberSpec, threads: int = 0) -> None:
        self._member = TextMember(spec, folder, threads)
        self._correction = grafted(folder / MODEL)
        self._member.embed(["a graph without features is refused here"])

    def close(self) -> None:
        """Ends the threads."""
        self._member.close()

    def read(self, texts: Sequence[str]) -> Said:
        """What it says of texts."""
        found = self._member.read(texts)
        if self._correction is None or not texts:
            return Said(found.embedding, found.techniques, found.malicious)
        techniques, malicious = self._correction.of(widened(found.embedding))
        return Said(found.embedding, found.techniques - techniques, found.malicious - malicious)

    def remembered(self, texts: Sequence[str], path: Path | None) -> tuple[NDArray[np.float32], Floats]:
        """Features (n, d) and malicious logits (n,) of texts; those that the file lacks are computed, and then kept.

        The file then holds these texts and no others.
        """
        keys = [hashlib.sha256(text.encode("utf-8", "replace")).digest()[:_KEY] for text in texts]
        known = {} if path is None else _known(path)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            fresh = self.read(list(missing.values()))
            known |= dict(
                zip(missing, np.column_stack([fresh.features, fresh.malicious]).astype(np.float32), strict=True)
            )
            if path is not None:
                _keep(path, {key: known[key] for key in keys})
        found = np.stack([known[key] for key in keys])
        return found[:, :-1], found[:, -1].astype(np.float64)


def cached(folder: Path, frozen: str) -> Path:
    """The file of a frozen network's features."""
    return folder / f"features-{frozen[:16]}.npz"


def _known(path: Path) -> Kept:
    """What is kept; a damaged file is as good as none."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {key.tobytes(): row for key, row in zip(arrays["keys"], arrays["rows"], strict=True)}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}


def _keep(path: Path, known: Kept) -> None:
    """Replaces the file in one step; for its owner alone, since features tell of the texts."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = np.frombuffer(b"".join(known), np.uint8).reshape(-1, _KEY)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        np.savez(file, keys=keys, rows=np.stack(list(known.values())))
    fresh.replace(path)
