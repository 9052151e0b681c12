"""An event as rules read it: its unmasked source fields by name, and what kind of log it is of.

Windows events have the names of their event data (``Image``, ``TargetObject``), as Sigma's Windows rules do; fields that a
door moved into ECS are read back from there. All other events have dotted ECS names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple, TypeAlias

from connector.events.canonical import text_of
from connector.events.families import KINDS
from connector.events.fields import Rule
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

_PASSING: Final = ("Guid", "GUID", "UtcTime", "Time", "ProcessId", "ThreadId", "LogonId", "PID", "Port", "RecordNumber")
_PASSING_ECS: Final = (
    *("timestamp", "created", "ingested", ".start", ".end", ".pid", ".port", ".sequence", ".bytes", ".packets"),
    *("event.id", "event.duration", "entity_id", "session_id"),
)
"""Ends of names whose values come once: what no keyword means."""

Texts = tuple[str, ...]
Told: TypeAlias = str | Texts
"""The values of a field: one text by itself, or any number of them."""


class Asked(NamedTuple):
    """Fields to read of an event: those that stand in its data, and those that may stand elsewhere. Others it has not."""

    data: tuple[str, ...]
    elsewhere: tuple[str, ...]


class View:
    """One event's values by field name, as they are and case-folded; none where a field is absent.

    ``channel`` and ``code`` (both case-folded) tell a Windows event's log; ``channel`` is None for any other event.
    """

    __slots__ = ("_folded", "_values", "channel", "code")

    def __init__(self, channel: str | None, code: str) -> None:
        self.channel = channel
        self.code = code
        self._values: dict[str, Texts] = {}
        self._folded: dict[str, Texts] = {}

    def get(self, name: str) -> Texts:
        """The values of a field as the event has them."""
        found = self._values.get(name)
        if found is None:
            found = self._values[name] = self._find(name)
        return found

    def folded(self, name: str) -> Texts:
        """The same without regard to case."""
        found = self._folded.get(name)
        if found is None:
            found = self._folded[name] = tuple([value.casefold() for value in self.get(name)])
        return found

    def asked(self, names: Iterable[str]) -> Asked:
        """Where these fields stand."""
        return Asked((), tuple(names))

    def told(self, asked: Asked) -> list[Told]:
        """The values of these fields, in their order: what tells this event from others."""
        return [self.get(name) for name in asked.elsewhere]

    def text(self, asked: Asked) -> str:
        """The values of these fields, case-folded, one after the other."""
        parts: list[str] = []
        for told in self.told(asked):
            parts += (told,) if type(told) is str else told
        return SEPARATOR.join(parts).casefold()

    def names(self) -> Iterable[str]:
        """The names of the fields that keywords are looked for in: all but times and ids, which make every event new."""
        raise NotImplementedError

    def _find(self, name: str) -> Texts:
        raise NotImplementedError


class WindowsView(View):
    """A Windows event: nothing is read that no rule asks for."""

    __slots__ = ("_data", "_event", "_moved", "_user_data", "_winlog")

    def __init__(self, event: Event, winlog: Mapping[str, Any], code: str) -> None:
        channel = winlog.get("channel") or _CHANNELS.get(event.kind.partition("-")[0], "")
        super().__init__(channel.casefold() if type(channel) is str else "", code.casefold())
        data, user_data = winlog.get("event_data"), winlog.get("user_data")
        self._event = event
        self._moved = moved(event.kind)
        self._winlog = winlog
        self._data: Mapping[str, Json] = data if type(data) is dict else {}
        self._user_data: Mapping[str, Json] = user_data if type(user_data) is dict else {}

    def names(self) -> Iterable[str]:
        """The names of the event's data, and of the record's fields."""
        found = [name for part in (self._data, self._user_data) for name in part if not name.endswith(_PASSING)]
        return dict.fromkeys((*found[:MAX_VALUES], "Provider_Name"))

    def asked(self, names: Iterable[str]) -> Asked:
        """As of any event, less what is nowhere."""
        names, data = tuple(names), self._data
        others = [name for name in names if name not in data]
        if not self._user_data:
            others = [name for name in others if name in self._moved or name in _OF_RECORD]
        return Asked(tuple([name for name in names if name in data]), tuple(others))

    def told(self, asked: Asked) -> list[Told]:
        """As of any event; short texts, which most data are, cost one look."""
        found: list[Any] = list(map(self._data.__getitem__, asked.data))
        try:
            short = len("".join(found)) <= MAX_VALUE
        except TypeError:
            short = False
        values = found if short else list(map(self.get, asked.data))
        for name in asked.elsewhere:
            value = None if self._user_data else self._elsewhere(name)
            values.append(value if type(value) is str and len(value) <= MAX_VALUE else self.get(name))
        return values

    def _find(self, name: str) -> Texts:
        value = self._data.get(name)
        if value is None:
            value = self._user_data.get(name)
        if value is None:
            value = self._elsewhere(name)
        if type(value) is str:
            return (value if len(value) <= MAX_VALUE else value[:MAX_VALUE],)
        return () if value is None else tuple(text for _, text in islice(_leaves("", value, _DEEPEST), MAX_VALUES))

    def _elsewhere(self, name: str) -> Json:
        """What is no event data: the record's own fields, unnamed texts, and what a door moved into ECS."""
        if name == "EventID":
            return self.code
        if own := _RECORD_FIELDS.get(name):
            return self._winlog.get(own) or (self.channel if name == "Channel" else None)
        if name == UNNAMED:
            return [self._data[key] for key in unnamed_of(self._data)]
        return read(self._event.ecs, self._moved.get(name, ()))


