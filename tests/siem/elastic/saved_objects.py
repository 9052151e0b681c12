"""``python -m tests.siem.elastic.saved_objects`` writes the dashboards that are shipped: one design, two products.

Both products import the same objects; Kibana wants to know which of its versions a shape is of (the last that both share).
Visualisations are the classic ones, built from aggregations, which both still draw.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[3] / "elastic_ingest"
FILES = {
    "kibana": FOLDER / "kibana" / "triaged.ndjson",
    "opensearch_dashboards": FOLDER / "opensearch_dashboards" / "triaged.ndjson",
}
VIEW = "triaged-verdicts"
_SHAPES = {"index-pattern": "8.0.0", "search": "8.0.0", "visualization": "8.5.0", "dashboard": "8.7.0"}
_OLD_SHAPES = {"index-pattern": "7.6.0", "search": "7.9.3", "visualization": "7.10.0", "dashboard": "7.9.3"}
_INDEX = "kibanaSavedObjectMeta.searchSourceJSON.index"

Row = Mapping[str, Any]


class Panel(NamedTuple):
    """A visualisation: its type, what it aggregates, and which verdicts it counts (a query; empty: all)."""

    name: str
    title: str
    kind: str
    aggregations: Sequence[Row]
    query: str = ""
    params: Row | None = None


def _metric(kind: str = "count", field: str | None = None, number: str = "1", label: str | None = None) -> Row:
    params = ({} if field is None else {"field": field}) | ({} if label is None else {"customLabel": label})
    return {"id": number, "enabled": True, "type": kind, "schema": "metric", "params": params}


def _time(schema: str = "segment") -> Row:
    params = {"field": "@timestamp", "useNormalizedEsInterval": True, "interval": "auto", "min_doc_count": 1}
    return {"id": "2", "enabled": True, "type": "date_histogram", "schema": schema, "params": params}


def _terms(field: str, schema: str, number: str = "3", size: int = 20, by: str = "1") -> Row:
    params = {"field": field, "orderBy": by, "order": "desc", "size": size}
    return {"id": number, "enabled": True, "type": "terms", "schema": schema, "params": params}


ALARMING = "triaged.verdict: (malicious or suspicious)"

PANELS = (
    Panel(
        "over-time",
        "Verdicts over time",
        "histogram",
        (_metric(), _time(), _terms("triaged.verdict", "group", size=4)),
    ),
    Panel(
        "techniques",
        "Techniques over time",
        "heatmap",
        (_metric(), _time(), _terms("threat.technique.id", "group", size=25)),
        ALARMING,
        {"colorSchema": "Reds", "colorsNumber": 5, "addTooltip": True, "addLegend": True},
    ),
    Panel(
        "hosts",
        "Top hosts",
        "table",
        (
            _metric(label="events"),
            _metric("max", "event.risk_score", "4", "highest risk"),
            _metric("cardinality", "threat.technique.id", "5", "techniques"),
            _terms("host.name", "bucket", "2"),
        ),
        ALARMING,
        {"perPage": 10, "showTotal": False},
    ),
    Panel("tactics", "Tactics", "pie", (_metric(), _terms("threat.tactic.name", "segment", size=14)), ALARMING),
    Panel(
        "confidence",
        "Model health: confidence by model version",
        "line",
        (
            _metric("avg", "triaged.confidence", label="mean confidence"),
            _time(),
            _terms("triaged.model.version", "group"),
        ),
    ),
    Panel(
        "abstentions",
        "Model health: abstentions by model version",
        "histogram",
        (_metric(), _time(), _terms("triaged.model.version", "group")),
        "triaged.verdict: abstain",
    ),
)

COLUMNS = (
    "triaged.verdict",
    "triaged.confidence",
    "threat.technique.id",
    "host.name",
    "user.name",
    "triaged.explanation",
)
SEARCHES = {
    "alarming": ("Malicious and suspicious events", ALARMING, COLUMNS),
    "abstained": (
        "Events that the model abstained on",
        "triaged.verdict: abstain",
        ("triaged.explanation", "host.name", "user.name", "triaged.model.version", "triaged.fingerprint"),
    ),
}
WIDE = ("over-time", "techniques")


def objects(product: str) -> list[dict[str, Any]]:
    """Everything, what is referred to before what refers to it."""
    view = {"title": "triaged-verdicts-*", "name": "Triaged verdicts", "timeFieldName": "@timestamp"}
    if product != "kibana":
        del view["name"]
    made = [_object(product, "index-pattern", VIEW, view)]
    made += [_search(product, name, *told) for name, told in SEARCHES.items()]
    made += [_visualization(product, panel) for panel in PANELS]
    return [*made, _dashboard(product)]


def _object(product: str, kind: str, name: str, attributes: Row, references: Sequence[Row] = ()) -> dict[str, Any]:
    shape: dict[str, Any] = (
        {"coreMigrationVersion": "8.8.0", "typeMigrationVersion": _SHAPES[kind], "managed": False}
        if product == "kibana"
        else {"migrationVersion": {kind: _OLD_SHAPES[kind]}}
    )
    return {"id": name, "type": kind, "attributes": attributes, "references": list(references), **shape}


def _source(product: str, query: str) -> tuple[Row, Sequence[Row]]:
    """Query and data view, as an object keeps them: the view by the name of a reference."""
    asked = {"query": {"query": query, "language": "kuery"}, "filter": [], "indexRefName": _INDEX}
    return {"searchSourceJSON": json.dumps(asked)}, [{"name": _INDEX, "type": "index-pattern", "id": VIEW}]


def _search(product: str, name: str, title: str, query: str, columns: Sequence[str]) -> dict[str, Any]:
    meta, references = _source(product, query)
    attributes = {
        "title": f"Triaged: {title}",
        "description": "",
        "columns": list(columns),
        "sort": [["@timestamp", "desc"]],
        "kibanaSavedObjectMeta": meta,
    }
    return _object(product, "search", f"triaged-{name}", attributes, references)


def _visualization(product: str, panel: Panel) -> dict[str, Any]:
    meta, references = _source(product, panel.query)
    title = f"Triaged: {panel.title}"
    state = {"title": title, "type": panel.kind, "aggs": list(panel.aggregations), "params": _params(panel)}
    attributes = {
        "title": title,
        "description": "",
        "visState": json.dumps(state),
        "uiStateJSON": "{}",
        "version": 1,
        "kibanaSavedObjectMeta": meta,
    }
    return _object(product, "visualization", f"triaged-{panel.name}", attributes, references)


def _params(panel: Panel) -> Row:
    if panel.kind not in {"histogram", "line"}:
        return {"type": panel.kind, **(panel.params or {})}
    label = str(panel.aggregations[0]["params"].get("customLabel", "events"))
    series = {"show": True, "type": panel.kind, "mode": "stacked" if panel.kind == "histogram" else "normal"}
    return {
        "type": panel.kind,
        "addTooltip": True,
        "addLegend": True,
        "legendPosition": "right",
        "categoryAxes": [{"id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": True}],
        "valueAxes": [{"id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": True}],
        "seriesParams": [{**series, "data": {"id": "1", "label": label}, "valueAxis": "ValueAxis-1"}],
    }


def _dashboard(product: str) -> dict[str, Any]:
    panels, references = [], []
    x = y = 0
    shown = [(f"triaged-{panel.name}", "visualization", panel.name in WIDE) for panel in PANELS]
    for number, (name, kind, wide) in enumerate([*shown, ("triaged-alarming", "search", True)], 1):
        width = 48 if wide else 24
        if x + width > 48:
            x, y = 0, y + 15
        place = {"x": x, "y": y, "w": width, "h": 15, "i": str(number)}
        x += width
        reference = f"panel_{number}"
        panel = {"gridData": place, "panelIndex": str(number), "panelRefName": reference, "embeddableConfig": {}}
        panels.append({"type": kind, **panel} if product == "kibana" else panel)
        full = f"{number}:{reference}" if product == "kibana" else reference
        references.append({"name": full, "type": kind, "id": name})
    attributes = {
        "title": "Triaged",
        "description": "What Triaged says of the events, and how its model fares",
        "panelsJSON": json.dumps(panels),
        "optionsJSON": json.dumps({"useMargins": True, "hidePanelTitles": False}),
        "timeRestore": False,
        "version": 1,
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": json.dumps({"query": {"query": "", "language": "kuery"}, "filter": []})
        },
    }
    return _object(product, "dashboard", "triaged", attributes, references)


def lines(product: str) -> str:
    """The file of a product."""
    return "".join(json.dumps(row, sort_keys=True) + "\n" for row in objects(product))


if __name__ == "__main__":
    for name, path in FILES.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(lines(name), encoding="utf-8")
