"""STIX 2 bundles, an ATT&CK release among them, as samples.

What trains: a relationship (``uses``, ``indicates``, …) to an ATT&CK technique whose description tells how, and an
indicator of a technique whose pattern gives a process' command line. Revoked and deprecated objects are passed over; a
technique's id is read in the catalogue's version when a dataset is built. Source: OASIS STIX 2.1; MITRE's USAGE.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.errors import ConfigError
from connector.events.prose import sentence_event
from connector.learn.corpora import wrap
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.texts import plain
from connector.learn.intel.findings import Finding, Upstream

MOST_BYTES: Final = 512 << 20
MOST_TEXT: Final = 4_000
PER_TECHNIQUE: Final = 10
"""Procedure sentences of one technique: a few techniques have hundreds, and events are what the model is for."""

ATTACK: Final = "mitre-attack"
_LINE = re.compile(r"process:command_line\s{0,9}=\s{0,9}'((?:[^'\\]|\\.){1,8000})'")
_ESCAPED = re.compile(r"\\(.)")

Stix = Mapping[str, Any]


def objects(path: Path) -> list[Stix]:
    """The objects of a bundle. Raises ``ConfigError`` where the file is none."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is longer than {MOST_BYTES} bytes")
        found = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{path} is no STIX bundle: {error}") from error
    listed = found.get("objects") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ConfigError(f"{path} is no STIX bundle: it has no list of objects")
    return [item for item in listed if isinstance(item, dict)]


def findings(items: Sequence[Stix], upstream: Upstream) -> Iterator[Finding]:
    """The findings of a bundle's objects, in their order."""
    live = {
        _text(item.get("id")): item for item in items if not item.get("revoked") and not item.get("x_mitre_deprecated")
    }
    techniques = {ref: technique for ref, item in live.items() if (technique := technique_of(item))}
    shown: dict[str, list[str]] = {}
    taken: dict[str, int] = {}
    for item in live.values():
        technique = techniques.get(_text(item.get("target_ref"))) if item.get("type") == "relationship" else None
        if technique is None:
            continue
        origin = _text(item.get("source_ref"))
        shown.setdefault(origin, []).append(technique)
        told = plain(_text(item.get("description")))
        if told and taken.setdefault(technique, 0) < PER_TECHNIQUE:
            taken[technique] += 1
            sample = Sample(
                data=sentence_event(told),
                group=origin,
                record=_text(item.get("id")),
                basis="procedure",
                techniques=(technique,),
            )
            yield upstream.finding(sample, _text(item.get("id")), _text(item.get("modified")))
    yield from _indicators(live.values(), shown, upstream)


def technique_of(item: Stix) -> str | None:
    """The id of an attack-pattern in ATT&CK, or None."""
    references = item.get("external_references") if item.get("type") == "attack-pattern" else None
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict) and reference.get("source_name") == ATTACK:
            return _text(reference.get("external_id")) or None
    return None


def _indicators(items: Iterable[Stix], shown: Mapping[str, Sequence[str]], upstream: Upstream) -> Iterator[Finding]:
    """The command lines in the patterns of indicators that indicate a technique, each as a process start."""
    for item in items:
        identity = _text(item.get("id"))
        if item.get("type") != "indicator" or identity not in shown or item.get("pattern_type", "stix") != "stix":
            continue
        for number, line in enumerate(_LINE.findall(_text(item.get("pattern")))):
            sample = Sample(
                data=wrap.process(_ESCAPED.sub(r"\1", line), wrap.seeded(upstream.kind, identity, str(number))),
                group=identity,
                record=str(number),
                basis="rule-pattern",
                techniques=tuple(sorted(set(shown[identity]))),
                malicious=True,
            )
            yield upstream.finding(sample, identity, _text(item.get("modified")))


def _text(value: object) -> str:
    return value[:MOST_TEXT] if isinstance(value, str) else ""
