"""JSON that no server here takes has the shape that its vendor documents, and no key of it can be mistyped unseen.

The name of each test says of which product it is, and that nothing of it ran there: enrich, inference, ILM, ISM and both
dashboards. What ran on a real server is told in docs/elastic-ingest.md.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.siem.elastic.saved_objects import FILES
from tests.siem.elastic.saved_shapes import saved_object
from tests.siem.elastic.shapes import ENRICH_POLICY, ILM_POLICY, ISM_POLICY, PIPELINE, Packed, misfits

FOLDER = ROOT / "elastic_ingest"
SHAPES = {
    "enrich_policies": ENRICH_POLICY,
    "lifecycle/ilm": ILM_POLICY,
    "lifecycle/ism": ISM_POLICY,
    "pipelines": PIPELINE,
}
PACKED = {("panelsJSON",), ("optionsJSON",), ("searchSourceJSON",), ("visState",), ("uiStateJSON",)}
FREE = {"_meta", "params", "embeddableConfig"}
"""Below these anybody may write what he wants; the params of visualisations are checked below their own shapes."""


def documents() -> Iterator[tuple[str, Any, Any]]:
    for beginning, shape in SHAPES.items():
        found = sorted((FOLDER / beginning).parent.glob(f"{Path(beginning).name}*"))
        files = [file for one in found for file in (sorted(one.glob("*.json")) if one.is_dir() else [one])]
        for file in files:
            yield f"{beginning.partition('/')[0]}/{file.stem}", json.loads(file.read_text("utf-8")), shape
    for product, path in FILES.items():
        for line in path.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield f"{product}/{row['id']}", row, saved_object(product, row["type"])


DOCUMENTS = list(documents())


def keys(value: Any, path: tuple[Any, ...] = (), *, free: bool = False) -> Iterator[tuple[Any, ...]]:
    """The way to every key, into lists and into texts that hold JSON."""
    if isinstance(value, str) and path[-1:] in PACKED:
        yield from keys(json.loads(value), (*path, "json"), free=free)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from keys(item, (*path, number), free=free)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if not free:
                yield (*path, key)
            yield from keys(inner, (*path, key), free=free or (key in FREE and "json" not in path))


def mistyped(value: Any, path: tuple[Any, ...]) -> Any:
    """The same with one letter more at the end of this key."""
    step, *rest = path
    if step == "json":
        return json.dumps(mistyped(json.loads(value), tuple(rest)))
    changed = copy.copy(value)
    if not rest:
        changed[f"{step}s"] = changed.pop(step)
    else:
        changed[step] = mistyped(value[step], tuple(rest))
    return changed


@pytest.mark.parametrize(("name", "document", "shape"), DOCUMENTS, ids=[name for name, *_ in DOCUMENTS])
def test_a_file_that_no_server_here_takes_is_as_its_vendor_documents_and_no_key_can_be_mistyped(
    name: str, document: Any, shape: Any
) -> None:
    assert not list(misfits(document, shape)), name
    for path in keys(document):
        assert list(misfits(mistyped(document, path), shape)), f"{name}: {path} may be anything"


def test_every_state_of_the_ism_policy_is_there_and_leads_to_one_that_is() -> None:
    (policy,) = (document["policy"] for name, document, _ in DOCUMENTS if name == "lifecycle/ism-triaged-verdicts")
    names = [state["name"] for state in policy["states"]]
    assert policy["default_state"] == names[0]
    assert [step["state_name"] for state in policy["states"] for step in state["transitions"]] == names[1:]


def test_the_enrich_policy_and_its_processor_name_each_other_and_mapped_fields() -> None:
    by_name = {name: document for name, document, _ in DOCUMENTS}
    policy = by_name["enrich_policies/triaged-lookup"]["match"]
    (processor,) = (
        row["enrich"] for row in by_name["pipelines/triaged-lookup-enrich"]["processors"] if "enrich" in row
    )
    assert processor["policy_name"] == "triaged-lookup"
    template = json.loads((FOLDER / "component_templates" / "triaged-lookup-mappings.json").read_text("utf-8"))
    mapped = template["template"]["mappings"]["properties"]
    assert {policy["match_field"], *policy["enrich_fields"]} <= mapped.keys()


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (True, int), (1, bool), ("x", {"y"}), ({"a": 1}, {"a?": str}), ({}, {"a": int}), ([1], [str]), (1, (str, [str])),
        ('{"a": 1}', Packed({"b?": int})), ({"a": 1}, {"*": str}),
    ],
)  # fmt: skip
def test_a_shape_refuses_what_does_not_fit(value: Any, shape: Any) -> None:
    assert list(misfits(value, shape))
