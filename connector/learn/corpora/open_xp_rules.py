"""open-xp-rules: the raw events of correlation rules' own tests, technique in the rule's metainfo."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import yaml

from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora
from connector.types import Document

NAME = "open_xp_rules"


def samples(corpora: Corpora) -> Iterator[Sample]:
    """The raw events of each rule that names a technique; groups are rules."""
    techniques: dict[str, tuple[str, ...]] = {}
    tests: list[tuple[str, str, bytes]] = []
    for path, content in corpora.files(NAME, "metainfo.yaml", ".json"):
        folder, _, name = path.rpartition("/")
        if name == "metainfo.yaml":
            techniques[folder] = _techniques(content)
        elif name.startswith("raw_events") and folder.endswith("/tests"):
            tests.append((folder.removesuffix("/tests"), name, content))
    for rule, name, content in tests:
        for number, line in enumerate(content.splitlines()):
            data = _event(line)
            if data is not None and techniques.get(rule):
                yield Sample(
                    data=data,
                    group=rule,
                    record=f"{name}:{number}",
                    basis="rule-test",
                    techniques=techniques[rule],
                    malicious=True,
                )


def events(path: str, content: bytes) -> Iterator[tuple[Document | bytes, str]]:
    """Every event of one file of rule tests with its line, in the collector's envelope; a file of anything else has none."""
    folder, _, name = path.rpartition("/")
    if not (name.startswith("raw_events") and folder.endswith("/tests")):
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield line, str(number)


def _techniques(content: bytes) -> tuple[str, ...]:
    document = yaml.load(content, Loader=yaml.CSafeLoader)
    relations = (document or {}).get("ContentRelations") or {}
    attack = (relations.get("Implements") or {}).get("ATTACK") or {}
    return tuple(sorted({str(technique) for techniques in attack.values() for technique in techniques or ()}))


def _event(line: bytes) -> Document | None:
    """The host's own event inside the collector's envelope."""
    try:
        body = msgspec.json.decode(msgspec.json.decode(line)["body"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return body if isinstance(body, dict) else None
