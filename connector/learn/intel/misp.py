"""MISP exports as samples: what is tagged with a technique of the galaxy ``mitre-attack-pattern``.

An attribute (of an event or of an object in it) that carries the tag gives a row: a command line as a process start,
text and comments as sentences. An event that carries exactly one technique gives its title as a sentence.
Source: MISP core format (https://www.misp-standard.org/rfc/misp-standard-core.html).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.errors import ConfigError
from connector.events.prose import sentence_event, sentences
from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.intel.findings import Finding, Upstream

MOST_BYTES: Final = 256 << 20
MOST_TEXT: Final = 8_000
COMMANDS: Final = frozenset({"command-line", "command", "commandline", "parent-command-line"})
"""Relations of an object's attribute whose value is a command line."""

PROSE: Final = frozenset({"text", "comment"})
_TAG = re.compile(
    r'misp-galaxy:mitre-(?:attack-pattern|enterprise-attack-attack-pattern)="[^"]{0,200}?(T\d{4}(?:\.\d{3})?)"'
)

Json = Mapping[str, Any]


def events(path: Path) -> Iterator[Json]:
    """The events of an export: one, a list, or the answer of a search. Raises ``ConfigError`` where the file is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is longer than {MOST_BYTES} bytes")
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no MISP export: {error}") from error
    if isinstance(found, dict):
        found = found.get("response", [found])
    wrapped = [item["Event"] for item in _objects(found) if isinstance(item.get("Event"), dict)]
    if not wrapped:
        raise ConfigError(f"{path} is no MISP export: it holds no Event")
    return iter(wrapped)


def findings(event: Json, upstream: Upstream) -> Iterator[Finding]:
    """The findings of one event."""
    identity = _text(event.get("uuid"))
    changed = _time(event.get("timestamp"))
    techniques = _techniques(event)
    title = _text(event.get("info"))
    if len(techniques) == 1 and title:
        yield upstream.finding(_sentence(title, identity, "info", techniques), identity, changed)
    listed = [*_objects(event.get("Attribute"))]
    for item in _objects(event.get("Object")):
        listed += _objects(item.get("Attribute"))
    for attribute in listed:
        if not attribute.get("deleted") and (shown := _techniques(attribute)):
            for sample in _samples(attribute, identity, shown):
                yield upstream.finding(
                    sample, _text(attribute.get("uuid")), _time(attribute.get("timestamp")) or changed
                )


def _samples(attribute: Json, group: str, techniques: tuple[str, ...]) -> Iterator[Sample]:
    identity, value = _text(attribute.get("uuid")), _text(attribute.get("value"))
    if _text(attribute.get("object_relation")).lower() in COMMANDS and value:
        yield Sample(
            data=wrap.process(value, wrap.seeded("misp", identity)),
            group=group,
            record=identity,
            basis="rule-pattern",
            techniques=techniques,
            malicious=True,
        )
    elif _text(attribute.get("type")) in PROSE:
        for number, sentence in enumerate(sentences(value)):
            yield _sentence(sentence, group, f"{identity}:{number}", techniques)
    for number, sentence in enumerate(sentences(_text(attribute.get("comment")))):
        yield _sentence(sentence, group, f"{identity}:comment:{number}", techniques)


def _sentence(sentence: str, group: str, record: str, techniques: tuple[str, ...]) -> Sample:
    return Sample(
        data=sentence_event(sentence), group=group, record=record, basis="report-sentence", techniques=techniques
    )


def _techniques(item: Json) -> tuple[str, ...]:
    """The techniques that tags name, in plain tags and in galaxies alike."""
    tags = [_text(tag.get("name")) for tag in _objects(item.get("Tag"))]
    for galaxy in _objects(item.get("Galaxy")):
        tags += [_text(cluster.get("tag_name")) for cluster in _objects(galaxy.get("GalaxyCluster"))]
    return tuple(sorted({found[1] for tag in tags if (found := _TAG.match(tag))}))


def _objects(value: object) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value[:MOST_TEXT] if isinstance(value, str) else ""


def _time(value: object) -> str:
    """MISP's seconds since the epoch as ISO 8601; empty where they are none."""
    digits = f"{value}" if isinstance(value, str | int) else ""
    return datetime.fromtimestamp(int(digits), UTC).isoformat() if digits.isdecimal() and len(digits) < 12 else ""
