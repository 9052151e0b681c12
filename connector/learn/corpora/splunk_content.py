"""Splunk security content: events generated from the searches' own patterns, technique ids from the detections' tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Final

import yaml

from connector.learn.corpora import cloud_events, otrf, panther, pattern_events, wrap
from connector.learn.corpora.pattern_events import Bases
from connector.learn.corpora.sample import Sample
from connector.learn.corpora.sigma_pattern import Piece, Wanted, assembled
from connector.learn.corpora.source import Corpora
from connector.learn.corpora.spl import Pattern, pattern
from connector.types import Document

NAME: Final = "splunk_content"
COPIES: Final = 2
_LINUX: Final = ("linux_", "macos_")
_CLOUDS: Final[Mapping[str, str]] = {
    "cloudtrail": "AWS.CloudTrail",
    "azure_monitor_aad": "Azure.Audit",
    "azure_audit": "Azure.MonitorActivity",
    "okta": "Okta.SystemLog",
    "github_enterprise": "GitHub.Audit",
    "google_gcp_pubsub_message": "GCP.AuditLog",
    "kube_audit": "Amazon.EKS.Audit",
}
_FIELDS: Final[Mapping[str, str]] = {
    "process": "CommandLine",
    "Process_Command_Line": "CommandLine",
    "process_path": "Image",
    "original_file_name": "OriginalFileName",
    "parent_process": "ParentCommandLine",
    "parent_process_path": "ParentImage",
    "process_integrity_level": "IntegrityLevel",
    "file_path": "TargetFilename",
    "registry_path": "TargetObject",
    "registry_key_name": "TargetObject",
    "registry_value_data": "Details",
    "loaded_file": "ImageLoaded",
    "query": "QueryName",
    "dest_port": "DestinationPort",
    "Logon_Type": "LogonType",
    "Service_File_Name": "ImagePath",
    "Service_Name": "ServiceName",
    "Task_Name": "TaskName",
}
"""Names of Splunk's data models and add-ons → those of the raw events."""

_LAST: Final[Mapping[str, str]] = {"file_name": "TargetFilename", "registry_value_name": "TargetObject"}
_PROGRAMS: Final[Mapping[str, str]] = {"process_name": "Image", "parent_process_name": "ParentImage"}
_NODES: Final[Mapping[str, str]] = {"Filesystem": "sysmon-11", "Registry": "sysmon-13"}
_UNREAD: Final = frozenset(
    {"EventCode", "EventID", "source", "sourcetype", "index", "Channel", "signature_id", "action"}
)


def samples(corpora: Corpora) -> Iterator[Sample]:
    """Generated events of each detection that names a technique and whose first stage asks for values."""
    bases = Bases(otrf.ordinary(corpora), panther.ordinary(corpora))
    for path, content in corpora.files(NAME, ".yml"):
        rule = yaml.load(content, Loader=yaml.CSafeLoader)
        tags = rule.get("tags") or {} if isinstance(rule, dict) else {}
        techniques = tuple(str(found) for found in tags.get("mitre_attack_id") or ())
        for copy in range(COPIES if techniques else 0):
            draw = wrap.seeded(NAME, path, str(copy))
            found = pattern(str(rule.get("search") or ""), draw)
            data = None if found is None else event(path, found, bases, draw)
            if data is not None:
                yield Sample(
                    data=data,
                    group=path,
                    record=str(copy),
                    basis="rule-pattern",
                    techniques=techniques,
                    malicious=True if rule.get("type") == "TTP" else None,
                    author=str(rule.get("author") or ""),
                )


def event(path: str, found: Pattern, bases: Bases, draw: Random) -> Document | None:
    """An event that the search would find; None for sources that are not generated."""
    log = next((log for macro, log in _CLOUDS.items() if macro in found.reads.split()), None)
    if log is not None:
        cloud = {name: assembled(pieces, draw) for name, pieces in found.wanted.items() if name not in _UNREAD}
        return cloud_events.overlaid(log, cloud, bases.clouds.get(log, ()), draw) if cloud else None
    values = {name: assembled(pieces, draw) for name, pieces in _renamed(found.wanted).items()}
    return _host_event(path, found, values, bases, draw) if values else None


def _host_event(path: str, found: Pattern, values: dict[str, str], bases: Bases, draw: Random) -> Document | None:
    node, code = found.reads.rpartition(".")[2], _code(found.wanted)
    if node == "Processes" and path.rpartition("/")[2].startswith(_LINUX):
        return pattern_events.linux_process(values, draw)
    if node == "Processes" or ("sysmon" in found.reads and code == "1"):
        return pattern_events.process(values, draw)
    if "powershell" in found.reads and "ScriptBlockText" in values:
        return wrap.script_block(values["ScriptBlockText"], draw)
    if "wineventlog_system" in found.reads and code == "7045":
        return pattern_events.service_installed(values, draw)
    sysmon = "sysmon" in found.reads or node in _NODES
    kind = _NODES.get(node) or f"{'sysmon' if sysmon else 'security'}-{code}"
    return pattern_events.overlaid(kind, pattern_events.sysmon_values(values) if sysmon else values, bases.hosts, draw)


def _code(wanted: Mapping[str, Any]) -> str:
    codes = wanted.get("EventCode") or wanted.get("EventID")
    return str(codes[0].text) if codes else ""


def _renamed(wanted: Mapping[str, list[Piece]]) -> Wanted:
    """The pieces under the raw events' names. A file's or a value's name is the end of its path, a program's of its image."""
    found: Wanted = {}
    for name, pieces in wanted.items():
        if name in _UNREAD:
            continue
        if name in _PROGRAMS:
            found.setdefault(_PROGRAMS[name], []).extend(Piece(f"\\{_program(item)}", "endswith") for item in pieces)
        elif name in _LAST:
            names = [item.text.removeprefix("\\") for item in pieces]
            found.setdefault(_LAST[name], []).extend(Piece(f"\\{name}", "endswith") for name in names)
        else:
            found.setdefault(_FIELDS.get(name, name), []).extend(pieces)
    return found


def _program(item: Piece) -> str:
    name = re.split(r"[\\/]", item.text)[-1]
    return name if "." in name else f"{name}.exe"
