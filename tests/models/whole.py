"""A bundle of every kind of member, small enough to be made in a moment, for every suite that needs several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from connector.models import Store
from connector.models.flow.testbed import flow_spec, lay_flow_member
from connector.models.meta_testbed import lay_meta_member, meta_spec
from connector.models.payload.testbed import lay_payload_member, payload_spec
from connector.models.rules.testbed import lay_rules_member, rules_spec
from connector.models.sequence.testbed import lay_sequence_member, sequence_spec
from connector.models.testbed import lay_bundle, text_spec

TRAINED = ("text", "rules", "sequence")


def whole_store(path: Path, *, version: str = "1", meta: bool = True, **parts: Any) -> Path:
    """Lays ``tiny/<version>`` out and promotes it; returns the store's folder. Without ``meta`` the votes add up by themselves."""
    folder = path / "tiny" / version
    lay_rules_member(folder / "rules")
    lay_sequence_member(folder / "sequence")
    lay_payload_member(folder / "payload")
    lay_flow_member(folder / "flow")
    specs = [rules_spec(), sequence_spec(), payload_spec(), flow_spec()]
    if meta:
        lay_meta_member(folder / "meta", TRAINED)
        columns = {spec.name: spec.labels for spec in (text_spec(), *specs)}
        specs.append(meta_spec(columns, trained=TRAINED))
    lay_bundle(path, version=version, members=specs, **parts)
    Store(path).promote(f"tiny/{version}")
    return path
