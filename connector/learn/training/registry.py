"""``python -m connector.learn.training.registry URI STORE``: an MLflow registry that says what the model store says.

The store decides; the registry mirrors it under the aliases ``champion`` (in production) and ``challenger`` (the newest
bundle of that name that never was, and was not refused by the gate). Running it again changes nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from connector.errors import ConfigError
from connector.learn.evaluation.gate import report as gate
from connector.learn.training import tracking
from connector.models.store import Store

CHAMPION, CHALLENGER = "champion", "challenger"
REF: Final = "triaged.bundle"
"""The tag by which a registered version is found again."""


def mirror(uri: str, store: Store, folder: Path) -> dict[str, str]:
    """Sets both aliases of the production bundle's name; returns which bundle has which. Nothing in production: none."""
    champion = store.production()
    if champion is None:
        return {}
    name = store.manifest(champion).name
    wanted = {CHAMPION: champion, CHALLENGER: _challenger(store, champion)}
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow import MlflowClient  # noqa: PLC0415  (slow, and wanted by few runs)
    from mlflow.exceptions import MlflowException  # noqa: PLC0415

    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)
    versions = {version.tags.get(REF): version.version for version in client.search_model_versions(f"name='{name}'")}
    given = client.get_registered_model(name).aliases
    for alias, ref in wanted.items():
        if ref is None:
            if alias in given:
                client.delete_registered_model_alias(name, alias)
            continue
        if ref not in versions:
            source = (folder / ref).resolve().as_uri()
            versions[ref] = client.create_model_version(name, source, tags={REF: ref}).version
        client.set_registered_model_alias(name, alias, versions[ref])
    return {alias: ref for alias, ref in wanted.items() if ref is not None}


def _challenger(store: Store, champion: str) -> str | None:
    """The newest bundle of the champion's name that was never promoted and that no standing report refuses."""
    past = {ref for change in store.history() for ref in (change.bundle, change.before)}
    name = store.manifest(champion).name
    waiting = [store.manifest(ref) for ref in store.list() if ref not in past and ref.startswith(f"{name}/")]
    for manifest in sorted(waiting, key=lambda manifest: manifest.created, reverse=True):
        found = gate.standing(store, manifest.ref, champion)
        if manifest.ref != champion and (found is None or found[0].passed):
            return manifest.ref
    return None


def main(uri: str, folder: Path) -> int:
    """Mirrors and says so; 0 done, 2 something must be changed first. An empty URI is the file beside the bundles."""
    try:
        found = mirror(uri or tracking.beside(folder), Store(folder), folder)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("registry: " + (", ".join(f"{alias} {ref}" for alias, ref in found.items()) or "nothing is in production"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Path(sys.argv[2])))
