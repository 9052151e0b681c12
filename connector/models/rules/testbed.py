"""Lays a rules member out for the contract suite of members, and for tests of bundles."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from connector.models.rules.packs import packed
from connector.models.rules.weights import FILE, Count, Prior, Weights
from connector.ports import MemberSpec

PACK = "rules.json"
LABELS = ("T1033", "T1059", "T1059.001")

_WHOAMI = """
title: Who Am I
id: 8c2e1d6c-0000-4000-8000-000000000001
author: The Triaged authors
level: low
tags: [attack.t1033]
logsource: {category: process_creation, product: windows}
detection: {selection: {CommandLine|contains: whoami}, condition: selection}
"""
_POWERSHELL = """
title: Encoded PowerShell
id: 8c2e1d6c-0000-4000-8000-000000000002
author: The Triaged authors
level: high
tags: [attack.t1059.001]
logsource: {category: process_creation, product: windows}
detection: {selection: {CommandLine|contains|windash: " -enc"}, condition: selection}
"""


def lay_rules_member(directory: Path) -> None:
    """Writes a pack of two rules and what was learnt of one of them."""
    directory.mkdir(parents=True, exist_ok=True)
    rules = [("whoami.yml", _WHOAMI.encode()), ("powershell.yml", _POWERSHELL.encode())]
    (directory / PACK).write_bytes(packed(rules, "Apache-2.0", ["The Triaged authors"]))
    weights = Weights(
        malicious={"8c2e1d6c-0000-4000-8000-000000000001": Count(right=1.0, seen=7.0)},
        malicious_prior={"low": Prior(a=1.0, b=3.0), "high": Prior(a=3.0, b=1.0)},
        technique_prior={"low": Prior(a=9.0, b=1.0)},
        silent=Count(right=0.0, seen=8.0),
    )
    (directory / FILE).write_bytes(msgspec.json.encode(weights))


def rules_spec(name: str = "rules", **options: Any) -> MemberSpec:
    """How a manifest lists that member."""
    given = {"packs": [PACK], "weights": FILE, **options}
    return MemberSpec(name=name, kind="rules", directory=name, labels=LABELS, options=given)


class RulesTestbed:
    """Lays the member out."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_rules_member(self.directory())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return rules_spec()

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "rules"
