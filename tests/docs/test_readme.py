"""The README's example is what the code makes of it, and its commands exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from connector import events
from connector.attack import catalogue
from connector.policy import document
from connector.policy.entity import entity_of
from connector.types import ModelRef, PolicyRef, RawEvent, SourceRef, TechniqueScore, Verdict

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    raw, verdict = re.findall(r"^```json\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return json.loads(raw), json.loads(verdict)


def made_of(raw: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """The document that the raw event gets, with the scores, model, policy and mark that the README shows."""
    mark = shown["triaged"]
    source = SourceRef(**mark["source"])
    event = events.normalise(RawEvent(deployment=source.siem, native_id=source.id, ref=source, data=raw))
    threat = shown["threat"]["technique"]
    verdict = Verdict(
        record_id=event.id,
        event_id=event.id,
        revision=mark["revision"],
        verdict=mark["verdict"],
        confidence=mark["confidence"],
        techniques=tuple(
            TechniqueScore(
                id=t["id"],
                probability=t["probability"],
                subtechnique=TechniqueScore(**t["subtechnique"]) if t["subtechnique"] else None,
            )
            for t in mark["techniques"]
        ),
        passed=(*threat["id"], *threat["subtechnique"]["id"]),
        members=mark["members"],
        model=ModelRef(**mark["model"]),
        fingerprint=event.fingerprint,
        source=source,
        origin=mark["origin"],
        timestamp=event.ecs["@timestamp"],
        kind=event.kind,
        entity=entity_of(event.ecs),
        explanation=tuple(mark["explanation"]),
        policy=PolicyRef(**mark["policy"]),
    )
    return document(verdict)


def test_the_example_verdict_is_what_the_example_event_gets() -> None:
    raw, shown = examples()
    assert made_of(raw, shown) == shown


def test_the_example_names_live_techniques() -> None:
    _, shown = examples()
    assert shown["triaged"]["model"]["attack_version"] == catalogue().version


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets
