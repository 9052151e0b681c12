"""One event of each family that is no Windows log, as its vendor writes it, and a rule that speaks of it."""

from __future__ import annotations

import gc
from itertools import combinations

import pytest

from connector.models.rules import load
from connector.models.rules.ruleset import Index
from connector.models.rules.sources import facts
from tests.models.rules.made import event, matches, rule

AUDIT = """type=SYSCALL msg=audit(1700000000.123:42): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=2 auid=1000 uid=0 comm="chmod" exe="/usr/bin/chmod" key="perm"
type=EXECVE msg=audit(1700000000.123:42): argc=3 a0="chmod" a1="+s" a2="/tmp/x"
type=CWD msg=audit(1700000000.123:42): cwd="/root\""""
SSH = "Mar  1 10:00:00 web sshd[77]: error: buffer_get_ret: trying to get more bytes 1907 than in buffer 308"
CLOUDTRAIL = {
    "eventVersion": "1.08",
    "eventSource": "ec2.amazonaws.com",
    "eventName": "ModifyInstanceAttribute",
    "eventTime": "2026-01-01T00:00:00Z",
    "userIdentity": {"type": "Root"},
    "requestParameters": {"attribute": "userData", "value": "curl x"},
}
SIGN_IN = {
    "category": "SignInLogs",
    "properties": {
        "userPrincipalName": "a@b.c",
        "appDisplayName": "x",
        "status": {"errorCode": 50126, "failureReason": "Invalid"},
        "deviceDetail": {"trustType": "Azure AD registered"},
    },
}
DIRECTORY = {
    "category": "AuditLogs",
    "operationName": "Add member to role",
    "properties": {
        "activityDisplayName": "Add member to role",
        "initiatedBy": {"user": {"id": "1"}},
        "targetResources": [{"type": "User", "modifiedProperties": [{"displayName": "Role", "newValue": "Admin"}]}],
    },
}
OKTA = {
    "eventType": "policy.lifecycle.delete",
    "displayMessage": "Delete policy",
    "outcome": {"result": "SUCCESS"},
    "actor": {"alternateId": "a@b.c"},
    "target": [{"displayName": "Policy X", "type": "Policy"}],
}
OFFICE = {
    "CreationTime": "2026-01-01T00:00:00",
    "RecordType": 1,
    "Workload": "Exchange",
    "Operation": "New-InboxRule",
    "UserId": "a@b.c",
    "Parameters": [{"Name": "ForwardTo", "Value": "evil@x"}],
}
KUBERNETES = {
    "apiVersion": "audit.k8s.io/v1",
    "verb": "create",
    "objectRef": {"resource": "pods", "namespace": "kube-system"},
    "requestObject": {"spec": {"volumes": [{"hostPath": {"path": "/"}}]}},
}
GITHUB = {"p_log_type": "GitHub.Audit", "action": "org.disable_two_factor_requirement", "actor": "a"}
GOOGLE = {
    "protoPayload": {"methodName": "google.iam.admin.v1.DisableServiceAccount", "serviceName": "iam.googleapis.com"},
    "insertId": "1",
}
ZEEK_DNS = {"_path": "dns", "ts": 1.0, "id.orig_h": "10.0.0.1", "query": "evil.example", "qtype_name": "TXT"}
ZEEK_RPC = {"_path": "dce_rpc", "ts": 1.0, "endpoint": "drsuapi", "operation": "DRSGetNCChanges"}
ZEEK_WEB = {
    "_path": "http",
    "ts": 1.0,
    "method": "GET",
    "uri": "/a/..%2f?x=1",
    "user_agent": "sqlmap",
    "status_code": 200,
}
MACOS = {
    "schema_version": 1,
    "mach_time": 1,
    "event_type": 9,
    "time": "2026-01-01T00:00:00Z",
    "process": {"executable": {"path": "/bin/zsh"}},
    "event": {"exec": {"target": {"executable": {"path": "/usr/bin/dscl"}}, "args": ["dscl", ".", "-list"]}},
}
DEFENDER = {
    "EventID": 1116,
    "Channel": "Microsoft-Windows-Windows Defender/Operational",
    "Threat Name": "HackTool:Mimikatz",
    "Path": "file:_C:\\m.exe",
}


