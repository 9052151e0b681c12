"""What a rule's words mean: one rule, one event."""

from __future__ import annotations

import tracemalloc
from base64 import b64encode

import pytest

from connector.models.rules import load
from connector.types import Event
from tests.models.rules.made import event, matches, rule, sysmon, windows


@pytest.mark.parametrize(
    ("selection", "line", "found"),
    [
        ({"CommandLine": "whoami"}, "WhoAmI", True),
        ({"CommandLine": "whoami"}, "whoami /all", False),
        ({"CommandLine|contains": "oam"}, "WHOAMI", True),
        ({"CommandLine|startswith": "who"}, "whoami", True),
        ({"CommandLine|startswith": "ami"}, "whoami", False),
        ({"CommandLine|endswith": "AMI"}, "whoami", True),
        ({"CommandLine|contains|all": ["who", "/all"]}, "whoami /all", True),
        ({"CommandLine|contains|all": ["who", "/priv"]}, "whoami /all", False),
        ({"CommandLine": "who*mi ?all"}, "whoami /all", True),
        ({"CommandLine": "who*mi ?all"}, "whoami all", False),
        ({"CommandLine": "*a*b*c"}, "xaxbxc", True),
        ({"CommandLine": "*a*b*c"}, "xbxaxc", False),
        ({"CommandLine": "a*a"}, "a", False),
        ({"CommandLine": r"a\*b"}, "a*b", True),
        ({"CommandLine": r"a\*b"}, "axb", False),
        ({"CommandLine|contains|cased": "Who"}, "whoami", False),
        ({"CommandLine|contains|cased": "Who"}, "Whoami", True),
        ({"CommandLine|re": r"\sW[a-z]+\d{2,}$"}, "x Who42", True),
        ({"CommandLine|re": r"\sW[a-z]+\d{2,}$"}, "x who42", False),
        ({"CommandLine|re|i": r"\sW[a-z]+\d{2,}$"}, "x who42", True),
        ({"CommandLine|contains|windash": " -enc "}, "powershell /enc x", True),
        ({"CommandLine|contains|windash|all": [" -enc ", " -nop "]}, "powershell /enc x \u2013nop y", True),
        ({"CommandLine|base64offset|contains": "whoami"}, b64encode(b"xx whoami yy").decode(), True),
        ({"CommandLine|wide|base64offset|contains": "whoami"}, b64encode("xx whoami".encode("utf-16-le")).decode(), True),
        ({"CommandLine": None}, "whoami", False),
        ({"Company": None}, "whoami", True),
        ({"CommandLine|exists": True}, "whoami", True),
        ({"Company|exists": True}, "whoami", False),
        ({"ProcessId|gte": 10}, "whoami", True),
        ({"ProcessId|lt": 10}, "whoami", False),
        ({"ProcessId": 10}, "whoami", True),
        ({"Image|fieldref": "ParentImage"}, "whoami", True),
        ({"Image|fieldref": "CommandLine"}, "whoami", False),
        ({"SourceIp|cidr": "10.0.0.0/8"}, "whoami", True),
        ({"SourceIp|cidr": ["192.168.0.0/16", "fe80::/10"]}, "whoami", False),
        (["nothing", "hoam"], "whoami", True),
        ({"|all": ["who", "explorer"]}, "whoami", True),
        ({"|all": ["who", "chrome"]}, "whoami", False),
        ([{"CommandLine": "x"}, {"CommandLine|contains": "who"}], "whoami", True),
    ],
)  # fmt: skip
def test_a_selection_means_what_sigma_says(selection, line, found) -> None:
    image = "C:\\Windows\\explorer.exe"
    start = sysmon(CommandLine=line, Image=image, ParentImage=image.upper(), ProcessId=10, SourceIp="10.1.2.3")
    assert matches(rule(selection), start) is found


def test_a_filter_on_a_field_that_the_event_lacks_does_not_hide_it() -> None:
    detection = {"condition": "selection and not filter", "filter": {"Company": "Good"}}
    assert matches(rule({"CommandLine": "whoami"}, **detection), sysmon(CommandLine="whoami"))
    assert not matches(rule({"CommandLine": "whoami"}, **detection), sysmon(CommandLine="whoami", Company="good"))


