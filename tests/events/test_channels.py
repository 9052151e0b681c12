"""Windows channels with kinds of their own: what each door gives, what a model may see, and which codes are told."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from connector.events import canonical, decode, kind_of, render
from connector.events.canonical import TABLE
from connector.events.families import (
    app_locker,
    bits,
    certificate_services,
    code_integrity,
    defender,
    dns_server,
    family_of,
    print_service,
    remote_desktop,
    smb,
    task_scheduler,
    windows_firewall,
    wmi_activity,
)
from connector.events.normalise import to_ecs
from tests.events import doors, vectors

FAMILIES = {
    family.name: family
    for family in (
        app_locker.FAMILY, bits.FAMILY, certificate_services.FAMILY, code_integrity.FAMILY, defender.FAMILY,
        dns_server.FAMILY, print_service.FAMILY, remote_desktop.FAMILY, smb.FAMILY, task_scheduler.FAMILY,
        windows_firewall.FAMILY, wmi_activity.FAMILY,
    )
}  # fmt: skip


def _family(raw: Any) -> str | None:
    kind, ecs = to_ecs(raw)
    family = family_of(kind, ecs)
    return family if family in FAMILIES else None


GOLDEN = {name: raw for name, raw in vectors.golden().items() if _family(raw)}

WMI = ("Microsoft-Windows-WMI-Activity/Operational", "Microsoft-Windows-WMI-Activity")
SESSION = (
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
    "Microsoft-Windows-TerminalServices-LocalSessionManager",
)
CONNECTION = (
    "Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational",
    "Microsoft-Windows-TerminalServices-RemoteConnectionManager",
)


def _form(data: Any) -> tuple[tuple[str, str], ...]:
    kind, ecs = to_ecs(data)
    return canonical(ecs, kind)


def test_every_family_has_a_golden_event() -> None:
    assert {_family(raw) for raw in GOLDEN.values()} == FAMILIES.keys()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_channel_event_has_one_form_through_every_door_and_before_normalising(name: str) -> None:
    event = doors.from_evtx(copy.deepcopy(GOLDEN[name]))
    assert event is not None
    wanted = _form(GOLDEN[name])
    for door, write in doors.DOORS.items():
        assert _form(write(event)) == wanted, door
    document = decode(json.dumps(doors.winlogbeat(event)))
    assert canonical(document, kind_of(document)) == wanted


@pytest.mark.parametrize("name", GOLDEN)
def test_hosts_users_and_identifiers_of_a_channel_event_never_reach_a_model(name: str) -> None:
    text = render(_form(GOLDEN[name])).lower()
    for secret in (
        "alice",
        "ws07",
        "corp.example",
        "fs03",
        "dc01",
        "s-1-5-21",
        "203.0.113",
        "10.23",
        "-11ef-",
        "salaries",
    ):
        assert secret not in text


@pytest.mark.parametrize(
    ("origin", "code", "message", "user_data"),
    [
        (
            WMI, 5857,
            ("Win32Prov provider started with result code 0x0. HostProcess = wmiprvse.exe; ProcessID = 4204; "
            "ProviderPath = %SystemRoot%\\system32\\tscfgwmi.dll"),
            {"ProviderName": "Win32Prov", "Code": "0x0", "HostProcess": "wmiprvse.exe", "ProcessID": 4204,
             "ProviderPath": "%SystemRoot%\\system32\\tscfgwmi.dll"},
        ),
        (
            WMI, 5858,
            ("Id = {0F62A835-F0DA-0000-3043-FE916E3ED601}; ClientMachine = WS6; User = CORP\\bob; ClientProcessId = 3960; "
            "Component = Unknown; Operation = Start IWbemServices::ExecQuery - ROOT\\CIMV2 : a; b; ResultCode = 0x80041032; "
            "PossibleCause = Unknown"),
            {"ClientMachine": "WS6", "User": "CORP\\bob", "ResultCode": "0x80041032", "PossibleCause": "Unknown",
             "Operation": "Start IWbemServices::ExecQuery - ROOT\\CIMV2 : a; b"},
        ),
        (
            WMI, 5860,
            ("Namespace = ROOT\\CIMV2; NotificationQuery = SELECT * FROM a WHERE b = ';'; UserName = NT AUTHORITY\\SYSTEM; "
            "ClientProcessID = 8408, ClientMachine = WS6; PossibleCause = Temporary"),
            {"NamespaceName": "ROOT\\CIMV2", "Query": "SELECT * FROM a WHERE b = ';'", "User": "NT AUTHORITY\\SYSTEM"},
        ),
        (
            WMI, 5861,
            ('Namespace = //./root/subscription; Eventfilter = U (refer to its activate eventid:5859); Consumer = '
            'CommandLineEventConsumer="U"; PossibleCause = Binding EventFilter: \ninstance of __EventFilter\n{\n\tQuery = '
            '"select 1";\n};\nPerm. Consumer: \ninstance of CommandLineEventConsumer\n{\n\tCommandLineTemplate = "cmd /c x";\n};'),
            {"Namespace": "//./root/subscription", "ESS": "U", "CONSUMER": 'CommandLineEventConsumer="U"',
             "PossibleCause": 'Query = "select 1";\nCommandLineTemplate = "cmd /c x";'},
        ),
        (
            SESSION, 21,
            ("Remote Desktop Services: Session logon succeeded:\r\n\r\nUser: CORP\\bob\r\nSession ID: 2\r\n"
            "Source Network Address: 203.0.113.4"),
            {"User": "CORP\\bob", "SessionID": 2, "Address": "203.0.113.4"},
        ),
        (SESSION, 40, "Session 2 has been disconnected, reason code 5", {"Session": 2, "Reason": 5}),
        (
            CONNECTION, 1149,
            ("Remote Desktop Services: User authentication succeeded:\r\n\r\nUser: bob\r\nDomain: corp\r\n"
            "Source Network Address: 10.2.3.4"),
            {"Param1": "bob", "Param2": "corp", "Param3": "10.2.3.4"},
        ),
        (CONNECTION, 261, "Listener RDP-Tcp received a connection", {"listenerName": "RDP-Tcp"}),
    ],
)  # fmt: skip
def test_a_record_that_is_only_its_message_has_the_form_of_the_whole_event(
    origin: tuple[str, str], code: int, message: str, user_data: dict[str, Any]
) -> None:
    channel, provider = origin
    flat = {"Channel": channel, "SourceName": provider, "EventID": code, "Hostname": "WS6", "Message": message}
    whole = doors.Neutral(channel, provider, code, "WS6", "2024-01-01T00:00:00Z", 0, user_data=("EventXML", user_data))
    assert _form(flat) == _form(doors.xml(whole))
    assert len(_form(flat)) > 2


def test_a_message_without_the_captions_gives_no_data() -> None:
    flat = {"Channel": WMI[0], "SourceName": WMI[1], "EventID": 5858, "Message": "Der Vorgang ist fehlgeschlagen."}
    assert _form(flat) == (("kind", "wmi-5858"),)


def test_a_defender_document_of_elastic_agent_has_the_form_of_the_record() -> None:
    event = doors.from_evtx(copy.deepcopy(GOLDEN["defender-1116"]))
    assert event is not None
    document = doors.winlogbeat(event)
    data = document["winlog"]["event_data"]
    document["process"] = {"executable": data.pop("Process_Name"), "name": "explorer.exe"}
    document["file"] = {"path": data["Path"].rpartition(":_")[2]}
    document["user"] = {"domain": "CORP", "name": "alice"}
    document["event"] |= {"dataset": "windows.windows_defender", "action": "malware-detected", "category": ["malware"]}
    assert _form(document) == _form(GOLDEN["defender-1116"])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_a_code_that_a_family_tells_is_its_own_and_another_is_not(family: Any) -> None:
    for log in family.logs:
        provider = next(iter(log.providers))
        for code, told in ((next(iter(log.events)), family.name), ("64999", None)):
            kind, ecs = to_ecs(
                {"winlog": {"provider_name": provider, "channel": next(iter(log.channels)), "event_id": code}}
            )
            assert family_of(kind, ecs) == told


def test_both_places_of_the_data_give_one_form_even_where_both_are_filled() -> None:
    for name, raw in GOLDEN.items():
        event = doors.from_evtx(copy.deepcopy(raw))
        assert event is not None
        document = doors.winlogbeat(event)
        winlog = document["winlog"]
        rows = list((winlog.get("event_data") or winlog.get("user_data") or {}).items())
        winlog["event_data"], winlog["user_data"] = dict(rows[::2]), dict(rows[1::2])
        before = canonical(document, kind_of(document))
        kind, ecs = to_ecs(document)
        assert canonical(ecs, kind) == before, name


def test_code_words_are_one_line_of_plain_text() -> None:
    for family in FAMILIES.values():
        for log in family.logs:
            for meta in log.events.values():
                assert meta.action == meta.action.lower().strip("-")
                assert " " not in meta.action
    for field in (name for name in TABLE.codes if name.endswith(".event")):
        assert all(text == " ".join(text.split()) for text in TABLE.codes[field].values())


def test_the_peer_is_read_out_of_an_address_with_its_port() -> None:
    for peer, wanted in (
        ("203.0.113.7:3389", "203.0.113.7"),
        ("[2001:db8::1]:3389", "2001:db8::1"),
        ("[2001:db8::1", "2001:db8::1"),
        ("server:3389", None),
        ("", None),
    ):
        origin = "Microsoft-Windows-RemoteDesktopServices-RdpCoreTS"
        row = {"Channel": f"{origin}/Operational", "SourceName": origin, "EventID": 131, "ClientIP": peer}
        assert to_ecs(row)[1].get("source", {}).get("ip") == wanted


@pytest.mark.parametrize(
    ("name", "user"),
    [
        ("CORP\\bob", {"name": "bob", "domain": "CORP"}),
        ("S-1-5-21-1-2-3-1104", {"id": "S-1-5-21-1-2-3-1104"}),
    ],
)
def test_who_registered_a_task_is_an_account_or_a_sid(name: str, user: dict[str, str]) -> None:
    origin = "Microsoft-Windows-TaskScheduler"
    row = {
        "Channel": f"{origin}/Operational",
        "SourceName": origin,
        "EventID": 106,
        "TaskName": "\\a",
        "UserContext": name,
    }
    assert to_ecs(row)[1]["user"] == user
    assert _form(row) == (("kind", "task-106"), ("task.name", "\\a"), ("task.user_class", "<user>"))
