"""An event as rules read it: its unmasked source fields by name, and what kind of log it is of.

Windows events have the names of their event data (``Image``, ``TargetObject``), as Sigma's Windows rules do; fields that a
door moved into ECS are read back from there. All other events have dotted ECS names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.events.canonical import text_of
from connector.events.families import KINDS
from connector.types import Document, Event, Json

MAX_VALUE: Final = 65_536
"""Characters of one value that rules see. Windows' longest command line has 32,767."""

MAX_VALUES: Final = 1024
"""Values of one event that rules see."""

SEPARATOR: Final = "\0"

_DEEPEST: Final = 12
_ARGUMENTS: Final = 16
_RECORD: Final = re.compile(r"type=([A-Z][A-Z0-9_]{1,30}) ")
_CHANNELS: Final = {
    "sysmon": "Microsoft-Windows-Sysmon/Operational",
    "security": "Security",
    "system": "System",
    "application": "Application",
}
"""The log of a kind, for doors that leave its name out."""

Values = dict[str, tuple[str, ...]]


class View:
    """One event's values by field name, as they are and case-folded.

    ``channel`` and ``code`` (both case-folded) tell a Windows event's log; ``channel`` is None for any other event.
    """

    __slots__ = ("_folded", "channel", "code", "values")

    def __init__(self, values: Values, channel: str | None, code: str) -> None:
        self.values = values
        self.channel = channel
        self.code = code
        self._folded: Values = {}

    def get(self, name: str) -> tuple[str, ...]:
        """The values of a field as the event has them; none where it is absent."""
        return self.values.get(name, ())

    def folded(self, name: str) -> tuple[str, ...]:
        """The same without regard to case."""
        found = self._folded.get(name)
        if found is None:
            found = self._folded[name] = tuple(value.casefold() for value in self.values.get(name, ()))
        return found

    def text(self) -> str:
        """All values, case-folded, one after the other."""
        return SEPARATOR.join(value for values in self.values.values() for value in values).casefold()


def view_of(event: Event) -> View:
    """The view of an event. Long values are cut and values beyond :data:`MAX_VALUES` left out."""
    winlog = event.ecs.get("winlog")
    if type(winlog) is dict and (code := _code(event.ecs, winlog)):
        return _windows(event, winlog, code)
    values: Values = {}
    for name, value in _leaves("", event.ecs, _DEEPEST):
        values[name] = (*values[name], value) if name in values else (value,)
        if len(values) >= MAX_VALUES:
            break
    for place, argument in enumerate(values.get("process.args", ())[:_ARGUMENTS]):
        values[f"process.args.{place}"] = (argument,)
    if any(name.startswith("auditd.") for name in values):
        values["auditd.record"] = _record_types(values)
    return View(values, None, "")


def _record_types(values: Values) -> tuple[str, ...]:
    """The types of the audit records that an event was put together from: as its text says, else by what it holds."""
    told = [type_ for text in values.get("event.original", ()) for type_ in _RECORD.findall(text)]
    if not told:
        told = list(values.get("auditd.message_type", ()))
        told += ["EXECVE"] if "process.args" in values else []
        told += ["PATH"] if "file.path" in values else []
    return tuple(dict.fromkeys(told[:_ARGUMENTS]))


def _code(ecs: Document, winlog: Mapping[str, Any]) -> str:
    event = ecs.get("event")
    return text_of((event.get("code") if type(event) is dict else None) or winlog.get("event_id"))


def _windows(event: Event, winlog: Mapping[str, Any], code: str) -> View:
    channel = winlog.get("channel") or _CHANNELS.get(event.kind.partition("-")[0], "")
    values: Values = {}
    for part in (winlog.get("event_data"), winlog.get("user_data")):
        if type(part) is dict:
            _take(values, part)
    for name, value in (
        ("EventID", code),
        ("Channel", channel),
        ("Provider_Name", winlog.get("provider_name")),
        ("Computer", winlog.get("computer_name")),
    ):
        if value and name not in values:
            _put(values, name, value)
    _read_back(values, event)
    _name_params(values)
    return View(values, channel.casefold() if type(channel) is str else "", code)


def _take(values: Values, data: Mapping[str, Json]) -> None:
    for name, value in data.items():
        if len(values) >= MAX_VALUES:
            return
        if name not in values:
            _put(values, name, value)


def _put(values: Values, name: str, value: Json) -> None:
    if type(value) is str:
        values[name] = (value if len(value) <= MAX_VALUE else value[:MAX_VALUE],)
    elif found := tuple(text for _, text in _leaves("", value, _DEEPEST)):
        values[name] = found[:MAX_VALUES]


def _leaves(path: str, value: Json, depth: int) -> Iterator[tuple[str, str]]:
    """The scalars below a value with their dotted paths; an element of a list has the path of its list."""
    if type(value) is dict:
        if depth:
            for key, inner in value.items():
                # Elastic writes some lists as objects by number
                below = path if key.isdigit() else f"{path}.{key}" if path else key
                yield from _leaves(below, inner, depth - 1)
    elif type(value) is list:
        if depth:
            for item in value:
                yield from _leaves(path, item, depth - 1)
    elif type(value) is str:
        yield path, value[:MAX_VALUE]
    elif value is not None:
        yield path, repr(value) if type(value) is float else text_of(value)


def _read_back(values: Values, event: Event) -> None:
    """Event data that a door moved into ECS, as Elastic's integrations do with what they map."""
    meta = KINDS.get(event.kind)
    for name, folders, leaf, _ in meta.rules if meta else ():
        if name in values:
            continue
        node: Json = event.ecs
        for key in (*folders, leaf):
            node = node.get(key) if type(node) is dict else None
        if type(node) is dict:
            node = _account(node) if "name" in node else _hashes(node)
        if node is not None:
            _put(values, name, node)


def _account(node: Mapping[str, Json]) -> Json:
    return f"{node['domain']}\\{node['name']}" if node.get("domain") else node["name"]


def _hashes(node: Mapping[str, Json]) -> str | None:
    """``SHA256=…,IMPHASH=…``, as Sysmon writes it."""
    return ",".join(f"{name.upper()}={digest}" for name, digest in node.items() if type(digest) is str) or None


def _name_params(values: Values) -> None:
    """The texts without a name of a classic event, together, as Sigma's rules read them."""
    params = [name for name in values if name.startswith("param") and name[5:].isdigit()]
    if params and "Data" not in values:
        values["Data"] = tuple(value for name in params for value in values[name])
