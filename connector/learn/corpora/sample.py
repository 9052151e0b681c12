"""What a recipe yields: one raw event (or one sentence) with its label and where that label comes from."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from connector.types import Document

Basis: TypeAlias = Literal[
    "executed-test",
    "file-name",
    "rule-test",
    "negative-test",
    "process-tree",
    "rule-match",
    "recurring",
    "outside-tree",
    "generated-routine",
    "generated-administration",
    "ordinary-log",
    "manual-page",
    "admin-script",
    "rule-pattern",
    "rule-filter",
    "report-sentence",
    "procedure",
    "analyst",
]
"""How a label was found; metrics are reported per basis, since a label by file is weaker than one by process tree."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One raw event before normalisation.

    ``techniques`` are the source's own ids, of whatever ATT&CK version; ``malicious`` is None where the source does
    not say; ``group`` (file, recording, rule, page, report) never crosses a split; ``record`` names the place inside it.
    """

    data: Document | str
    group: str
    record: str
    basis: Basis
    techniques: tuple[str, ...] = ()
    malicious: bool | None = None
    author: str = ""
