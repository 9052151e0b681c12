"""What a verdict document adds to an event in Splunk; the document is described in docs/verdict.md of the project."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

TABLE = Path(__file__).resolve().parent.parent / "lookups" / "triaged_attack.csv"
FIELDS = (
    "attack_technique",
    "attack_technique_name",
    "attack_tactic",
    "triage_confidence",
    "triage_verdict",
    "triage_explanation",
    "triage_model",
    "triage_error",
)

Added = Mapping[str, Sequence[str]]
"""Values by field; a field that is not there has none."""


class Attack:
    """Names and tactics of techniques, from the table that comes with the app; it is read when it is first needed."""

    def __init__(self) -> None:
        self._rows: Optional[dict[str, list[str]]] = None

    def named(self, technique: str) -> list[str]:
        """Its name, then its tactics; only its id as the name where it is unknown."""
        if self._rows is None:
            lines = TABLE.read_text(encoding="utf-8").splitlines()[1:]
            self._rows = {row[0]: [row[1], *row[2].split("|")] for row in csv.reader(lines)}
        return self._rows.get(technique, [technique])


def added_by(
    document: Mapping[str, Any], attack: Attack, threshold: Optional[float] = None, top: Optional[int] = None
) -> Added:
    """The fields that a verdict document adds to its event."""
    triaged = document.get("triaged") or {}
    model = triaged.get("model") or {}
    found = {"triage_model": [f"{model['name']} {model['version']}"] if model.get("name") else []}
    if triaged.get("error"):
        return {**found, "triage_error": [str(triaged["error"].get("reason") or "no reason given")]}
    ids = techniques(document, threshold, top)
    names = [attack.named(id_) for id_ in ids]
    confidence = triaged.get("confidence")
    return {
        **found,
        "attack_technique": ids,
        "attack_technique_name": [name[0] for name in names],
        "attack_tactic": list(dict.fromkeys(tactic for name in names for tactic in name[1:])),
        "triage_confidence": [] if confidence is None else [str(round(confidence, 4))],
        "triage_verdict": [str(triaged.get("verdict") or "")],
        "triage_explanation": [str(line) for line in triaged.get("explanation") or ()],
    }


def techniques(document: Mapping[str, Any], threshold: Optional[float] = None, top: Optional[int] = None) -> list[str]:
    """Technique ids, each before its sub-techniques, the most probable first.

    Without ``threshold`` those that the verdict itself names; with it, of the five most probable those at or above it.
    ``top`` counts techniques, not their sub-techniques.
    """
    named = (document.get("threat") or {}).get("technique") or {}
    if threshold is None and not named:
        return []
    scored = (document.get("triaged") or {}).get("techniques") or []
    if threshold is None:
        below = (named.get("subtechnique") or {}).get("id") or []
        rank = {score["id"]: place for place, score in enumerate(scored)}
        parents = sorted(named.get("id") or [], key=lambda id_: rank.get(id_, len(rank)))
        families = [[id_, *(sub for sub in below if sub.startswith(id_ + "."))] for id_ in parents]
    else:
        families = [
            [part["id"] for part in (score, score.get("subtechnique")) if part and _reaches(part, threshold)]
            for score in scored
        ]
    return [id_ for family in [f for f in families if f][:top] for id_ in family]


def _reaches(score: Mapping[str, Any], threshold: float) -> bool:
    probability = score.get("probability")
    return probability is not None and probability >= threshold
