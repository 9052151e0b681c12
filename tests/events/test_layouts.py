"""Which layout a document has where names of several stand in it, and what is read of a few easily mistaken ones."""

from __future__ import annotations

from typing import Any

import pytest

from connector.events import canonical, kind_of
from connector.events.normalise import to_ecs


@pytest.mark.parametrize(
    "beside",
    [
        {"log_name": "Security", "event_id": 4624},
        {"EventID": 4624, "Channel": "Security"},
        {"Event": {"System": {"EventID": 1, "Channel": "Security"}}},
    ],
)
@pytest.mark.parametrize("root", ["ecs", "data_stream"])
def test_a_document_that_says_it_is_in_ecs_is_read_as_ecs_whatever_stands_beside(
    root: str, beside: dict[str, Any]
) -> None:
    own = {"event": {"dataset": "okta.system", "action": "user.session.start"}}
    document = to_ecs({root: {"version": "8.11"}, **own, **beside})[1]
    assert kind_of(document) == "okta"
    assert ("event.action", "user.session.start") in canonical(document, "okta")


def test_sysmon_for_linux_is_read_as_sysmon() -> None:
    system = {
        "EventID": 1,
        "Channel": "Linux-Sysmon/Operational",
        "Provider": {"#attributes": {"Name": "Linux-Sysmon"}},
        "Computer": "web-1",
    }
    record = {"Event": {"System": system, "EventData": {"Image": "/usr/bin/id", "CommandLine": "id -u"}}}
    document = to_ecs(record)[1]
    assert kind_of(document) == "sysmon-1"
    assert ("process.command_line", "id -u") in canonical(document, "sysmon-1")


def test_the_scope_that_an_entra_consent_grants_is_told() -> None:
    value = "[] => [[Id: a, ConsentType: AllPrincipals, Scope: Mail.Read Files.ReadWrite.All, CreatedDateTime: x]]"
    changed = [{"display_name": "ConsentAction.Permissions", "new_value": value}]
    properties = {"target_resources": {"0": {"modified_properties": {"0": changed[0]}}}}
    document = {"ecs": {}, "event": {"dataset": "azure.auditlogs"}, "azure": {"auditlogs": {"properties": properties}}}
    assert ("entra.scope", "mail.read files.readwrite.all") in canonical(document, "azure-audit")


@pytest.mark.parametrize(("prefix", "action"), [("UFW BLOCK", "drop"), ("UFW ALLOW", "accept"), ("seen", None)])
def test_a_packet_filters_line_is_accepted_only_where_its_prefix_says_so(prefix: str, action: str | None) -> None:
    line = f"<4>Jan  2 03:04:05 web-1 kernel: [{prefix}] IN=eth0 OUT= SRC=8.8.8.8 DST=10.0.0.1 PROTO=TCP SPT=1 DPT=22"
    assert to_ecs(line)[1]["event"].get("action") == action
