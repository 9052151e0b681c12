"""Puts ``triaged-enrich`` into the way of events: at the end of a dataset's own pipeline, or as an index's final one.

Elastic's integrations call ``<type>-<dataset>@custom`` last, where it exists; that is the place meant for additions. An
index or data stream without such a hook takes it as ``index.final_pipeline``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from connector.errors import ConfigError
from connector.siem.elastic.installer import Reply, Server, require
from connector.types import Json

ENRICH: Final = "triaged-enrich"
_STEP: Final = {"pipeline": {"name": ENRICH, "tag": "triaged-enrich", "ignore_failure": True}}
_FINAL: Final = "index.final_pipeline"


class Place(NamedTuple):
    """Where the pipeline stands: ``dataset`` names a ``@custom`` pipeline, ``index`` an index with a final pipeline."""

    kind: str
    name: str


def attach_dataset(server: Server, dataset: str) -> bool:
    """Adds the pipeline to ``<dataset>@custom`` (``logs-system.security``), behind what stands there; whether it was new."""
    name = f"{dataset}@custom"
    path = f"/_ingest/pipeline/{name}"
    standing = _pipelines(server.request("GET", path), path).get(name, {})
    steps = standing.get("processors", [])
    if any(_is_ours(step) for step in steps):
        return False
    body = {"description": f"Additions to {dataset}", **standing, "processors": [*steps, _STEP]}
    require(server.request("PUT", path, body), f"attaching to {name}")
    return True


def attach_index(server: Server, index: str) -> bool:
    """Makes the pipeline an index's final one; whether it was new. Raises ``ConfigError`` where another one is."""
    finals = _finals(server, index)
    if not finals:
        raise ConfigError(f"no index is named {index}")
    others = {final for final in finals.values() if final is not None and final not in {"_none", ENRICH}}
    if others:
        raise ConfigError(f"{index} has the final pipeline {min(others)}: call {ENRICH} at its end instead")
    if set(finals.values()) == {ENRICH}:
        return False
    require(server.request("PUT", f"/{index}/_settings", {_FINAL: ENRICH}), f"attaching to {index}")
    return True


def attached(server: Server) -> Iterator[Place]:
    """Every place where the pipeline stands."""
    path = "/_ingest/pipeline/*@custom"
    for name, body in sorted(_pipelines(server.request("GET", path), path).items()):
        if any(_is_ours(step) for step in body.get("processors", ())):
            yield Place("dataset", name.removesuffix("@custom"))
    for index, final in sorted(_finals(server, "_all").items()):
        if final == ENRICH:
            yield Place("index", index)


def detach(server: Server, place: Place) -> None:
    """Takes the pipeline out of a place. A ``@custom`` pipeline that held nothing else is removed."""
    if place.kind == "index":
        require(server.request("PUT", f"/{place.name}/_settings", {_FINAL: None}), f"detaching from {place.name}")
        return
    name = f"{place.name}@custom"
    path = f"/_ingest/pipeline/{name}"
    body = _pipelines(server.request("GET", path), path)[name]
    steps = [step for step in body["processors"] if not _is_ours(step)]
    reply = server.request("PUT", path, {**body, "processors": steps}) if steps else server.request("DELETE", path)
    require(reply, f"detaching from {name}")


def _is_ours(step: Json) -> bool:
    return (
        isinstance(step, Mapping)
        and isinstance(step.get("pipeline"), Mapping)
        and step["pipeline"].get("name") == ENRICH
    )


def _pipelines(reply: Reply, path: str) -> Mapping[str, Json]:
    if reply.status == 404:
        return {}
    require(reply, f"reading {path}")
    found: Mapping[str, Json] = reply.body
    return found


def _finals(server: Server, index: str) -> dict[str, str | None]:
    """The final pipeline of each index that a name stands for."""
    reply = server.request("GET", f"/{index}/_settings?flat_settings=true&expand_wildcards=open,hidden")
    if reply.status == 404:
        return {}
    require(reply, f"reading the settings of {index}")
    return {name: row.get("settings", {}).get(_FINAL) for name, row in reply.body.items()}
