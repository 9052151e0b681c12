"""Writes ``catalogue.json`` from the STIX corpus: ``python -m connector.attack.generate mitre__cti.tar.xz``.

The input is a checkout of github.com/mitre/cti (its ``enterprise-attack`` folder is read), a tar of one, or a release as
one bundle (``enterprise-attack.json`` of github.com/mitre-attack/attack-stix-data). Objects are STIX 2 as
https://github.com/mitre/cti/blob/master/USAGE.md describes them.
"""

from __future__ import annotations

import argparse
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from connector.attack.techniques import FACTS, Facts, Tactic, Technique
from connector.errors import ConfigError

FOLDERS = frozenset({"attack-pattern", "x-mitre-tactic", "relationship"})
NOTICE = "© 2025 The MITRE Corporation. This work is reproduced and distributed with the permission of The MITRE Corporation."

Stix = Mapping[str, Any]


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m connector.attack.generate", description=__doc__)
    parser.add_argument("corpus", type=Path, help="a checkout of mitre/cti, a tar of one, or a bundle (.json)")
    parser.add_argument("--version", default="18.1", help="the ATT&CK version that the corpus holds")
    parser.add_argument("--out", type=Path, default=FACTS)
    options = parser.parse_args(arguments)
    facts = build(objects(options.corpus), options.version)
    options.out.write_bytes(msgspec.json.format(msgspec.json.encode(facts), indent=1) + b"\n")
    sys.stdout.write(f"{options.out}: {len(facts.techniques)} techniques, {len(facts.tactics)} tactics\n")
    return 0


def objects(corpus: Path) -> Iterator[Stix]:
    """Every technique, tactic and revocation of the Enterprise domain."""
    for data in _files(corpus):
        if b'"relationship"' not in data or b'"revoked-by"' in data:
            yield from (item for item in json.loads(data)["objects"] if item.get("type") in FOLDERS)


def _files(corpus: Path) -> Iterator[bytes]:
    if corpus.suffix == ".json":
        yield corpus.read_bytes()
        return
    if corpus.is_dir():
        for path in sorted(corpus.rglob("*.json")):
            if _wanted(path):
                yield path.read_bytes()
        return
    with tarfile.open(corpus) as archive:
        for member in archive:
            if member.isfile() and _wanted(Path(member.name)):
                stream = archive.extractfile(member)
                yield stream.read() if stream else b""


def _wanted(path: Path) -> bool:
    return path.parent.parent.name == "enterprise-attack" and path.parent.name in FOLDERS


def build(stix: Iterator[Stix], version: str) -> Facts:
    """The facts. Raises ``ConfigError`` where the corpus holds no techniques."""
    by_ref: dict[str, Stix] = {}
    successor: dict[str, list[str]] = {}
    for item in stix:
        if item["type"] == "relationship":
            if item["relationship_type"] == "revoked-by":
                successor.setdefault(item["source_ref"], []).append(item["target_ref"])
        else:
            by_ref[item["id"]] = item
    patterns = [item for item in by_ref.values() if item["type"] == "attack-pattern"]
    if not patterns:
        raise ConfigError(
            "the corpus holds no enterprise-attack/attack-pattern objects; is it a checkout of mitre/cti?"
        )
    tactics = sorted((_tactic(i) for i in by_ref.values() if i["type"] == "x-mitre-tactic"), key=lambda t: t.id)
    tactic_ids = {tactic.shortname: tactic.id for tactic in tactics}
    live = {ref for ref, item in by_ref.items() if not item.get("revoked") and not item.get("x_mitre_deprecated")}
    revoked = {
        _external_id(item): tuple(sorted({_external_id(by_ref[ref]) for ref in _heirs(item["id"], successor, live)}))
        for item in patterns
        if item.get("revoked")
    }
    return Facts(
        version=version,
        modified=max(item["modified"] for item in patterns),
        notice=NOTICE,
        tactics=tuple(tactics),
        techniques=tuple(
            sorted((_technique(i, tactic_ids) for i in patterns if i["id"] in live), key=lambda technique: technique.id)
        ),
        revoked=dict(sorted((old, heirs) for old, heirs in revoked.items() if heirs)),
        deprecated=tuple(
            sorted(
                _external_id(item)
                for item in patterns
                if item["id"] not in live and not revoked.get(_external_id(item))
            )
        ),
    )


def _heirs(ref: str, successor: Mapping[str, list[str]], live: set[str]) -> Iterator[str]:
    """The live ends of the chain of revocations that starts at a technique."""
    seen = {ref}
    waiting = [ref]
    while waiting:
        for heir in successor.get(waiting.pop(), ()):
            if heir in live:
                yield heir
            elif heir not in seen:
                seen.add(heir)
                waiting.append(heir)


def _external_id(item: Stix) -> str:
    return next(str(r["external_id"]) for r in item["external_references"] if r["source_name"] == "mitre-attack")


def _tactic(item: Stix) -> Tactic:
    return Tactic(id=_external_id(item), name=item["name"], shortname=item["x_mitre_shortname"])


def _technique(item: Stix, tactic_ids: Mapping[str, str]) -> Technique:
    technique_id = _external_id(item)
    phases = [p["phase_name"] for p in item["kill_chain_phases"] if p["kill_chain_name"] == "mitre-attack"]
    return Technique(
        id=technique_id,
        name=item["name"],
        tactics=tuple(sorted(tactic_ids[phase] for phase in phases)),
        parent=technique_id.partition(".")[0] if item.get("x_mitre_is_subtechnique") else None,
    )


if __name__ == "__main__":
    raise SystemExit(main())
