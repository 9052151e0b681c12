"""Sigma: events generated from the rules' own patterns, on top of ordinary events of the same kind.

What a rule's filters name is harmless to its author: the pattern with a filter's values is a benign event next to the
attack. The rules are under the Detection Rule License 1.1: their authors are named in the model card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from connector.learn.corpora import otrf, panther, wrap
from connector.learn.corpora.pattern_events import Bases, event, holds
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.sigma_pattern import fill, fill_filtered
from connector.learn.corpora.source import Corpora

NAME = "sigma"
COPIES = 2
_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)")
_LEVELS = frozenset({"medium", "high", "critical"})


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Generated events of each rule whose pattern can be filled: of its selections, and of its selections and a filter."""
    bases = Bases(otrf.ordinary(corpora), panther.ordinary(corpora))
    for path, content in corpora.files(NAME, ".yml"):
        rule = yaml.load(content, Loader=yaml.CSafeLoader) if path.startswith("rules") else None
        if isinstance(rule, dict) and isinstance(rule.get("detection"), dict):
            yield from _patterns(path, rule, bases)
            yield from _filters(path, rule, bases)


def _patterns(path: str, rule: Mapping[str, Any], bases: Bases) -> Iterator[Sample]:
    techniques = tuple(
        sorted({found.upper() for tag in rule.get("tags") or () for found in _TECHNIQUE.findall(str(tag))})
    )
    for copy in range(COPIES if techniques else 0):
        draw = wrap.seeded(NAME, path, str(copy))
        values = fill(rule["detection"], draw)
        data = None if values is None else event(rule.get("logsource") or {}, values, bases, draw)
        if data is not None:
            yield Sample(
                data=data,
                group=path,
                record=str(copy),
                basis="rule-pattern",
                techniques=techniques,
                malicious=True if rule.get("level") in _LEVELS else None,
                author=str(rule.get("author") or ""),
            )


def _filters(path: str, rule: Mapping[str, Any], bases: Bases) -> Iterator[Sample]:
    """One event a filter. It counts only where the event shows what the filter asks for: else it would be the attack's."""
    names = [name for name in rule["detection"] if name.startswith("filter")]
    for name in names if "not" in str(rule["detection"].get("condition")).split() else ():
        draw = wrap.seeded(NAME, path, name)
        found = fill_filtered(rule["detection"], name, draw)
        if found is None:
            continue
        values, wanted = found
        data = event(rule.get("logsource") or {}, values, bases, draw)
        if data is not None and holds(data, wanted):
            yield Sample(
                data=data,
                group=path,
                record=name,
                basis="rule-filter",
                malicious=False,
                author=str(rule.get("author") or ""),
            )
