"""What Triaged installs in Elasticsearch and OpenSearch: the files of ``elastic_ingest``, made whole for one server.

The files hold what a person should read and change; scripts and the canonical table are put in where a string says
``@name``, so that nothing is written twice. The order is the order of installation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from connector.resources import shipped
from connector.siem.elastic import painless
from connector.siem.elastic.records import FAMILIES
from connector.types import Json

Flavour = Literal["elasticsearch", "opensearch"]
LookupMode = Literal["table", "enrich"]

VERSION: Final = 3
"""Raised with every change of an asset's meaning; a server keeps it beside each."""

LOOKUP_INDEX: Final = "triaged-lookup"
LOOKUP_PIPELINE: Final = "triaged-lookup"
ENRICH_POLICY: Final = "triaged-lookup"
LIFECYCLE_POLICY: Final = "triaged-verdicts"

_PLACES: Final = {
    "component template": "/_component_template/",
    "index template": "/_index_template/",
    "enrich policy": "/_enrich/policy/",
    "pipeline": "/_ingest/pipeline/",
}
_LIFECYCLES: Final = {"elasticsearch": ("ilm", "/_ilm/policy/"), "opensearch": ("ism", "/_plugins/_ism/policies/")}
_MAPPINGS: Final = (
    *("triaged-verdict-mappings", "triaged-record-mappings"),
    *("triaged-lookup-mappings", "triaged-stamp-mappings"),
)
_SOURCES: Final = {
    "@fingerprint": painless.FINGERPRINT,
    "@lookup_table": painless.LOOKUP_TABLE,
    "@lookup_entry": painless.LOOKUP_ENTRY,
}


class Asset(NamedTuple):
    """One thing to install: its kind, its name, where the server keeps it, and what it is.

    ``optional``: the server may be without this feature. ``fixed``: it cannot be replaced, only made. ``published``: the
    daemon replaces it as well, so what stands there is left if it is of this version. ``managed``: its indices name the
    lifecycle policy, which a server without that feature would refuse.
    """

    kind: str
    name: str
    path: str
    body: Mapping[str, Json]
    optional: bool = False
    fixed: bool = False
    published: bool = False
    managed: bool = False

    def unmanaged(self) -> Asset:
        """The same index template for a server that has no lifecycle policies."""
        settings = self.body["template"]["settings"]
        index = {key: value for key, value in settings["index"].items() if key != "lifecycle"}
        template = {**self.body["template"], "settings": {**settings, "index": index}}
        return self._replace(body={**self.body, "template": template}, managed=False)


def assets(flavour: Flavour, lookup: LookupMode, *, prefix: str = "triaged", enabled: bool = True) -> tuple[Asset, ...]:
    """Everything that is installed, in order. ``prefix`` begins the names of the indices that the writer writes to.

    ``enabled`` false installs pipelines that leave every event alone.
    """
    folder = shipped("elastic_ingest")
    made = [
        _lifecycle(folder, flavour, prefix),
        *(_asset(folder, "component template", name, f"component_templates/{name}") for name in _MAPPINGS),
        *(_records(folder, f"{prefix}-{family}", family, flavour) for family in FAMILIES.values()),
        _asset(folder, "index template", LOOKUP_INDEX, f"index_templates/{LOOKUP_INDEX}"),
        Asset("index", LOOKUP_INDEX, f"/{LOOKUP_INDEX}", {}, fixed=True),
    ]
    if lookup == "enrich":
        made.append(_asset(folder, "enrich policy", ENRICH_POLICY, f"enrich_policies/{ENRICH_POLICY}", fixed=True))
    made += [
        pipeline(flavour, "triaged-fingerprint", enabled=enabled),
        pipeline(flavour, LOOKUP_PIPELINE, f"triaged-lookup-{lookup}", enabled=enabled)._replace(published=True),
        pipeline(flavour, "triaged-enrich", f"triaged-enrich-{lookup}"),
    ]
    return tuple(made)


def pipeline(flavour: Flavour, name: str, file: str | None = None, *, enabled: bool = True) -> Asset:
    """An ingest pipeline with its scripts in their places."""
    folder = shipped("elastic_ingest")
    made = _asset(folder, "pipeline", name, f"pipelines/{file or name}")
    body = {**made.body, "version": VERSION, "processors": [_filled(row, enabled) for row in made.body["processors"]]}
    if flavour == "opensearch":
        del body["_meta"]  # OpenSearch knows no _meta of a pipeline and refuses it
    return made._replace(body=body)


def _asset(folder: Path, kind: str, name: str, file: str, **how: bool) -> Asset:
    body = json.loads((folder / f"{file}.json").read_text("utf-8"))
    if kind in {"component template", "index template"}:
        body["version"] = VERSION
    return Asset(kind, name, f"{_PLACES[kind]}{name}", body, **how)


def _records(folder: Path, alias: str, family: str, flavour: Flavour) -> Asset:
    """The index template of one kind of record: its months stand behind one alias.

    Elasticsearch manages an index by the policy that its template names; OpenSearch's policy names the indices itself.
    """
    text = (folder / "index_templates" / "triaged-records.json").read_text("utf-8")
    mappings = "triaged-verdict-mappings" if family == "verdicts" else "triaged-record-mappings"
    body = json.loads(text.replace("@alias", alias).replace("@mappings", mappings))
    managed = flavour == "elasticsearch" and family == "verdicts"
    if managed:
        body["template"]["settings"]["index"]["lifecycle"] = {"name": LIFECYCLE_POLICY}
    path = f"{_PLACES['index template']}{alias}"
    return Asset("index template", alias, path, body | {"version": VERSION}, managed=managed)


def _lifecycle(folder: Path, flavour: Flavour, prefix: str) -> Asset:
    """A server without the feature (it is a plug-in, or left out of a build) is installed without it."""
    short, place = _LIFECYCLES[flavour]
    text = (folder / "lifecycle" / f"{short}-triaged-verdicts.json").read_text("utf-8")
    body = json.loads(text.replace("@verdicts", f"{prefix}-verdicts"))
    return Asset("lifecycle", LIFECYCLE_POLICY, f"{place}{LIFECYCLE_POLICY}", body, optional=True)


def _filled(processor: Mapping[str, Any], enabled: bool) -> dict[str, Any]:
    script = processor.get("script")
    if script is None:
        return dict(processor)
    params = dict(script["params"])
    if params.pop("@fingerprint", False):
        params = painless.fingerprint_params() | params
    source = painless.source(_SOURCES[script["source"]])
    return {"script": {**script, "source": source, "params": params | {"enabled": enabled}}}
