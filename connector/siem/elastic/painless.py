"""The fingerprint at ingest: the readable Painless of ``elastic_ingest/painless`` and the canonical table as its ``params``.

The script is the second implementation of ``connector/events/CANONICAL.md``. It holds no field, no kind and no account:
all of them come from :func:`connector.events.canonical.tables`, so that the two can only differ where they read by code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from connector.events import CANONICAL_VERSIONS
from connector.events.canonical import tables
from connector.events.families import FAMILIES
from connector.events.masks import ACCOUNTS, LOCAL_ENDS, SERVICE_STARTS
from connector.events.normalise import ECS_ALONE
from connector.resources import shipped

FINGERPRINT: Final = ("values", "text", "masks", "fingerprint")
"""The files of the script that computes the fingerprint, in order."""

LOOKUP_TABLE: Final = (*FINGERPRINT[:-1], "stamp", FINGERPRINT[-1], "lookup_table")
"""The fingerprint and the look-up in one script: OpenSearch copies the whole document before each script."""

LOOKUP_ENTRY: Final = ("stamp", "lookup_entry")

MAX_SOURCE_BYTES: Final = 65_535
"""What a server takes of one script unless ``script.max_size_in_bytes`` says otherwise."""

WORK: Final = 262_144
"""UTF-16 units of one event that are read at ingest at most: an event with more is left to the daemon."""

NOT_AT_INGEST: Final = frozenset({"elastic-alert"})
"""Kinds whose canonical form ``normalise`` does not take from the document as it stands; tests hold the list."""

STRANGE: Final = frozenset(
    {
        *("_raw", "_source", "result", "sourcetype", "body"),
        *("Event", "EventID", "EventCode", "log_name"),
        *(key for family in FAMILIES for key in family.keys),
    }
)
"""Root keys of documents that ``normalise`` unwraps or reads by another layout, though they may look like ECS."""

_VERBS: Final = {
    "keep": 0,
    "same": 0,
    "fold": 1,
    "map": 2,
    "text": 3,
    "user": 4,
    "address": 5,
    "domain": 6,
    "stack": 7,
    "named": 8,
}
_DATA: Final = "winlog.event_data."


def source(files: Iterable[str], folder: Path | None = None) -> str:
    """The files of a script as one, without comment lines and blank ones: a server measures what it is sent."""
    folder = folder or shipped("elastic_ingest") / "painless"
    lines = (line for name in files for line in (folder / f"{name}.painless").read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line.strip() and not line.lstrip().startswith("//"))


def fingerprint_params(*, enabled: bool = True) -> dict[str, Any]:
    """The canonical table as the script reads it. ``enabled`` false is the kill switch: no event is touched.

    Fields, masks and the objects in which fields stand are told by number: a list is read faster than a map, and this is
    read for every event.
    """
    table = tables()
    objects: dict[tuple[str, ...], int] = {}
    fields, masks = list(table["fields"]), list(table["masks"])
    return {
        "enabled": enabled,
        "work": WORK,
        "selectors": {name: [_path(path, objects) for path in paths] for name, paths in table["selectors"].items()},
        "channels": {key: log for log, row in table["logs"].items() for key in row["channels"]},
        "providers": {key: log for log, row in table["logs"].items() for key in row["providers"]},
        "datasets": table["datasets"],
        "kinds": {
            name: [CANONICAL_VERSIONS[name], [fields.index(field) for field in row["fields"]]]
            for name, row in table["kinds"].items()
        },
        "masks": [_mask(table["masks"][name]) for name in masks],
        "fields": [_field(name, table["fields"][name], masks, objects) for name in fields],
        "objects": [list(keys) for keys in objects],
        "words": {"users": dict(ACCOUNTS), "services": list(SERVICE_STARTS), "private": list(LOCAL_ENDS)},
        "roots": dict.fromkeys(sorted(ECS_ALONE), True) | dict.fromkeys(sorted(STRANGE), False),
        "untold": dict.fromkeys(sorted(NOT_AT_INGEST), True),
    }


def _mask(row: Mapping[str, Any]) -> list[Any]:
    """The verb, the cut, and the map where there is one."""
    mask = [_VERBS[row["verb"]], row["cut"]]
    return [*mask, row["map"]] if "map" in row else mask


def _field(name: str, row: Mapping[str, Any], masks: list[str], objects: dict[tuple[str, ...], int]) -> list[Any]:
    """The name as the form has it, the mask's number, the paths, and those of what it is compared with."""
    field = [f"{len(name)}:{name}", masks.index(row["mask"]), [_path(path, objects) for path in row["paths"]]]
    return [*field, [_path(path, objects) for path in row["other"]]] if "other" in row else field


def _path(path: str, objects: dict[tuple[str, ...], int]) -> list[Any]:
    """The number of the object, the key in it, and the marks between which a part stands."""
    where, _, marks = path.partition("|")
    start, _, stop = marks.partition("|")
    keys = [*_DATA[:-1].split("."), where.removeprefix(_DATA)] if where.startswith(_DATA) else where.split(".")
    number = objects.setdefault(tuple(keys[:-1]), len(objects))
    return [number, keys[-1], *([start, stop] if stop else [start] if marks else [])]
