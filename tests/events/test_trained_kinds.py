"""The shipped model was trained on events as the canonical form tells them: of its kinds, nothing changes."""

from __future__ import annotations

import json

import pytest

from connector.events import CANONICAL_VERSIONS
from connector.resources import shipped

TRAINED = [
    pytest.param(kind, digest, id=f"{path.parent.name}:{kind}")
    for path in sorted(shipped("model_store").glob("*/*/manifest.json"))
    for kind, digest in json.loads(path.read_text("utf-8"))["canonical_versions"].items()
]


@pytest.mark.parametrize(("kind", "digest"), TRAINED)
def test_a_kind_that_a_shipped_model_was_trained_on_keeps_its_digest(kind: str, digest: str) -> None:
    assert CANONICAL_VERSIONS[kind] == digest
