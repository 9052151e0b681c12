"""What studies with a simulated analyst share: a bundle's features, computed once, and answers as rows."""

from __future__ import annotations

from collections.abc import Sequence

from connector.learn.dataset import Row
from connector.learn.evaluation.shipped import Bundle
from connector.learn.export.training import SOURCE
from connector.learn.training.retrain.frozen import Frozen, Said
from connector.types import Cause


def said(bundle: Bundle, *several: Sequence[str]) -> list[Said]:
    """Features and logits of each of several sets of texts."""
    spec, folder = bundle.member
    network = Frozen(folder, spec)
    try:
        return [network.read(texts) for texts in several]
    finally:
        network.close()


def closure(place: int, group: str, *, malicious: bool, cause: Cause | None) -> Row:
    """An answer about the event at ``place`` as the closed alert that it becomes; ``cause`` where it was a false positive."""
    return Row(
        text="",
        kind="",
        fingerprint=str(place),
        techniques=(),
        malicious=malicious,
        basis="analyst",
        source=SOURCE,
        group=group,
        record="",
        licence="",
        split="train",
        cause=cause,
    )