@pytest.mark.parametrize(
    ("condition", "line", "found"),
    [
        ("1 of selection*", "a", True),
        ("1 of selection*", "d", False),
        ("all of selection*", "a b", True),
        ("all of selection*", "a", False),
        ("all of them", "a b c", True),
        ("selection or (selection_b and not other)", "b", True),
        ("selection or (selection_b and not other)", "b c", False),
        ("not 1 of them", "d", True),
    ],
)
def test_conditions_choose_among_detections(condition, line, found) -> None:
    more = {"selection_b": {"CommandLine|contains": "b"}, "other": {"CommandLine|contains": "c"}}
    made = rule({"CommandLine|contains": "a"}, condition=condition, **more)
    assert matches(made, sysmon(CommandLine=line)) is found


def test_a_process_start_is_sysmons_and_the_audit_logs_and_no_other_event() -> None:
    made = rule({"Image|endswith": r"\evil.exe"})
    assert matches(made, sysmon(Image=r"C:\evil.exe"))
    assert matches(made, windows("Security", 4688, NewProcessName=r"C:\evil.exe"))
    assert not matches(made, sysmon(5, Image=r"C:\evil.exe"))
    assert not matches(made, windows("Security", 4689, NewProcessName=r"C:\evil.exe"))
    assert not matches(made, windows("Application", 1, Image=r"C:\evil.exe"))


def test_a_field_that_another_one_is_compared_with_has_the_logs_own_name_too() -> None:
    made = rule({"Image|fieldref": "ParentImage"})
    names = {"NewProcessName": r"C:\cmd.exe", "ParentProcessName": r"c:\CMD.exe"}
    assert matches(made, windows("Security", 4688, **names))
    assert not matches(made, windows("Security", 4688, **{**names, "ParentProcessName": "x"}))


def test_only_the_kind_of_change_that_a_rule_means_counts_in_the_audit_log() -> None:
    made = rule({"TargetObject|contains": "Run"}, logsource={"category": "registry_set", "product": "windows"})
    change = {"ObjectName": r"\REGISTRY\MACHINE\Run", "OperationType": "Existing registry value modified"}
    assert matches(made, windows("Security", 4657, **change))
    assert not matches(made, windows("Security", 4657, **{**change, "OperationType": "Registry value deleted"}))


def test_event_data_that_a_door_moved_into_ecs_is_read_back() -> None:
    moved = event(
        {
            "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"},
            "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": "1", "event_data": {}},
            "process": {"executable": r"C:\evil.exe", "hash": {"md5": "AB", "imphash": "CD"}},
            "user": {"domain": "CORP", "name": "Ann"},
        }
    )
    assert matches(rule({"Image|endswith": "evil.exe", "Hashes|contains": "IMPHASH=CD", "User": r"corp\ann"}), moved)


def test_unnamed_texts_of_a_classic_event_are_its_data() -> None:
    made = rule({"Data|contains": "EngineVersion=2."}, logsource={"category": "ps_classic_start", "product": "windows"})
    start = windows("Windows PowerShell", 400, Data={"#text": ["Available", "None", "EngineVersion=2.0"]})
    assert matches(made, start)


def test_letters_that_fold_to_others_hide_nothing() -> None:
    assert matches(rule({"CommandLine|contains": "mimikatz"}), sysmon(CommandLine="MIMI\u212aATZ"))
    assert matches(rule({"CommandLine|contains": "straße"}), sysmon(CommandLine="STRASSE"))


def test_a_text_is_found_in_one_field_and_not_across_two() -> None:
    keywords = rule(["ab"])
    assert not matches(keywords, sysmon(CommandLine="a", Image="b"))


