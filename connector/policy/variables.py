"""The variables of a playbook: their types, what a verdict fills them with, and how a reference is replaced.

A value takes the place of a whole JSON string, so that it stays one value whatever characters it has: nothing is ever
joined into a command, a header or a path.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from connector.errors import PermanentError
from connector.policy.cacao import Playbook, Variable
from connector.policy.cacao.metadata import moment
from connector.policy.entity import as_address
from connector.types import Action, Json

REFERENCE: Final = re.compile(r"__[a-zA-Z_][a-zA-Z0-9_-]{0,199}?__:value")
MARK: Final = "__:value"
"""How every reference ends, and so what a text without one does not have."""

LONGEST: Final = 4096
_MOST_BRACKETS: Final = 100
_INTEGER: Final = r"-?(0|[1-9][0-9]{0,18})"
_FLOAT: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})(\.[0-9]{1,300})?([eE][-+]?[0-9]{1,3})?")


def _ip(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            # a zone may hold any character, line breaks too
            return "%" not in text and ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _matches(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern)
    return lambda text: compiled.fullmatch(text) is not None


def _is_object(text: str) -> bool:
    """A JSON object, not so deep that reading or writing it could fail where it is filled in, with no reference inside."""
    if text.count("{") + text.count("[") > _MOST_BRACKETS:
        return False
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError):
        return False
    return isinstance(found, dict) and not any(MARK in held for _, held, _ in strings(found, ""))


def _is_float(text: str) -> bool:
    return _FLOAT.fullmatch(text) is not None and math.isfinite(float(text))


TYPES: Final[Mapping[str, Callable[[str], bool]]] = {
    "bool": _matches(r"true|false"),
    "dictionary": _is_object,
    "float": _is_float,
    "hexstring": _matches(r"([0-9a-fA-F]{2})*"),
    "integer": _matches(_INTEGER),
    "ipv4-addr": _ip(4),
    "ipv6-addr": _ip(6),
    "long": _matches(_INTEGER),
    "mac-addr": _matches(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"),
    "hash": _matches(r"[0-9a-fA-F]{32,128}"),
    "md5-hash": _matches(r"[0-9a-fA-F]{32}"),
    "sha256-hash": _matches(r"[0-9a-fA-F]{64}"),
    "string": str.isprintable,
    "uri": _matches(r"[a-z][a-z0-9+.-]*:[!-~]+"),
    "uuid": _matches(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}
"""variable-type-ov, each with what a value, always given as a string, must look like."""

FREE_TEXT: Final = frozenset({"dictionary", "string", "uri"})
"""Types whose values may be any words."""

AS_JSON: Final = frozenset({"bool", "dictionary", "float", "integer", "long"})
"""Types that stand as themselves, not as a string, inside a JSON body."""

SOURCES: Final[Mapping[str, Callable[[Action], str | None]]] = {
    "__action_key__": lambda action: action.key,
    "__agent_id__": lambda action: action.entity.agent_id,
    "__confidence__": lambda action: _number(action.verdict.confidence),
    "__event_id__": lambda action: action.verdict.event_id,
    "__event_index__": lambda action: action.verdict.source.index,
    "__event_siem__": lambda action: action.verdict.source.siem,
    "__event_source_id__": lambda action: action.verdict.source.id,
    "__event_time__": lambda action: action.verdict.timestamp,
    "__fingerprint__": lambda action: action.verdict.fingerprint,
    "__host__": lambda action: action.entity.host,
    "__rule__": lambda action: action.rule,
    "__source_address__": lambda action: _address(action.entity.address),
    "__techniques__": lambda action: ", ".join(sorted(action.verdict.passed)) or None,
    "__user__": lambda action: action.entity.user,
    "__verdict__": lambda action: action.verdict.verdict,
    "__verdict_id__": lambda action: action.verdict.record_id,
}
"""What an external variable of this name is filled with."""


OF_SOME: Final = frozenset(
    {"__agent_id__", "__event_time__", "__host__", "__source_address__", "__techniques__", "__user__"}
)
"""What only some verdicts have: a playbook that has no value of its own for one of these needs it."""


def fits(value: str, kind: str) -> bool:
    """Whether a value is of a CACAO variable type. One that itself reads as a reference is not: engines replace those."""
    return len(value) <= LONGEST and TYPES[kind](value) and MARK not in value


def values(playbook: Playbook, action: Action) -> Mapping[str, str]:
    """Every playbook variable's value for this action.

    Where the verdict has none, or one of another type than declared, the playbook's own value stands in: an odd value in
    an event must not keep a notification from being sent.
    Raises ``PermanentError`` where the playbook has none either, or was not valid when the action was proposed.
    """
    _check_validity(playbook, action)
    found: dict[str, str] = {}
    for name, variable in playbook.playbook_variables.items():
        given = SOURCES[name](action) if variable.external and name in SOURCES else None
        if given is not None and fits(given, variable.type):
            found[name] = given
        elif variable.value is not None:
            found[name] = variable.value
        elif given is None:
            raise PermanentError(f"playbook {action.playbook!r} needs {name}, and the verdict has no value for it")
        else:
            raise PermanentError(f"playbook {action.playbook!r}: {name} must be of type {variable.type}; it is not")
    return found


def substitute(node: Json, filled: Mapping[str, str], kinds: Mapping[str, Variable] | None = None) -> Json:
    """The same JSON with every string that is a reference replaced by its value.

    ``kinds`` given: by a value of that JSON type, as a JSON body wants it.
    """
    if isinstance(node, str):
        if not node.endswith(":value") or node[: -len(":value")] not in filled:
            return node
        name = node[: -len(":value")]
        return msgspec.json.decode(filled[name]) if kinds and kinds[name].type in AS_JSON else filled[name]
    if isinstance(node, Mapping):
        return {key: substitute(value, filled, kinds) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [substitute(value, filled, kinds) for value in node]
    return node


def json_body(command: Mapping[str, Json]) -> Json | None:
    """The decoded body of a command whose content is a JSON object or list; None for any other."""
    content = command.get("content")
    if not isinstance(content, str) or content.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return None


def strings(node: Json, place: str) -> Iterator[tuple[str, str, bool]]:
    """Every string of a JSON tree: its place, the string, and whether it is a key."""
    if isinstance(node, str):
        yield place, node, False
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield place, key, True
            yield from strings(value, f"{place}.{key}")
    elif isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from strings(value, f"{place}[{index}]")


def _check_validity(playbook: Playbook, action: Action) -> None:
    begin, end = moment(playbook.valid_from), moment(playbook.valid_until)
    if begin and action.proposed_at < begin:
        raise PermanentError(f"playbook {action.playbook!r} is not valid before {playbook.valid_from}")
    if end and action.proposed_at >= end:
        raise PermanentError(f"playbook {action.playbook!r} is not valid after {playbook.valid_until}")


def _address(text: str | None) -> str | None:
    """The address as its type writes it; None where the text is none, or one with a zone, which is any text again."""
    address = as_address(text)
    return None if address is None or "%" in str(address) else str(address)


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.6f}"
