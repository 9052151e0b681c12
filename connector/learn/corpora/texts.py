"""Sentences of reports and of ATT&CK's procedure examples: what report and mail text says of a technique.

A sentence tells of a behaviour and is no event, so it trains techniques alone: nothing is said of malice. It goes the
way of an event that is only a message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from connector.events.prose import sentence_event
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora

TRAM, PROCEDURES = "tram", "attack"
PER_TECHNIQUE = 10
"""Procedure examples of one technique: a few techniques have hundreds, and events are what the model is for."""
_SENTENCES = "data/training/tram2_data/single_label.json"
_CITATION = re.compile(r"\(Citation: [^)]*\)|\[\d+\]")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_TAG = re.compile(r"<[^>]{1,20}>")
_SPACE = re.compile(r"\s+")


def tram(corpora: Corpora) -> Iterator[Sample]:
    """TRAM's sentences of one technique; groups are reports."""
    for path, content in corpora.files(TRAM, ".json"):
        if path == _SENTENCES:
            for number, item in enumerate(msgspec.json.decode(content)):
                yield Sample(
                    data=sentence_event(plain(item["text"])),
                    group=item["doc_title"],
                    record=str(number),
                    basis="report-sentence",
                    techniques=(item["label"],),
                )


def procedures(corpora: Corpora) -> Iterator[Sample]:
    """ATT&CK's procedure examples, at most ten a technique; groups are the groups, programs and campaigns that they tell of."""
    techniques: dict[str, str] = {}
    uses: list[dict[str, Any]] = []
    for path, content in corpora.files(PROCEDURES, ".json"):
        if "/attack-pattern/" in path or "/relationship/" in path:
            for item in msgspec.json.decode(content)["objects"]:
                if item.get("revoked") or item.get("x_mitre_deprecated"):
                    continue
                if item["type"] == "attack-pattern":
                    techniques[item["id"]] = next(
                        ref["external_id"]
                        for ref in item["external_references"]
                        if ref["source_name"] == "mitre-attack"
                    )
                elif item.get("relationship_type") == "uses" and item.get("description"):
                    uses.append(item)
    taken: dict[str, int] = {}
    for item in uses:
        technique = techniques.get(item["target_ref"])
        if technique is not None and taken.setdefault(technique, 0) < PER_TECHNIQUE:
            taken[technique] += 1
            yield Sample(
                data=sentence_event(plain(item["description"])),
                group=item["source_ref"],
                record=item["id"],
                basis="procedure",
                techniques=(technique,),
            )


def plain(text: str) -> str:
    """The sentence without citations, links and markup."""
    return _SPACE.sub(" ", _TAG.sub("", _LINK.sub(r"\1", _CITATION.sub("", text)))).strip()
