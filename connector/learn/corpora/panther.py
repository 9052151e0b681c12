"""panther-analysis: the test events of detection rules for cloud and SaaS logs, technique and expected result in the rule.

What a rule must not fire on is harmless, and shows none of the rule's techniques as far as anybody said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import yaml

from connector.attack import migrate
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.source import Corpora
from connector.types import Document

NAME: Final = "panther"
_FRAMEWORK: Final = "MITRE ATT&CK"
_MOCKS: Final = frozenset({"Mocks", "p_mocks"})


def samples(corpora: Corpora) -> Iterator[Sample]:
    """The test events of each rule and policy; groups are rules. A correlation rule's tests hold no event."""
    for path, content in corpora.files(NAME, ".yml"):
        yield from _of_file(path, content)


@lru_cache(maxsize=1)
def ordinary(corpora: Corpora) -> Mapping[str, list[Document]]:
    """Harmless events by the name of their log, for recipes that put a pattern into one; empty where these are not there."""
    found: dict[str, list[Document]] = defaultdict(list)
    for sample in samples(corpora) if corpora.holds(NAME) else ():
        if sample.malicious is False and isinstance(sample.data, dict) and "p_log_type" in sample.data:
            found[str(sample.data["p_log_type"])].append(sample.data)
    return found


def events(path: str, content: bytes) -> Iterator[tuple[Document | str, str]]:
    """The test events of one rule's or policy's file, each with the rule and the test's number."""
    for sample in _of_file(path, content):
        yield sample.data, sample.record


def _of_file(path: str, content: bytes) -> Iterator[Sample]:
    rule = yaml.load(content, Loader=yaml.CSafeLoader)
    if isinstance(rule, dict) and isinstance(rule.get("Tests"), list):
        yield from _tests(rule, path)


def _tests(rule: dict[str, Any], path: str) -> Iterator[Sample]:
    types = rule.get("LogTypes") or rule.get("ResourceTypes") or []
    techniques = _techniques(rule.get("Reports"))
    for number, test in enumerate(rule["Tests"]):
        data = _event(test, types) if isinstance(test, dict) else None
        if data is not None:
            malicious = _malicious(test.get("ExpectedResult"), str(rule.get("AnalysisType")))
            yield Sample(
                data=data,
                group=path,
                record=f"{rule.get('RuleID') or rule.get('PolicyID')}:{number}",
                basis="negative-test" if malicious is False else "rule-test",
                techniques=() if malicious is False else techniques,
                malicious=malicious,
            )


def _event(test: dict[str, Any], types: list[Any]) -> Document | None:
    """The event as Panther keeps it: with the name of its log, if the rule names exactly one."""
    event = test.get("Log") or test.get("Resource")
    if not isinstance(event, dict):
        return None
    data = {str(key): _json(value) for key, value in event.items() if key not in _MOCKS}
    if len(types) == 1:
        data.setdefault("p_log_type", str(types[0]))
    return data


def _json(value: Any) -> Any:
    """The value as JSON has it: YAML reads bare times as dates, and knows keys that are no text."""
    if isinstance(value, dict):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_json(inner) for inner in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _malicious(expected: object, kind: str) -> bool | None:
    """What the test expects of the rule; a policy judges a resource, true where it is in order."""
    if not isinstance(expected, bool):
        return None
    return not expected if kind == "policy" else expected


def _techniques(reports: object) -> tuple[str, ...]:
    """The technique ids of ``TA0005:T1562``, as the catalogue's version has them."""
    ids = reports.get(_FRAMEWORK) if isinstance(reports, dict) else None
    found = (str(item).rpartition(":")[2] for item in ids or () if ":" in str(item))
    return tuple(sorted({technique for one in found for technique in migrate(one).ids}))
