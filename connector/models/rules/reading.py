"""Rule files to compiled rules. What takes no part is told with its reason: no rule is passed over in silence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import yaml
from sigma.collection import SigmaCollection
from sigma.conditions import ConditionOR
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaRule

from connector.attack import migrate
from connector.models.rules.conditions import Condition, both, compiled, fields, fixed
from connector.models.rules.nouns import LeftOut, Match
from connector.models.rules.sources import Source, facts
from connector.models.rules.windows import WindowsLog, windows_logs

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What pySigma raises besides its own errors on a document that is YAML and no rule."""

_RETIRED: Final = frozenset({"deprecated", "unsupported"})
_TECHNIQUE: Final = re.compile(r"t[0-9]{4}(?:\.[0-9]{3})?", re.IGNORECASE | re.ASCII)


class Gate(NamedTuple):
    """The events that a rule speaks of.

    Of a Windows log: the ``channels`` and event ``codes``, case-folded; None where the rule leaves them open. Else ``source``.
    """

    channels: frozenset[str] | None = None
    codes: frozenset[str] | None = None
    source: Source | None = None


class Variant(NamedTuple):
    """A rule as it reads one log."""

    gate: Gate
    condition: Condition


class Rule(NamedTuple):
    """A compiled rule. ``logsource`` is in words, ``path`` where it stands."""

    match: Match
    path: str
    logsource: str
    variants: tuple[Variant, ...]


class LeaveOutError(ValueError):
    """Why a rule takes no part, as its owner meant it: it is retired, or of a kind that matches no single event."""


class Part(NamedTuple):
    """What one file gave."""

    rules: tuple[Rule, ...]
    left_out: tuple[LeftOut, ...]


def read(files: Iterable[tuple[str, bytes]]) -> Part:
    """The rules of (path, content) files, in order, and what was left out."""
    return joined(read_file(path, content) for path, content in files)


def read_file(path: str, content: bytes, before: Sequence[Rule] = ()) -> Part:
    """The rules of one file. Of ``before``, the file's rules as they last were, those stay that an error broke.

    A rule that its owner took out of service, or out of the file, goes. Where an error hides which rule is meant, all
    stay that the file does not speak of.
    """
    documents, reason = _documents(content)
    if reason:
        return Part(tuple(before), (LeftOut(path, reason),))
    rules: list[Rule] = []
    left_out: list[LeftOut] = []
    retired: set[str] = set()
    broken: set[str | None] = set()
    for document in documents:
        ident = str(document.id) if isinstance(document.id, UUID) else None
        try:
            rules.append(_compiled(path, document))
        except LeaveOutError as error:
            left_out.append(LeftOut(path, _line(error)))
            retired.add(ident or path)
        except (SigmaError, *_MALFORMED) as error:
            left_out.append(LeftOut(path, _line(error)))
            broken.add(ident)
    spoken_of = {rule.match.id for rule in rules} | retired
    kept = [old for old in before if old.match.id not in spoken_of and not broken.isdisjoint((old.match.id, None))]
    return Part((*rules, *kept), tuple(left_out))


def joined(parts: Iterable[Part]) -> Part:
    """The rules of several files. Of two with one id the first takes part."""
    rules: dict[str, Rule] = {}
    left_out: list[LeftOut] = []
    for part in parts:
        left_out += part.left_out
        for rule in part.rules:
            if rules.setdefault(rule.match.id, rule) is not rule:
                left_out.append(LeftOut(rule.path, f"has the id of {rules[rule.match.id].path}"))
    return Part(tuple(rules.values()), tuple(left_out))


def _documents(content: bytes) -> tuple[Sequence[Any], str]:
    """The rules, correlations and filters of a file, or why there are none."""
    try:
        whole = [document for document in yaml.load_all(content, _LOADER) if document is not None]
        found = SigmaCollection.from_dicts(whole, collect_errors=True, resolve_references=False, collect_filters=True)
    except yaml.YAMLError as error:
        return (), f"no YAML: {_line(error)}"
    except (SigmaError, *_MALFORMED) as error:
        return (), f"no Sigma rule: {_line(error)}"
    return [*found.rules, *found.filters], ""


def _compiled(path: str, document: Any) -> Rule:
    if isinstance(document, SigmaCorrelationRule):
        raise LeaveOutError("a correlation rule: it counts events, and a match is of one event")
    if not isinstance(document, SigmaRule):
        raise LeaveOutError("a filter: put its conditions into the rule")
    if document.errors:
        raise document.errors[0]
    if document.status is not None and document.status.name.lower() in _RETIRED:
        raise LeaveOutError(f"its status is {document.status.name.lower()}")
    variants = tuple(_variants(document))
    if not variants:
        raise ValueError(f"log source {_logsource(document)} is not known")
    return Rule(_match(path, document), path, _logsource(document), variants)


def _variants(rule: SigmaRule) -> Iterator[Variant]:
    source, condition = rule.logsource, _condition(rule)
    if source.product == "windows":
        for log in windows_logs(source.category, source.service):
            names = {field: log.names(field) for field in fields(condition)}
            if all(names.values()):
                yield _windows(log, condition, names)
    else:
        for row in facts().sources.get((source.category, source.product, source.service), ()):
            yield Variant(_gate(row), compiled(condition, row.names))


def _windows(log: WindowsLog, condition: Any, names: Mapping[str, Sequence[str]]) -> Variant:
    gate = Gate(_both(log.channels, fixed(condition, "Channel")), _both(log.codes, fixed(condition, "EventID")))
    own = compiled(condition, names.__getitem__)
    return Variant(gate, own if log.more is None else both(log.more, own))


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return one if other is None else other if one is None else one & other


def _gate(source: Source) -> Gate:
    if source.when.keys() <= {"Channel", "EventID"}:
        return Gate(source.when["Channel"], source.when.get("EventID"))
    return Gate(source=source)


def _condition(rule: SigmaRule) -> Any:
    """The parsed condition; several are alternatives."""
    parsed = [condition.parsed for condition in rule.detection.parsed_condition]
    return parsed[0] if len(parsed) == 1 else ConditionOR(parsed)


def _match(path: str, rule: SigmaRule) -> Match:
    named = {tag.name for tag in rule.tags if tag.namespace == "attack" and _TECHNIQUE.fullmatch(tag.name)}
    return Match(
        id=str(rule.id or path),
        title=rule.title or path,
        level=rule.level.name.lower() if rule.level is not None else "informational",
        techniques=tuple(sorted({one for name in named for one in migrate(name).ids})),
        author=rule.author or "",
    )


def _logsource(rule: SigmaRule) -> str:
    source = rule.logsource
    return "/".join(part for part in (source.product, source.category, source.service) if part)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
