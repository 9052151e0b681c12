"""Windows log sources, as pySigma's pipelines for Sysmon, for Windows' logs and for its audit log map them.

A pipeline is asked once a log source, with a rule of one field that says nothing, and once a field: what it adds to that
rule and makes of the field holds for all rules. To run a pipeline on every rule would give the same and take minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

from sigma.exceptions import SigmaTransformationError
from sigma.pipelines.sysmon.sysmon import sysmon_pipeline
from sigma.pipelines.windows.windows import windows_audit_pipeline, windows_logsource_pipeline
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaRule

from connector.models.rules.conditions import Condition, compiled, fields, fixed
from connector.models.rules.sources import facts

_ASKED: Final = "asked"
_LOG: Final = frozenset({"Channel", "EventID"})


class WindowsLog:
    """One log that a log source may mean: its ``channels`` and event ``codes`` (case-folded, None for any).

    ``more`` is what a record of the log must show besides, as 4657's kind of change; None where that is nothing.
    """

    def __init__(self, pipeline: str, category: str | None, service: str | None) -> None:
        self._key = (pipeline, category, service)
        added = _applied(*self._key, _ASKED)
        named = facts().channels.get(service or "")
        self.channels = frozenset(name.casefold() for name in named) if named else fixed(added, "Channel")
        self.codes = fixed(added, "EventID")
        self.more: Condition | None = None
        if fields(added) - _LOG - {_ASKED}:
            self.more = compiled(added, lambda field: ("EventID" if field == _ASKED else field,))

    def names(self, field: str) -> Sequence[str]:
        """The names of a rule's field in this log; none where the log cannot say it."""
        return _names(*self._key, field)


@cache
def windows_logs(category: str | None, service: str | None) -> tuple[WindowsLog, ...]:
    """The logs of a Windows log source. None where it is not known; any log where it names neither category nor service."""
    return tuple(_found(category, service))


def _found(category: str | None, service: str | None) -> Iterator[WindowsLog]:
    log = WindowsLog("logs", category, service)
    if log.channels or not (category or service):
        yield log
    audit = WindowsLog("audit", category, service)
    if category and not service and audit.codes and (audit.channels, audit.codes) != (log.channels, log.codes):
        yield audit


@cache
def _pipeline(name: str) -> ProcessingPipeline:
    first = sysmon_pipeline() if name == "logs" else windows_audit_pipeline()
    return first + windows_logsource_pipeline()


@cache
def _names(pipeline: str, category: str | None, service: str | None, field: str) -> tuple[str, ...]:
    added = fields(_applied(pipeline, category, service, _ASKED))
    try:
        asked = fields(_applied(pipeline, category, service, field))
    except SigmaTransformationError:
        return ()
    return tuple(sorted(asked - added)) or (field,)


def _applied(pipeline: str, category: str | None, service: str | None, field: str) -> Any:
    """The condition that a pipeline makes of a rule that says only that a field is there."""
    logsource = {"product": "windows", "category": category, "service": service}
    rule = SigmaRule.from_dict(
        {
            "title": "asked",
            "logsource": {key: value for key, value in logsource.items() if value},
            "detection": {"selection": {field: "*"}, "condition": "selection"},
        }
    )
    _pipeline(pipeline).apply(rule)
    return rule.detection.parsed_condition[0].parsed
