"""Takes labels out of event text: an attack collection writes technique ids into its own paths and script names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from connector.types import Event, Json

_ID = re.compile(
    r"(?i:(?<![a-z0-9])t1\d{3}(?:[._]\d{3})?(?![0-9]))"
    r"|(?<=[a-z])T1\d{3}(?:[._]\d{3})?(?![0-9])"  # runT1059
    r"|(?i:(?<=[a-z])t1\d{3}[._]\d{3}(?![0-9]))"  # runt1059.001; a bare port1080 is no id
)
_COLLECTION = re.compile(r"(?i)atomic[-_ ]?red[-_ ]?team|redcanaryco?|atomicsfolder|invoke-atomic\w*")
_NEUTRAL = "item"
_NAME = re.compile(r"[a-z0-9_][a-z0-9_$-]*")
_LEAST = 4
_EVERYWHERE = frozenset(
    [
        "system",
        "admin",
        "administrator",
        "administrators",
        "user",
        "users",
        "guest",
        "root",
        "service",
        "localhost",
        "local",
        "network",
        "default",
        "public",
        "anonymous",
        "server",
        "client",
        "domain",
        "host",
        "test",
        "workgroup",
        "none",
        "null",
        "krbtgt",
        "localsystem",
        "localservice",
        "networkservice",
    ]
)
"""Words that name an account or a host on every site."""

_PLACES = (("host", "name"), ("user", "name"), ("user", "target", "name"))
_ACCOUNTS = ("SubjectUserName", "TargetUserName", "User", "AccountName", "Hostname")


def scrub(value: Json) -> Json:
    """The value with ATT&CK ids and the collections' own names replaced, at any depth."""
    if isinstance(value, str):
        return _COLLECTION.sub(_NEUTRAL, _ID.sub(_NEUTRAL, value))
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items()}
    if isinstance(value, list):
        return [scrub(item) for item in value]
    return value


def leaks(text: str) -> bool:
    """Whether a text still names a technique by id."""
    return _ID.search(text) is not None


def names(event: Event) -> dict[str, str]:
    """What an event calls its host, its domain and its people, lower case, and the neutral word for each."""
    found: dict[str, str] = {}
    for path in _PLACES:
        node: Json = event.ecs
        for key in path:
            node = node.get(key) if isinstance(node, dict) else None
        _note(found, node, path[0])
    winlog = event.ecs.get("winlog")
    if isinstance(winlog, dict):
        _note(found, winlog.get("computer_name"), "host")
        data = winlog.get("event_data")
        accounts = data if isinstance(data, dict) else {}
        for field in _ACCOUNTS:
            _note(found, accounts.get(field), "host" if field == "Hostname" else "user")
    return found


def _note(found: dict[str, str], value: Json, word: str) -> None:
    if not isinstance(value, str):
        return
    whole = value.rpartition("\\")[2].lower()
    name, _, domain = whole.partition(".") if word == "host" else (whole, "", "")
    for part, meaning in ((name, word), (name.removesuffix("$"), word), (domain.partition(".")[0], "domain")):
        if len(part) >= _LEAST and part not in _EVERYWHERE and _NAME.fullmatch(part) and not part.isdigit():
            found.setdefault(part, meaning)


def unnamed(text: str, known: Mapping[str, str]) -> str:
    """The text with each of the known names replaced by its neutral word."""
    if not any(name in text for name in known):
        return text
    return _NAME.sub(lambda match: known.get(match[0], match[0]), text)


def unplaced(text: str, places: Mapping[str, str]) -> str:
    """The text with each host's and domain's name replaced wherever it stands, inside other words too; longest first."""
    for name in sorted((name for name in places if name in text), key=len, reverse=True):
        text = text.replace(name, places[name])
    return text
