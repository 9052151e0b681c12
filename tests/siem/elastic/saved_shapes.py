"""What both products' sources say of saved objects, as shapes (:mod:`tests.siem.elastic.shapes`).

Kibana checks the attributes of an object by its plug-ins' schemas (github.com/elastic/kibana: ``data_views``, ``saved_search``,
``visualizations`` and ``dashboard``, each ``server/…/schema`` or ``content_management/v1``), which refuse what they do not know.
OpenSearch Dashboards has mappings (github.com/opensearch-project/OpenSearch-Dashboards, ``server/saved_objects``).
"""

from __future__ import annotations

import re
from typing import Any

from tests.siem.elastic.shapes import NUMBER, Packed

VERSION = re.compile(r"\d+\.\d+\.\d+")
_QUERY = {"query": str, "language": {"kuery", "lucene"}}
_SOURCE = Packed({"query": _QUERY, "filter": [dict], "indexRefName?": str})
_META = {"searchSourceJSON": _SOURCE}
_TITLED = {"title": str, "description?": str, "version?": int, "kibanaSavedObjectMeta": _META}

_LABEL = {"customLabel?": str}
_FIELD = {"field": str, **_LABEL}
_TERMS = {
    **_FIELD, "orderBy": str, "order": {"asc", "desc"}, "size": int, "otherBucket?": bool, "otherBucketLabel?": str,
    "missingBucket?": bool, "missingBucketLabel?": str, "include?": str, "exclude?": str,
}  # fmt: skip
_HISTOGRAM = {
    **_FIELD, "interval": str, "min_doc_count?": int, "useNormalizedEsInterval?": bool, "drop_partials?": bool,
    "scaleMetricValues?": bool, "extended_bounds?": dict,
}  # fmt: skip


def _aggregation(kind: str, schemas: set[str], params: Any) -> Any:
    return {"id": str, "enabled": bool, "type": {kind}, "schema": schemas, "params": params}


_BUCKETS = {"segment", "group", "bucket", "split"}
_AGGREGATIONS = (
    _aggregation("count", {"metric"}, _LABEL),
    *(_aggregation(kind, {"metric"}, _FIELD) for kind in ("avg", "max", "cardinality")),
    _aggregation("terms", _BUCKETS, _TERMS),
    _aggregation("date_histogram", _BUCKETS, _HISTOGRAM),
)
_AXIS = {
    "id": str,
    "type": {"category", "value"},
    "position": {"left", "right", "top", "bottom"},
    "show": bool,
    "name?": str,
}
_SERIES = {
    "show": bool, "type": {"line", "histogram", "area"}, "mode": {"normal", "stacked"}, "valueAxis": str,
    "data": {"id": str, "label": str},
}  # fmt: skip
_SIDES = {"left", "right", "top", "bottom"}
_LEGEND = {"addTooltip?": bool, "addLegend?": bool, "legendPosition?": _SIDES}
_CHART = {"categoryAxes": [_AXIS], "valueAxes": [_AXIS], "seriesParams": [_SERIES], **_LEGEND}
_PARAMS = (
    *({"type": {kind}, **_CHART} for kind in ("histogram", "line")),
    {"type": {"table"}, "perPage?": int, "showTotal?": bool, "showPartialRows?": bool, "totalFunc?": str},
    {"type": {"pie"}, "isDonut?": bool, **_LEGEND},
    {"type": {"heatmap"}, "colorSchema?": str, "colorsNumber?": int, "invertColors?": bool, **_LEGEND},
)
_STATE = Packed(
    {"title": str, "type": {"histogram", "line", "table", "pie", "heatmap"}, "aggs": [_AGGREGATIONS], "params": _PARAMS}
)
_GRID = {"x": int, "y": int, "w": int, "h": int, "i": str}
_PANEL = {"gridData": _GRID, "panelIndex": str, "panelRefName": str, "embeddableConfig": dict, "title?": str}
_OPTIONS = Packed(
    {"useMargins?": bool, "hidePanelTitles?": bool, "syncColors?": bool, "syncCursor?": bool, "syncTooltips?": bool}
)


def attributes(product: str) -> dict[str, Any]:
    """The attributes of each type of object. A panel of Kibana's says of which type it is; OpenSearch's, its reference."""
    kibana = product == "kibana"
    panel = _PANEL | ({"type": {"visualization", "search"}} if kibana else {})
    named = {"name?": str, "allowHidden?": bool} if kibana else {}
    return {
        "index-pattern": {"title": str, "timeFieldName?": str, **named},
        "search": {**_TITLED, "columns": [str], "sort": [[str]], **({"grid?": dict, "hideChart?": bool} if kibana else {})},
        "visualization": {**_TITLED, "visState": _STATE, "uiStateJSON?": Packed({}), "savedSearchRefName?": str},
        "dashboard": {
            **_TITLED, "panelsJSON": Packed([panel]), "optionsJSON?": _OPTIONS, "timeRestore?": bool, "timeFrom?": str,
            "timeTo?": str, "refreshInterval?": {"pause": bool, "value": NUMBER},
        },
    }  # fmt: skip


def saved_object(product: str, kind: str) -> dict[str, Any]:
    """A whole object, as an export holds it."""
    migrated = (
        {"coreMigrationVersion": VERSION, "typeMigrationVersion": VERSION, "managed?": bool}
        if product == "kibana"
        else {"migrationVersion": {kind: VERSION}}
    )
    references = [{"name": str, "type": set(attributes(product)), "id": str}]
    return {"id": str, "type": {kind}, "attributes": attributes(product)[kind], "references": references, **migrated}
