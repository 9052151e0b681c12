"""The README's example, made anew: ``python -m tests.docs.readme`` writes it after a change of the canonical form."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from connector import events, identity
from connector.policy import document
from connector.policy.entity import entity_of
from connector.types import ModelRef, PolicyRef, RawEvent, SourceRef, TechniqueScore, Verdict

README = Path(__file__).parents[2] / "README.md"
KEY = b"an example"
WIDTH = 110
_BLOCK = re.compile(r"(?<=^```json\n).*?(?=^```$)", re.DOTALL | re.MULTILINE)


def examples() -> tuple[dict[str, Any], dict[str, Any]]:
    """The raw event and the verdict that the README shows."""
    raw, verdict = _BLOCK.findall(README.read_text(encoding="utf-8"))
    return json.loads(raw), json.loads(verdict)


def made_of(raw: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any]:
    """The document that the raw event gets, with the scores, model and policy that the README shows."""
    mark, threat = shown["triaged"], shown["threat"]["technique"]
    source = SourceRef(**mark["source"])
    event = events.normalise(RawEvent(deployment=source.siem, native_id=source.id, ref=source, data=raw))
    verdict = Verdict(
        record_id=event.id,
        event_id=event.id,
        revision=mark["revision"],
        verdict=mark["verdict"],
        confidence=mark["confidence"],
        techniques=tuple(_score(technique) for technique in mark["techniques"]),
        passed=(*threat["id"], *threat["subtechnique"]["id"]),
        members=mark["members"],
        model=ModelRef(**mark["model"]),
        fingerprint=event.fingerprint,
        source=source,
        origin=identity.origin_mark(KEY, event.id),
        timestamp=event.ecs["@timestamp"],
        kind=event.kind,
        entity=entity_of(event.ecs),
        explanation=tuple(mark["explanation"]),
        policy=PolicyRef(**mark["policy"]),
    )
    return document(verdict)


def _score(shown: dict[str, Any]) -> TechniqueScore:
    sub = shown["subtechnique"]
    return TechniqueScore(
        id=shown["id"], probability=shown["probability"], subtechnique=TechniqueScore(**sub) if sub else None
    )


def dumped(value: Any, indent: int = 0) -> str:
    """JSON with short objects and lists on one line."""
    one = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict | list) or (len(one) + indent < WIDTH and (indent or not value)):
        return one
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(key)}: {dumped(item, indent + 2)}" for key, item in value.items()]
        return "{\n" + ",\n".join(parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + dumped(item, indent + 2) for item in value) + "\n" + " " * indent + "]"


def main() -> None:
    """Writes both blocks."""
    raw, shown = examples()
    blocks = iter((dumped(raw), dumped(made_of(raw, shown))))
    text = _BLOCK.sub(lambda _: next(blocks) + "\n", README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