COMPUTER: Final = "Computer"
UNNAMED: Final = "Data"
"""The field of the texts that a record gives no names; Winlogbeat calls them ``param1``, ``param2``, ..."""

_RECORD_FIELDS: Final = {
    "EventID": "event_id",
    "Channel": "channel",
    "Provider_Name": "provider_name",
    COMPUTER: "computer_name",
}
_OF_RECORD: Final = frozenset({*_RECORD_FIELDS, UNNAMED})

COMPUTER_PLACES: Final = (("winlog", _RECORD_FIELDS[COMPUTER]),)

OF_LOG: Final = frozenset({"EventID", "Channel", "Provider_Name"})
"""What one log's records of one code and provider have in common."""

Places: TypeAlias = tuple[tuple[str, ...], ...]
"""Paths in an ECS document, of which the first that holds something counts."""

_NOTHING: Final[Mapping[str, Places]] = {}


def _places(rules: Iterable[Rule]) -> Mapping[str, Places]:
    """Where a kind's event data may stand in ECS, by name, as Elastic's integrations leave what they map."""
    found: dict[str, Places] = {}
    for rule in rules:
        found[rule.name] = (*found.get(rule.name, ()), (*rule.folders, rule.leaf))
    return found


_MOVED: Final = {kind: _places(meta.rules) for kind, meta in KINDS.items()}


def unnamed_of(data: Mapping[str, Json]) -> tuple[str, ...]:
    """The names that texts without one have in an event's data."""
    return tuple([name for name in data if name.startswith("param") and name[5:].isdigit()])


def moved(kind: str) -> Mapping[str, Places]:
    """Where a door may have moved a kind's event data, by name."""
    return _MOVED.get(kind, _NOTHING)


class FlatView(View):
    """Any other event, with the scalars of its ECS document under their dotted paths."""

    __slots__ = ()

    def __init__(self, event: Event) -> None:
        super().__init__(None, "")
        values = self._values
        for name, value in islice(_leaves("", event.ecs, _DEEPEST), MAX_VALUES):
            values[name] = (*values[name], value) if name in values else (value,)
        for place, argument in enumerate(values.get("process.args", ())[:_ARGUMENTS]):
            values[f"process.args.{place}"] = (argument,)
        if any(name.startswith("auditd.") for name in values):
            values["auditd.record"] = _record_types(values)

    def names(self) -> Iterable[str]:
        """The dotted paths. The record as it came is read where no message stands for it."""
        whole = "event.original" if "message" in self._values else ""
        return [name for name in self._values if name != whole and not name.endswith(_PASSING_ECS)]

    def _find(self, name: str) -> Texts:
        del name
        return ()


def view_of(event: Event) -> View:
    """The view of an event. Long values are cut and values beyond :data:`MAX_VALUES` left out."""
    winlog = event.ecs.get("winlog")
    if type(winlog) is dict and (code := _code(event.ecs, winlog)):
        return WindowsView(event, winlog, code)
    return FlatView(event)


def _code(ecs: Document, winlog: Mapping[str, Any]) -> str:
    event = ecs.get("event")
    return text_of((event.get("code") if type(event) is dict else None) or winlog.get("event_id"))


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


def read(ecs: Document, places: Places) -> Json:
    """The first value that stands in one of these places."""
    for path in places:
        node: Json = ecs
        for key in path:
            node = node.get(key) if type(node) is dict else None
        if type(node) is dict:
            node = _account(node) if "name" in node else _hashes(node)
        if node is not None:
            return node
    return None


def _account(node: Mapping[str, Json]) -> Json:
    return f"{node['domain']}\\{node['name']}" if node.get("domain") else node["name"]


def _hashes(node: Mapping[str, Json]) -> str | None:
    """``SHA256=…,IMPHASH=…``, as Sysmon writes it."""
    return ",".join(f"{name.upper()}={digest}" for name, digest in node.items() if type(digest) is str) or None


def _record_types(values: Mapping[str, Texts]) -> Texts:
    """The types of the audit records that an event was put together from: as its text says, else by what it holds."""
    told = [type_ for text in values.get("event.original", ()) for type_ in _RECORD.findall(text)]
    if not told:
        told = list(values.get("auditd.message_type", ()))
        told += ["EXECVE"] if "process.args" in values else []
        told += ["PATH"] if "file.path" in values else []
    return tuple(dict.fromkeys(told[:_ARGUMENTS]))
