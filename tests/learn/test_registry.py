"""MLflow's registry says what the model store says, however often it is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.learn.training import registry, tracking
from connector.models import Store
from connector.models.testbed import lay_bundle

pytestmark = [
    pytest.mark.full,
    pytest.mark.filterwarnings("ignore"),  # of mlflow itself
]


def test_the_aliases_follow_promotions_and_roll_backs(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    folder = tmp_path / "store"
    uri = tracking.beside(folder)
    store = Store(folder)
    for version in ("1", "2"):
        lay_bundle(folder, version=version)
    assert registry.mirror(uri, store, folder) == {}
    store.promote("tiny/1")
    assert registry.mirror(uri, store, folder) == {"champion": "tiny/1", "challenger": "tiny/2"}
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    store.promote("tiny/2")
    assert registry.mirror(uri, store, folder) == {"champion": "tiny/2"}
    store.rollback()
    assert registry.mirror(uri, store, folder) == {"champion": "tiny/1"}  # what was taken back challenges no more
    lay_bundle(folder, version="3")
    for _ in range(2):
        assert registry.mirror(uri, store, folder) == {"champion": "tiny/1", "challenger": "tiny/3"}
    assert len(client.search_model_versions("name='tiny'")) == 3
    named = client.get_model_version_by_alias("tiny", "champion")
    assert (named.tags[registry.REF], named.source) == ("tiny/1", (folder / "tiny" / "1").resolve().as_uri())
