"""The reference pages name what the code has: verdict fields, log events, metrics, disposition fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from prometheus_client.metrics import MetricWrapperBase

from connector import telemetry
from connector.policy import document
from connector.policy.document import error_document
from connector.siem.jsonl import FilesHistory
from tests.docs.examples import block
from tests.docs.test_verdict_mappings import FULL, leaves

NOW = datetime(2026, 3, 17, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs"


def first_cells(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return [
        name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`([^`]+)`", cell)
    ]


def test_every_field_of_the_verdict_is_documented() -> None:
    written = {path for path, _ in leaves(document(FULL))} - {"triaged.members.text"}
    assert set(first_cells("verdict.md")) == written | {"triaged.members.NAME"}


def test_an_error_row_has_the_fields_of_a_verdict_and_the_error() -> None:
    row = error_document(FULL.source, FULL.model, "unreadable", "file:7")
    assert set(row["triaged"]) - set(document(FULL)["triaged"]) == {"error"}
    assert set(row["triaged"]["error"]) == {"reason", "place"}
    assert row["event"]["kind"] == "pipeline_error"


def test_every_log_event_is_documented_with_its_level() -> None:
    text = (DOCS / "telemetry.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w.]+)` \| (debug|info|warning|error) \|", text, re.MULTILINE)
    assert set(rows) == {signal.value for signal in telemetry.Signal}


def test_every_metric_is_documented_with_its_labels() -> None:
    text = (DOCS / "telemetry.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(triaged_\w+)` \| (.*?) \|", text, re.MULTILINE))
    metrics = [value for value in vars(telemetry).values() if isinstance(value, MetricWrapperBase)]
    expected = {}
    for metric in metrics:
        (family,) = metric.describe()
        name = f"{family.name}_total" if family.type == "counter" else family.name
        expected[name] = ", ".join(f"`{label}`" for label in metric._labelnames)
    assert rows == expected


def test_the_example_of_a_disposition_is_read(tmp_path: Path) -> None:
    path = tmp_path / "dispositions.jsonl"
    path.write_text(block("files.md", "json"), encoding="utf-8")
    config = FilesHistory.Config.model_validate({"type": "files", "path": path})
    batch = FilesHistory("h", config, lambda: NOW).dispositions(None, 10)
    (change,) = batch.items
    assert (change.alert_id, change.disposition, batch.complete) == ("A-1042", "true_positive", True)
    fields = {
        "alert_id",
        "status",
        "changed_at",
        "event_ids",
        "disposition",
        "observed_at",
        "analyst",
        "comment",
        "tags",
        "assignees",
    }
    fields |= {"machine", "techniques"}
    assert fields == {field.name for field in msgspec.structs.fields(change)}
    assert fields <= set(first_cells("files.md"))
