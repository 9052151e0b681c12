"""Sysmon's event data in ECS, as Elastic's Sysmon pipeline names them.

Source: https://www.elastic.co/docs/reference/beats/winlogbeat/winlogbeat-module-sysmon
"""

from __future__ import annotations

from typing import Final

from connector.events.family import Family
from connector.events.fields import Meta, Rules, rule

COMMON: Final[Rules] = (
    rule("Image", "process.executable"),
    rule("ProcessId", "process.pid", "number"),
    rule("ProcessGuid", "process.entity_id"),
    rule("User", "user", "account"),
)
_START: Final[Rules] = (
    *COMMON,
    rule("CommandLine", "process.command_line"),
    rule("CurrentDirectory", "process.working_directory"),
    rule("OriginalFileName", "process.pe.original_file_name"),
    rule("ParentImage", "process.parent.executable"),
    rule("ParentCommandLine", "process.parent.command_line"),
    rule("ParentProcessGuid", "process.parent.entity_id"),
    rule("ParentProcessId", "process.parent.pid", "number"),
    rule("Hashes", "process.hash", "hashes"),
)
_NETWORK: Final[Rules] = (
    *COMMON,
    rule("SourceIp", "source.ip"),
    rule("SourcePort", "source.port", "number"),
    rule("DestinationIp", "destination.ip"),
    rule("DestinationPort", "destination.port", "decimal"),
    rule("DestinationHostname", "destination.domain"),
    rule("Protocol", "network.transport"),
)
_FILE: Final[Rules] = (*COMMON, rule("TargetFilename", "file.path"), rule("Hashes", "file.hash", "hashes"))
_LOAD: Final[Rules] = (*COMMON, rule("ImageLoaded", "dll.path"), rule("Hashes", "dll.hash", "hashes"))
_BETWEEN: Final[Rules] = (
    rule("SourceImage", "process.executable"),
    rule("SourceProcessId", "process.pid", "number"),
    rule("SourceProcessGUID", "process.entity_id"),
    rule("SourceProcessGuid", "process.entity_id"),
    rule("SourceUser", "user", "account"),
)
_REGISTRY: Final[Rules] = (*COMMON, rule("TargetObject", "registry.path"))

_KINDS: Final[dict[str, Meta]] = {
    "sysmon-1": Meta("process-start", "process", "start", _START),
    "sysmon-2": Meta("file-creation-time-changed", "file", "change", _FILE),
    "sysmon-3": Meta("network-connection", "network", "connection", _NETWORK),
    "sysmon-4": Meta("service-state-changed", "process", "change", COMMON),
    "sysmon-5": Meta("process-end", "process", "end", COMMON),
    "sysmon-6": Meta("driver-loaded", "driver", "start", _LOAD),
    "sysmon-7": Meta("image-loaded", "library", "start", _LOAD),
    "sysmon-8": Meta("remote-thread-created", "process", "change", _BETWEEN),
    "sysmon-9": Meta("raw-access-read", "process", "access", COMMON),
    "sysmon-10": Meta("process-accessed", "process", "access", _BETWEEN),
    "sysmon-11": Meta("file-created", "file", "creation", _FILE),
    "sysmon-12": Meta("registry-object-added-or-deleted", "registry", "change", _REGISTRY),
    "sysmon-13": Meta("registry-value-set", "registry", "change", _REGISTRY),
    "sysmon-14": Meta("registry-object-renamed", "registry", "change", _REGISTRY),
    "sysmon-15": Meta("file-stream-created", "file", "creation", (*_FILE, rule("Hash", "file.hash", "hashes"))),
    "sysmon-16": Meta("configuration-changed", "configuration", "change", COMMON),
    "sysmon-17": Meta("pipe-created", "file", "creation", (*COMMON, rule("PipeName", "file.name"))),
    "sysmon-18": Meta("pipe-connected", "file", "access", (*COMMON, rule("PipeName", "file.name"))),
    "sysmon-19": Meta("wmi-filter", "configuration", "change", COMMON),
    "sysmon-20": Meta("wmi-consumer", "configuration", "change", COMMON),
    "sysmon-21": Meta("wmi-binding", "configuration", "change", COMMON),
    "sysmon-22": Meta("dns-query", "network", "protocol", (*COMMON, rule("QueryName", "dns.question.name"))),
    "sysmon-23": Meta("file-deleted", "file", "deletion", _FILE),
    "sysmon-24": Meta("clipboard-changed", "process", "change", COMMON),
    "sysmon-25": Meta("process-tampered", "process", "change", COMMON),
    "sysmon-26": Meta("file-deleted", "file", "deletion", _FILE),
    "sysmon-27": Meta("file-block-executable", "file", "change", _FILE),
    "sysmon-28": Meta("file-block-shredding", "file", "change", _FILE),
    "sysmon-29": Meta("file-executable-detected", "file", "creation", _FILE),
    "sysmon-255": Meta("error", "process", "error", COMMON),
}

FAMILY: Final = Family("sysmon", kinds=_KINDS)
