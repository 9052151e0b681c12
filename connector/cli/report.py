"""``triaged classify --text``: report text in, techniques a sentence and a document out."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.attack import catalogue, migrate
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.events import normalise
from connector.events.prose import plain, sentence_event, sentences
from connector.learn.scrub import scrub
from connector.models import Bundle
from connector.types import Document, Event, Prediction, RawEvent, SourceRef

BATCH: Final = 200
MOST_BYTES: Final = 16 << 20
CANDIDATES: Final = 3
"""Techniques that are shown of a sentence whether or not they pass their threshold."""

_NAMED = re.compile(r"(?<![A-Za-z0-9])T1\d{3}(?:\.\d{3})?(?![0-9])")
_PAGE = re.compile(r"\s{0,99}<(?:!doctype|html|\?xml|head|body)\b", re.IGNORECASE)


def text_of(path: Path) -> tuple[str, str]:
    """A report's name and its text, HTML read as its reader would; ``-`` is standard input. Raises ``ConfigError``."""
    try:
        content = sys.stdin.buffer.read(MOST_BYTES + 1) if str(path) == "-" else _content(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path} is longer than {MOST_BYTES} bytes: that is no report")
    if b"\x00" in content[:4096] or content.startswith(b"%PDF"):
        raise ConfigError(f"{path} is no text: give it as plain text, Markdown or HTML")
    text = content.decode("utf-8-sig", "replace")
    return str(path), plain(text)[0] if _PAGE.match(text) else text


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def tagged(name: str, text: str, bundle: Bundle) -> Iterator[dict[str, Any]]:
    """One row a sentence, then one for the document: its techniques with the sentences that show them."""
    places: dict[str, list[int]] = {}
    best: dict[str, float] = {}
    count = 0
    stream = sentences(text)
    while chunk := tuple(islice(stream, BATCH)):
        predictions = bundle.text_alone([_event(name, sentence) for sentence in chunk])
        for sentence, prediction in zip(chunk, predictions, strict=True):
            count += 1
            row = _row(name, count, sentence, prediction)
            for technique in row["techniques"]:
                places.setdefault(technique["id"], []).append(count)
                best[technique["id"]] = max(best.get(technique["id"], 0.0), technique["probability"])
            for technique in row["named"]:
                if count not in places.setdefault(technique["id"], []):
                    places[technique["id"]].append(count)
            yield row
    order = sorted(places, key=lambda known: (-len(places[known]), -best.get(known, 0.0), known))
    yield {
        "document": name,
        "sentences": count,
        "techniques": [
            {**_named(known), "probability": best.get(known), "sentences": places[known]} for known in order
        ],
    }


def _event(name: str, sentence: str) -> Event:
    """The sentence in the form of training rows, ATT&CK ids scrubbed there as here."""
    data: Document = scrub(sentence_event(sentence))
    ref = SourceRef(siem="report", index=name, id=sentence)
    return normalise(RawEvent(deployment="report", native_id=sentence, ref=ref, data=data))


def _row(name: str, number: int, sentence: str, prediction: Prediction) -> dict[str, Any]:
    scores = {score.id: score.probability for score in prediction.techniques}
    scores |= {s.subtechnique.id: s.subtechnique.probability for s in prediction.techniques if s.subtechnique}
    shown = [{**_named(s.id), "probability": s.probability} for s in prediction.techniques[:CANDIDATES]]
    said = sorted({known for found in _NAMED.findall(sentence) for known in migrate(found).ids})
    return {
        "document": name,
        "sentence": number,
        "text": sentence,
        "techniques": [
            {**_named(known), "probability": scores[known]} for known in prediction.passed if known in scores
        ],
        "candidates": shown,
        "named": [_named(known) for known in said],
    }


def _named(technique: str) -> dict[str, str]:
    return {"id": technique, "name": catalogue().techniques[technique].name}


def print_jsonl(rows: Iterable[dict[str, Any]]) -> None:
    """One JSON document a line."""
    for row in rows:
        sys.stdout.buffer.write(msgspec.json.encode(row) + b"\n")
    sys.stdout.flush()


def print_table(rows: Iterable[dict[str, Any]]) -> None:
    """A line a sentence; of the document, a line a technique."""
    shown: list[Sequence[object]] = []
    for row in rows:
        if "sentence" in row:
            shown.append((row["document"], row["sentence"], _listed(row["techniques"] or row["named"]), row["text"]))
        else:
            for found in row["techniques"]:
                text = f"{found['name']}, in sentences {', '.join(map(str, found['sentences']))}"
                shown.append((row["document"], "all", _listed([found]), text))
    show(("document", "sentence", "technique", "text"), shown)


def _listed(techniques: Iterable[dict[str, Any]]) -> str:
    return ", ".join(f"{t['id']} {t['probability']:.2f}" if t.get("probability") else t["id"] for t in techniques)
