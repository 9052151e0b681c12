"""Events that hold a pattern's values: a wrapped command, or an ordinary event with the values in place of its own.

Whatever the pattern stands for, attack or what a rule's author knows to be harmless, its event is made the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

import msgspec

from connector.learn.corpora import cloud_events, wrap
from connector.learn.corpora.programs import BY_ORIGINAL_NAME, KNOWN
from connector.types import Document

_SYSMON = {
    "registry_set": 13,
    "registry_event": 13,
    "registry_add": 12,
    "registry_delete": 12,
    "file_event": 11,
    "file_delete": 23,
    "image_load": 7,
    "driver_load": 6,
    "network_connection": 3,
    "dns_query": 22,
    "create_remote_thread": 8,
    "process_access": 10,
    "pipe_created": 17,
    "create_stream_hash": 15,
}


_HIVES = ("\\SOFTWARE\\", "\\SYSTEM\\", "\\SAM\\", "\\SECURITY\\")


class Bases(msgspec.Struct, frozen=True):
    """Ordinary raw events that values are laid over: a host's by kind, a cloud's by the name of its log."""

    hosts: Mapping[str, list[Document]]
    clouds: Mapping[str, list[Document]]


def event(source: Mapping[str, Any], values: dict[str, str], bases: Bases, draw: Random) -> Document | None:
    """An event of the rule's log source that holds the values; None for log sources that are not generated."""
    category, product, service = source.get("category"), source.get("product"), source.get("service")
    log = cloud_events.LOG_TYPES.get((str(product), str(service)))
    if log is not None:
        return cloud_events.overlaid(log, values, bases.clouds.get(log, ()), draw)
    if category == "process_creation":
        return linux_process(values, draw) if product in {"linux", "macos"} else process(values, draw)
    if product != "windows":
        return None
    if category == "ps_script" and "ScriptBlockText" in values:
        return wrap.script_block(values["ScriptBlockText"], draw)
    if service == "system" and values.get("EventID") == "7045":
        return service_installed(values, draw)
    kind = f"sysmon-{_SYSMON[category]}" if category in _SYSMON else f"{service}-{values.get('EventID')}"
    return overlaid(kind, sysmon_values(values) if category in _SYSMON else values, bases.hosts, draw)


def holds(data: Document, wanted: Mapping[str, str]) -> bool:
    """Whether each wanted value stands in a field of the event."""
    inner = data.get("Event")
    fields = inner["EventData"] if isinstance(inner, dict) else data
    texts = [str(value).lower() for value in fields.values()]
    return all(any(value.lower() in text for text in texts) for value in wanted.values())


def process(values: dict[str, str], draw: Random) -> Document | None:
    """A Windows process start with the values, which are Sysmon's fields; None where they say too little."""
    image, line = values.get("Image", ""), values.get("CommandLine", "")
    original = values.get("OriginalFileName", "").lower()
    name = wrap.program_of(f'"{image}"') or BY_ORIGINAL_NAME.get(original) or original.removesuffix(".exe")
    if not line and "ParentImage" not in values and (not name or name in KNOWN):
        return None
    first = wrap.program_of(line)
    if not name and first in KNOWN:
        name = first
    elif not name:
        name, line = "cmd", f"/c {line}".strip()
    if name not in first:
        lead = KNOWN[name].image if name in KNOWN and draw.random() < 0.3 else f"{name}.exe"
        line = f"{lead} {line}".strip()
    data = wrap.process(line, draw)
    fields = data["Event"]["EventData"]
    full = _folder(image, name)
    for field, twin in (("Image", "NewProcessName"), ("ParentImage", "ParentProcessName")):
        wanted = (full if field == "Image" else _folder(values[field], "")) if values.get(field) else ""
        if wanted:
            fields[field if field in fields else twin] = wanted
    if values.get("ParentImage") and "ParentCommandLine" in fields:
        fields["ParentCommandLine"] = f'"{fields["ParentImage"]}"'
    for field in (
        "OriginalFileName",
        "ParentCommandLine",
        "IntegrityLevel",
        "CurrentDirectory",
        "Description",
        "Product",
        "Company",
    ):
        if field in values and field in fields:
            fields[field] = values[field]
    return data


def _folder(image: str, name: str) -> str:
    if re.match(r"[A-Za-z]:", image):
        return image
    known = KNOWN.get(name or wrap.program_of(f'"{image}"'))
    if known is not None and known.image.lower().endswith(image.lower()):
        return known.image
    return "C:\\Windows\\System32" + (image if image.startswith("\\") else f"\\{image}")


def linux_process(values: dict[str, str], draw: Random) -> Document:
    """A process start on Linux or macOS with the values."""
    name = wrap.program_of(values.get("Image", "")) or wrap.program_of(values.get("CommandLine", "")) or "sh"
    line = values.get("CommandLine", "")
    data = wrap.linux_process(line if wrap.program_of(line) == name else f"{name} {line}".strip(), draw)
    parent = wrap.program_of(values.get("ParentImage", ""))
    if parent:
        data["process"]["parent"]["name"] = parent
        data["process"]["parent"]["executable"] = f"/usr/bin/{parent}"
    return data


def sysmon_values(values: dict[str, str]) -> dict[str, str]:
    """The values with paths and registry keys completed where a pattern gives their ends alone."""
    found = dict(values)
    key = found.get("TargetObject")
    if key is not None and not key.upper().startswith("HK"):
        below = key if key.startswith("\\") else f"\\{key}"
        found["TargetObject"] = ("HKLM" if below.upper().startswith(_HIVES) else "HKLM\\SOFTWARE") + below
    elif key is not None and key.upper().startswith("HKCU\\"):
        found["TargetObject"] = "HKU\\S-1-5-21-1001" + key[4:]
    for field in ("TargetFilename", "ImageLoaded", "Image", "SourceImage", "TargetImage"):
        path = found.get(field)
        if path is not None and not re.match(r"[A-Za-z]:|\\\\", path):
            folder = (
                "C:\\Users\\anna.berg\\AppData\\Local\\Temp" if field == "TargetFilename" else "C:\\Windows\\System32"
            )
            found[field] = folder + (path if path.startswith("\\") else f"\\{path}")
    return found


def overlaid(
    kind: str, values: dict[str, str], ordinary: Mapping[str, list[Document]], draw: Random
) -> Document | None:
    """An ordinary event of the kind with the rule's values in place of its own; None where no ordinary one is known."""
    if not ordinary.get(kind):
        return None
    base = dict(draw.choice(ordinary[kind]))
    base.pop("Message", None)
    return {
        **base,
        **{field: value for field, value in values.items() if field not in {"EventID", "Provider_Name", "Channel"}},
    }


def service_installed(values: dict[str, str], draw: Random) -> Document:
    """A service's installation (System 7045) with the values."""
    data = {
        "ServiceName": values.get("ServiceName", draw.choice(("Updater", "SyncAgent", "PrintHelper"))),
        "ImagePath": values.get("ImagePath", "C:\\Program Files\\Agent\\agent.exe"),
        "ServiceType": values.get("ServiceType", "user mode service"),
        "StartType": values.get("StartType", draw.choice(("demand start", "auto start"))),
        "AccountName": values.get("AccountName", "LocalSystem"),
    }
    return wrap.windows_event("Service Control Manager", "System", 7045, data, draw)
