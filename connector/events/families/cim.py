"""Splunk search rows under the names of the Common Information Model, in ECS; notables, findings and risk events.

``_raw`` that can be read has spoken before; these rows are what tstats, data models and correlation searches give.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.events.family import Family
from connector.events.fields import Rules, copy, rule
from connector.events.paths import put, said
from connector.events.times import iso
from connector.types import Document, Json

Node = dict[str, Any]


class _Model(NamedTuple):
    dataset: str
    category: str
    type: str
    tags: frozenset[str]
    names: tuple[frozenset[str], ...]
    rules: Rules


def _models() -> tuple[dict[str, _Model], Rules]:
    source = tomllib.loads(Path(__file__).with_name("data").joinpath("cim.toml").read_text(encoding="utf-8"))
    common = tuple(rule(*field) for field in source["common"]["fields"])
    models = {}
    for name, row in source["models"].items():
        rules = (*(rule(*field) for field in row["fields"]), *common)
        names = tuple(frozenset(together.split()) for together in row["names"])
        models[name] = _Model(row["dataset"], row["category"], row["type"], frozenset(row["tags"]), names, rules)
    return models, tuple(field for model in models.values() for field in model.rules)


_MODELS, _ALL_RULES = _models()
_NOTABLE: Final = "splunk.notable"
_RISK: Final = "splunk.risk"
_SPLUNK: Final = ("_time", "tag", "eventtype", "sourcetype", "_raw", "index", "_indextime", "tag::eventtype")
_NOTABLE_MARKS: Final = ("security_domain", "orig_sid", "rule_title", "orig_rule_id", "finding_id", "notable_type")
_RULE_NAMES: Final = ("rule_name", "search_name", "rule_title", "orig_search_name")
_OUTCOMES: Final = {"success": "success", "failure": "failure", "blocked": "failure"}
_TECHNIQUES: Final = ("annotations.mitre_attack", "annotations.mitre_attack.mitre_technique_id", "mitre_technique_id")


def read(record: Document) -> Node | None:
    """A row of a search, a notable, a finding or a risk event; None for anything else."""
    prefix = next((folder for name in record if (folder := name.partition(".")[0]) in _MODELS and "." in name), None)
    if prefix is None and not any(name in record for name in _SPLUNK) and "search_name" not in record:
        return None
    if prefix is not None:
        record = {name.removeprefix(f"{prefix}."): value for name, value in record.items()}
    row = {name: _value(value) for name, value in record.items()}
    if any(name in row for name in _RULE_NAMES) and any(name in row for name in _NOTABLE_MARKS):
        return _finding(row, _NOTABLE)
    if "risk_object" in row and "risk_score" in row:
        return _finding(row, _RISK)
    name = prefix or _by_tags(row) or _by_names(row)
    if name is None:
        return None
    model = _MODELS[name]
    document = _document(row, model.dataset, model.rules)
    document["event"] |= {"category": [model.category], "type": [model.type]}
    return document


def _value(value: Json) -> Json:
    """A field with one value as that; ``unknown`` is what the model writes for nothing."""
    if type(value) is list:
        said_ = [item for item in value[:64] if said(item) and item != "unknown"]
        return said_[0] if len(said_) == 1 else said_ or None
    return None if value == "unknown" else value


def _by_tags(row: Document) -> str | None:
    tags = row.get("tag") or row.get("tag::eventtype")
    if type(tags) is str:
        tags = tags.replace(",", " ").split()
    if type(tags) is not list:
        return None
    have = {tag for tag in tags if type(tag) is str}
    fitting = [(len(model.tags), name) for name, model in _MODELS.items() if model.tags <= have]
    return max(fitting)[1] if fitting else None


def _by_names(row: Document) -> str | None:
    return next((name for name, model in _MODELS.items() for names in model.names if names <= row.keys()), None)


def _document(row: Document, dataset: str, rules: Rules) -> Node:
    document: Node = {"event": {"kind": "event", "module": "splunk", "dataset": dataset}}
    copy(document, row, rules)
    action = row.get("action")
    put(document, "event.outcome", _OUTCOMES.get(action) if type(action) is str else None)
    put(document, "@timestamp", iso(row.get("_time")))
    put(document, "host.name", row.get("host"))
    return document


def _finding(row: Document, dataset: str) -> Node:
    """What a correlation search found: its name, and all that the row says of the event. Techniques are for people only."""
    document = _document(row, dataset, _ALL_RULES)
    document["event"] |= {"kind": "alert"}
    name = next((row[name] for name in _RULE_NAMES if type(row.get(name)) is str and row[name]), None)
    if name is not None:
        rule_ = document.setdefault("rule", {})
        rule_["name"] = name
    techniques = next((row[name] for name in _TECHNIQUES if said(row.get(name)) or type(row.get(name)) is list), None)
    put(document, "threat.technique.id", techniques)
    for key in ("rule_title", "risk_object_type", "risk_message", "security_domain", "severity", "urgency", "event_id"):
        put(document, f"splunk.{key}", row.get(key))
    return document


FAMILY: Final = Family(
    "cim", datasets=frozenset({_NOTABLE, _RISK, *(model.dataset for model in _MODELS.values())}), read=read
)