def test_each_event_gets_its_own_rules_in_the_order_of_the_set() -> None:
    rules = load(
        [
            rule({"CommandLine|contains": "b"}, title="second", id="6b5b2a6e-0000-4000-8000-000000000002"),
            rule({"CommandLine|contains": "a"}, title="first", id="6b5b2a6e-0000-4000-8000-000000000001"),
        ]
    )
    found = rules.match([sysmon(CommandLine="a"), sysmon(CommandLine="x"), sysmon(CommandLine="ab")])
    assert [[match.title for match in each] for each in found] == [["first"], [], ["second", "first"]]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        # numbers that come once are no keyword's; and what a door moved into ECS is no field of the event's data
        ({"DestinationPort": 4444}, sysmon(3, DestinationPort="4444")),
        ({"ProcessId": 4711}, sysmon(3, ProcessId="4711")),
        ({"Computer": "host"}, sysmon(3)),
        ({"Image|endswith": "evil.exe"}, event({"event": {"code": "3"}, "winlog": {"channel": "Microsoft-Windows-Sysmon/Operational", "event_id": "3", "event_data": {}}, "process": {"executable": r"C:\evil.exe"}})),
    ],
)  # fmt: skip
def test_a_named_field_is_read_where_another_rule_of_its_log_looks_for_keywords(selection, found) -> None:
    connections = {"category": "network_connection", "product": "windows"}
    named = rule(selection, title="named", logsource=connections)
    keywords = rule(["nothing of the kind"], title="keywords", logsource=connections)
    whole = load([named, keywords])
    assert [[match.title for match in each] for each in whole.match([found])] == [["named"]]
    assert [[match.title for match in each] for each in load([named]).match([found])] == [["named"]]


def test_a_rule_may_look_for_a_keyword_or_in_a_named_field() -> None:
    made = rule(["mimikatz"], condition="selection or other", other={"ProcessId": 4711})
    assert matches(made, sysmon(CommandLine="mimikatz"))
    assert matches(made, sysmon(ProcessId="4711"))
    assert not matches(made, sysmon(CommandLine="4711", ProcessId="471"))


def test_what_is_kept_of_forms_is_small_however_long_an_attackers_names_are() -> None:
    rules = load([rule(["mimikatz"])])
    rules.match([sysmon(CommandLine="mimikatz")])

    def kept(name: int) -> int:
        """Bytes that remain of events of 100 forms of 50 names, which are ``name`` characters long."""
        tracemalloc.start()
        for number in range(100):
            data = {f"{number}_{place}".ljust(name, "x"): "mimikatz" for place in range(50)}
            assert rules.match([sysmon(**data)]) != [()]
        remains = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        return remains

    assert kept(30) > 100 * 50 * 30
    assert kept(2000) < 100 * 50 * 30


def test_no_long_name_of_a_log_is_kept() -> None:
    rules = load([rule(["mimikatz"], logsource={"product": "windows"})])
    rules.match([windows("Application", 1, Text="x")])
    tracemalloc.start()
    for number in range(100):
        assert rules.match([windows(f"{number}".ljust(10_000, "x"), 1, Text="mimikatz")]) != [()]
    remains = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    assert remains < 100 * 10_000


def test_what_events_of_a_form_were_asked_holds_for_others_of_it() -> None:
    kept = "Microsoft-Windows-Sysmon/Operational"
    rules = [rule(["mimikatz"], title="keyword"), rule({"Image|endswith": "evil.exe"}, title="image")]

    def start(image: object, *, moved: str = "", **more: object) -> Event:
        log = {"channel": kept, "event_id": "1", "event_data": {"CommandLine": "x", "Image": image}, **more}
        data = {"event": {"code": "1", "provider": "Microsoft-Windows-Sysmon"}, "winlog": log}
        return event({**data, "process": {"executable": moved}} if moved else data)

    found = {
        "a text": start("evil.exe"),
        "another": start("good.exe"),
        "texts": start(["good.exe", "evil.exe"]),
        "none": start(None),
        "moved": start(None, moved="evil.exe"),
        "too long": start("evil.exe" * 10_000),
        "more data": start("x", user_data={"Text": "mimikatz"}),
    }
    warm = load(rules)
    for each in (*found.values(), *found.values()):
        assert warm.match([each]) == load(rules).match([each])
    assert [name for name, each in found.items() if warm.match([each]) != [()]] == [
        "a text",
        "texts",
        "moved",
        "too long",
        "more data",
    ]
