"""The shipped dashboards hang together: references resolve, fields are mapped, aggregations can be made of their types.

Neither Kibana nor OpenSearch Dashboards runs here: this checks the structure alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.docs.test_verdict_mappings import mapped, mappings
from tests.siem.elastic.saved_objects import FILES, lines

PRODUCTS = tuple(FILES)
AGGREGATED = {
    "terms": {"keyword"},
    "cardinality": {"keyword"},
    "date_histogram": {"date"},
    "avg": {"float"},
    "max": {"float"},
}


def shipped(product: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in FILES[product].read_text(encoding="utf-8").splitlines()]


def aggregations(product: str) -> Iterator[dict[str, Any]]:
    for row in shipped(product):
        if row["type"] == "visualization":
            yield from json.loads(row["attributes"]["visState"])["aggs"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_what_is_shipped_is_what_the_design_says(product: str) -> None:
    """``python -m tests.siem.elastic.saved_objects`` writes both files anew."""
    assert FILES[product].read_text(encoding="utf-8") == lines(product)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_reference_leads_to_an_object_of_the_file_that_stands_before_it(product: str) -> None:
    seen: set[tuple[str, str]] = set()
    for row in shipped(product):
        for reference in row["references"]:
            assert (reference["type"], reference["id"]) in seen, reference
        key = (row["type"], row["id"])
        assert key not in seen
        seen.add(key)
    assert {kind for kind, _ in seen} == {"index-pattern", "search", "visualization", "dashboard"}


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_named_reference_is_used_and_every_used_one_is_named(product: str) -> None:
    for row in shipped(product):
        named = {reference["name"].rpartition(":")[2] for reference in row["references"]}
        if row["type"] == "dashboard":
            used = {panel["panelRefName"] for panel in json.loads(row["attributes"]["panelsJSON"])}
        elif row["type"] == "index-pattern":
            used = set()
        else:
            used = {json.loads(row["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["indexRefName"]}
        assert used == named


@pytest.mark.parametrize("product", PRODUCTS)
def test_panels_do_not_overlap_and_none_leaves_the_grid(product: str) -> None:
    (dashboard,) = [row for row in shipped(product) if row["type"] == "dashboard"]
    cells: set[tuple[int, int]] = set()
    for panel in json.loads(dashboard["attributes"]["panelsJSON"]):
        grid = panel["gridData"]
        assert 0 <= grid["x"] < grid["x"] + grid["w"] <= 48
        own = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not own & cells
        cells |= own


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_field_that_is_shown_or_queried_is_mapped(product: str) -> None:
    fields = dict(mapped(mappings()))
    for row in shipped(product):
        columns = row["attributes"].get("columns", ())
        meta = row["attributes"].get("kibanaSavedObjectMeta", {"searchSourceJSON": "{}"})
        query = json.loads(meta["searchSourceJSON"]).get("query", {}).get("query", "")
        for name in (*columns, *re.findall(r"([a-z_.]+):", query)):
            assert name in fields, (row["id"], name)


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_aggregation_fits_the_type_of_its_field(product: str) -> None:
    fields = dict(mapped(mappings()))
    seen = set()
    for aggregation in aggregations(product):
        if (name := aggregation["params"].get("field")) is not None:
            assert fields[name] in AGGREGATED[aggregation["type"]], aggregation
            seen.add(name)
    assert {"triaged.verdict", "threat.technique.id", "host.name", "triaged.model.version"} <= seen


@pytest.mark.parametrize("product", PRODUCTS)
def test_terms_are_ordered_by_an_aggregation_that_is_there(product: str) -> None:
    for row in shipped(product):
        if row["type"] == "visualization":
            made = json.loads(row["attributes"]["visState"])["aggs"]
            numbers = [aggregation["id"] for aggregation in made]
            assert len(set(numbers)) == len(numbers)
            assert all(a["params"].get("orderBy", "1") in numbers for a in made)
