"""Searches and cloud logs turned round into events, and what rules' authors know to be harmless."""

from connector.learn.corpora import cloud_events, sigma, splunk_content, wrap
from connector.learn.corpora.pattern_events import Bases
from connector.learn.corpora.sigma_pattern import fill_filtered
from connector.learn.corpora.spl import pattern, piece

TSTATS = (
    "| tstats count from datamodel=Endpoint.Processes where Processes.process_name=reg.exe "
    'Processes.process="*save*" (Processes.process=*HKLM\\\\SAM* OR Processes.process=*HKLM\\\\SAM*) '
    "NOT Processes.user=SYSTEM by Processes.dest | `drop_dm_object_name(Processes)`"
)


def test_a_searchs_first_stage_gives_the_values_that_it_asks_for() -> None:
    found = pattern(TSTATS, wrap.seeded("x"))

    assert found is not None
    assert found.reads == "Endpoint.Processes"
    assert {field: [item.text for item in pieces] for field, pieces in found.wanted.items()} == {
        "process_name": ["reg.exe"],
        "process": ["save", "HKLM\\SAM"],
    }


def test_or_binds_tighter_than_the_and_that_is_left_out() -> None:
    search = "`sysmon` EventCode=10 CallTrace=*one* OR CallTrace=*two* TargetImage=*lsass.exe | stats count"

    seen = set()
    for number in range(20):
        found = pattern(search, wrap.seeded(str(number)))
        assert found is not None
        assert set(found.wanted) == {"EventCode", "CallTrace", "TargetImage"}
        seen.add(found.wanted["CallTrace"][0].text)
    assert seen == {"one", "two"}


def test_a_list_and_a_programs_macro_are_values_and_pipes_in_quotes_end_nothing() -> None:
    search = '`powershell` `process_certutil` ScriptBlockText IN ("*a | b*", "*a | b*") x!=1 | stats count'

    found = pattern(search, wrap.seeded("x"))

    assert found is not None
    assert found.wanted["process_name"][0].text == "certutil.exe"
    assert found.wanted["ScriptBlockText"][0].text == "a | b"
    assert "x" not in found.wanted


def test_wildcards_at_a_values_ends_say_where_it_stands() -> None:
    assert [piece(text).place for text in ("*a*", "a*", "*a", "a")] == ["contains", "startswith", "endswith", "whole"]


def test_a_search_becomes_the_event_that_it_would_find() -> None:
    found = pattern(TSTATS, wrap.seeded("x"))
    assert found is not None

    data = splunk_content.event("detections/endpoint/x.yml", found, Bases({}, {}), wrap.seeded("y"))

    assert data is not None
    line = data["Event"]["EventData"]["CommandLine"]
    assert line.startswith(("reg.exe", "C:\\Windows\\System32\\reg.exe"))
    assert "save" in line
    assert "HKLM\\SAM" in line


def test_a_cloud_search_lies_over_an_ordinary_event_of_its_log() -> None:
    found = pattern("`cloudtrail` eventName=CreateUser requestParameters.userName=*x | stats count", wrap.seeded("x"))
    assert found is not None
    base = {"eventName": "GetUser", "eventSource": "iam.amazonaws.com", "p_log_type": "AWS.CloudTrail"}

    data = splunk_content.event(
        "detections/cloud/x.yml", found, Bases({}, {"AWS.CloudTrail": [base]}), wrap.seeded("y")
    )

    assert data == base | {"eventName": "CreateUser", "requestParameters": {"userName": "x"}}


def test_aws_commands_are_what_cloudtrail_logs_of_them() -> None:
    text = "aws --profile x iam create-access-key --user-name 'bob'\naws s3 ls\necho aws; aws ec2 describe-instances"

    calls = list(cloud_events.calls(text))

    assert [(call["eventSource"], call["eventName"], call["readOnly"]) for call in calls] == [
        ("iam.amazonaws.com", "CreateAccessKey", False),
        ("ec2.amazonaws.com", "DescribeInstances", True),
    ]
    assert calls[0]["requestParameters"] == {"userName": "bob"}


def test_a_rules_filter_gives_the_pattern_with_the_filters_own_value() -> None:
    detection = {
        "selection": {"CommandLine|contains": " -enc ", "Image|endswith": "\\powershell.exe"},
        "filter_tool": {"ParentImage|endswith": "\\agent.exe", "CommandLine|contains": "--vendor"},
        "condition": "selection and not filter_tool",
    }

    found = fill_filtered(detection, "filter_tool", wrap.seeded("x"))

    assert found is not None
    values, wanted = found
    assert "-enc" in values["CommandLine"]
    assert "--vendor" in values["CommandLine"]
    assert set(wanted) == {"ParentImage", "CommandLine"}


def test_a_filter_that_the_event_cannot_show_gives_no_benign_event() -> None:
    rule = {
        "logsource": {"category": "process_creation", "product": "windows"},
        "detection": {
            "selection": {"CommandLine|contains": "steal"},
            "filter_user": {"SomeField": "HARMLESS"},
            "filter_parent": {"ParentImage|endswith": "\\agent.exe"},
            "condition": "selection and not 1 of filter_*",
        },
    }

    samples = list(sigma._filters("rules/x.yml", rule, Bases({}, {})))

    assert [(sample.record, sample.malicious, sample.basis) for sample in samples] == [
        ("filter_parent", False, "rule-filter")
    ]


def test_a_unix_command_is_also_what_the_audit_system_logs() -> None:
    data = wrap.auditd("useradd -o 'evil one'", wrap.seeded("x"))

    assert 'a0="useradd" a1="-o" a2=6576696C206F6E65' in str(data["message"])
    assert "argc=3" in str(wrap.auditd("cat a | sh", wrap.seeded("x"))["message"])