@pytest.mark.parametrize(
    ("raw", "logsource", "selection"),
    [
        (AUDIT, {"product": "linux", "service": "auditd"}, {"type": "EXECVE", "a0": "chmod", "a1|contains": "s"}),
        (AUDIT, {"product": "linux", "service": "auditd"}, {"type": "SYSCALL", "SYSCALL": "execve", "key": "perm"}),
        (AUDIT, {"product": "linux", "category": "process_creation"}, {"Image|endswith": "/chmod", "CommandLine|contains": "+s"}),
        (SSH, {"product": "linux", "service": "sshd"}, ["bytes 1907 than"]),
        (SSH, {"product": "linux"}, ["buffer_get_ret"]),
        (CLOUDTRAIL, {"product": "aws", "service": "cloudtrail"}, {"eventName": "modifyinstanceattribute", "requestParameters.attribute": "userData", "userIdentity.type": "Root"}),
        (SIGN_IN, {"product": "azure", "service": "signinlogs"}, {"ResultType": 50126, "DeviceDetail.trusttype": "Azure AD registered"}),
        (DIRECTORY, {"product": "azure", "service": "auditlogs"}, {"properties.message": "Add member to role", "TargetResources.ModifiedProperties.NewValue": "admin", "targetResources.type": "User"}),
        (OKTA, {"product": "okta", "service": "okta"}, {"eventType": "policy.lifecycle.delete", "target.displayName|startswith": "policy"}),
        (OFFICE, {"product": "m365", "service": "audit"}, {"Operation": "New-InboxRule", "Parameters.ForwardTo|contains": "evil"}),
        (KUBERNETES, {"product": "kubernetes", "service": "audit"}, {"verb": "create", "objectRef.namespace": "kube-system", "hostPath": "/"}),
        (GITHUB, {"product": "github", "service": "audit"}, {"action": "org.disable_two_factor_requirement"}),
        (GOOGLE, {"product": "gcp", "service": "gcp.audit"}, {"gcp.audit.method_name|endswith": ".DisableServiceAccount"}),
        (ZEEK_DNS, {"product": "zeek", "service": "dns"}, {"query|endswith": ".example", "id.orig_h|cidr": "10.0.0.0/8"}),
        (ZEEK_DNS, {"category": "dns"}, {"query|endswith": ".example", "record_type": "TXT"}),
        (ZEEK_RPC, {"product": "zeek", "service": "dce_rpc"}, {"endpoint": "drsuapi", "operation": "DRSGetNCChanges"}),
        (ZEEK_WEB, {"category": "webserver"}, {"cs-method": "GET", "cs-uri-query|contains": "..%2f", "sc-status": 200}),
        (ZEEK_WEB, {"category": "proxy"}, {"c-useragent": "sqlmap", "c-uri|contains": "%2f"}),
        (MACOS, {"product": "macos", "category": "process_creation"}, {"Image": "/usr/bin/dscl", "CommandLine|contains": "-list"}),
        (DEFENDER, {"category": "antivirus"}, {"Signature|contains": "mimikatz"}),
    ],
)  # fmt: skip
def test_a_rule_finds_its_fields_in_events_of_its_log_source_and_in_no_others(raw, logsource, selection) -> None:
    found = event(raw)
    made = rule(selection, logsource=logsource)
    assert matches(made, found)
    assert load([made]).heard(found) is not None
    other = event(ZEEK_RPC if raw is not ZEEK_RPC else OKTA)
    assert load([made]).heard(other) is None


def indexes() -> int:
    gc.collect()
    return sum(type(each) is Index for each in gc.get_objects())


def test_events_that_claim_many_log_sources_have_no_index_made_for_each_combination() -> None:
    before = indexes()
    sources = [{"product": name, "service": "audit"} for name in ("github", "m365", "kubernetes")]
    rules = load([rule({"message|contains": "x"}, title=each["product"], logsource=each) for each in sources])
    datasets = ("github.audit", "o365.audit", "kubernetes.audit_logs")
    claimed = [named for count in range(4) for named in combinations(datasets, count)]
    ecs = {"@timestamp": "2026-01-01T00:00:00Z", "message": "x"}
    found = rules.match([event({"event": {"kind": "event", "dataset": list(named)}, **ecs}) for named in claimed])
    assert [len(each) for each in found] == [len(named) for named in claimed]
    assert indexes() - before == len(sources)


def test_every_log_source_of_the_table_reads_tables_that_are_there_and_says_when() -> None:
    rows = [row for rows in facts().sources.values() for row in rows]
    assert rows
    assert all(row.when for row in rows)
    assert all(all(paths) for row in rows for paths in row.fields.values())
