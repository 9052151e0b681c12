"""A finished training told to MLflow: parameters, data digest, every evaluation, and the bundle's card and manifest.

Nothing leaves the machine unless the store's URI says so, and nothing is told unless ``--track`` asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connector.models import manifest as manifests
from connector.models.integrity import MANIFEST

EXPERIMENT, STORE = "triaged", "mlflow.db"


def beside(output: Path) -> str:
    """The store that a run is told to where none is named: one SQLite file beside the bundles."""
    return f"sqlite:///{(output / STORE).resolve()}"


def record(uri: str, bundle: Path) -> str:
    """Tells the MLflow store at ``uri`` of a bundle's training, from its own manifest. Returns the run's id."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
    from mlflow import MlflowClient  # noqa: PLC0415  (slow, and wanted by few runs)
    from mlflow.entities import RunStatus  # noqa: PLC0415

    made = manifests.read(bundle)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    place = (bundle.parent.parent / "mlflow").resolve().as_uri() if uri.startswith("sqlite:") else None
    experiment = client.create_experiment(EXPERIMENT, place) if found is None else found.experiment_id
    run = client.create_run(experiment, run_name=made.ref).info.run_id
    training = made.metrics["training"]
    facts = {"dataset": made.dataset.digest, "attack": made.attack_version, "labels": len(made.labels)}
    for name, value in {**facts, **training["recipe"]}.items():
        client.log_param(run, name, value)
    for phase, entries in training.items():
        for entry in entries if isinstance(entries, list) else ():
            for name, number in numbers(entry):
                client.log_metric(run, f"{phase}/{name}", number, step=int(entry["step"]))
    for split in ("dev", "calibration"):
        for name, number in numbers(made.metrics[split]):
            client.log_metric(run, f"{split}/{name}", number)
    for name in (MANIFEST, "README.md"):
        client.log_artifact(run, str(bundle / name))
    client.set_terminated(run, RunStatus.to_string(RunStatus.FINISHED))
    return str(run)


def numbers(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of nested metrics with their paths, in the characters that MLflow allows."""
    for name, value in tree.items():
        path = "".join(sign if sign.isalnum() or sign in "_-. /" else "_" for sign in f"{above}{name}")
        if isinstance(value, Mapping):
            yield from numbers(value, f"{path}/")
        elif isinstance(value, (int, float)):
            yield path, float(value)
