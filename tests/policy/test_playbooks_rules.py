"""Every rule of CACAO 2.0 that is kept here: one playbook that this rule alone catches, and sound ones that none catches."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from connector.errors import ConfigError
from connector.policy.cacao.rules import RULES, STRUCTURE, problems
from connector.policy.playbooks import read_playbook
from tests.policy.cases import LOADED, PLAYBOOKS
from tests.policy.editing import (
    DUTY,
    EDR,
    END,
    FIRST,
    ISOLATE,
    SECOND,
    START,
    Edit,
    agent,
    branch,
    branching,
    command,
    defined,
    drop,
    edited,
    instead,
    put,
    renamed,
    step,
    target,
    uid,
    variable,
)

MARKING = uid("marking-tlp", 8)
EXTENSION = uid("extension-definition", 8)
SIGN_IN = uid("http-basic", 8)
MADE = {"created_by": uid("identity"), "created": "2026-01-01T00:00:00.000Z"}
IEP = {
    **dict.fromkeys(("name", "description", "tlp", "encrypt_in_transit", "permitted_actions", "attribution"), "x"),
    **dict.fromkeys(("affected_party_notifications", "unmodified_resale"), "x"),
    "iep_version": 2,
    "start_date": "2026-01-01T00:00:00Z",
    "end_date": None,
    "external_references": ["x"],
}
A_COMMAND = f"workflow.{FIRST}.commands[0]"
REQUEST: dict[str, Any] = {"type": "http-api", "command": "POST /x HTTP/1.1"}
IF = {"condition": "__confidence__:value > 0.9"}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


BROKEN: dict[str, tuple[tuple[Edit, ...], str, str]] = {
    "playbook-id": ((put(id=uid("action", 9)),), "id", "playbook--<uuid>"),
    "unique-uuid": ((renamed(FIRST, "action--" + DUTY.split("--")[1]),), "ids", "used by 2 objects"),
    "foreign-id": ((put(created_by=uid("action", 9)),), "created_by", "identity--<uuid>"),
    "real-time": ((put(created="2026-02-30T00:00:00.000Z"),), "created", "no day of the calendar"),
    "milliseconds": ((put(created="2020-01-01T00:00:00Z"),), "created", "three digits"),
    "modified-after-created": ((put(modified="2020-01-01T00:00:00.000Z"),), "modified", "earlier than created"),
    "valid-for-a-while": (
        (put(valid_from="2026-01-02T00:00:00Z", valid_until="2026-01-01T00:00:00.999Z"),),
        "valid_until",
        "later than valid_from",
    ),
    "not-revoked": ((put(revoked=True),), "revoked", "no longer valid"),
    "vocabulary": ((put(playbook_types=["mitigtion"]),), "playbook_types[0]", "did you mean 'mitigation'"),
    "activity-given": ((drop("playbook_activities"),), "playbook_activities", "at least one"),
    "activity-done": ((put(playbook_activities=["map-network"]),), "playbook_activities", "map-network"),
    "command-activity": (
        (put(playbook_activities=["deliver-content"]), drop("workflow", FIRST, "commands"), step(commands=[REQUEST])),
        A_COMMAND,
        "needs playbook_activity",
    ),
    "sector-listed": (
        (put(industry_sectors=["energy"]), target("sector", sector="water")),
        f"target_definitions.{uid('sector', 7)}",
        "'water' must be among industry_sectors",
    ),
    "reference-listed": (
        (step(external_references=[{"name": "guide", "url": "https://example.com"}]),),
        f"workflow.{FIRST}.external_references[0]",
        "'guide' must be among",
    ),
    "step-id": (
        (renamed(FIRST, FIRST.replace("action", "parallel")),),
        "workflow.parallel--",
        "id that says otherwise",
    ),
    "step-uuid": (
        (renamed(FIRST, "action--6ba7b810-9dad-11d1-80b4-00c04fd430c8"),),
        "workflow.action--6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "UUIDv4",
    ),
    "needed-steps": (
        (
            drop("workflow", FIRST),
            drop("workflow", SECOND),
            drop("playbook_activities"),
            drop("playbook_types"),
            step(START, on_completion=END),
        ),
        "workflow",
        "action or playbook-action",
    ),
    "begins-with-start": (
        (put(workflow_start=uid("start", 9)), put(workflow_exception=START)),
        "workflow_start",
        "not",
    ),
    "starts-once": (
        (step(on_completion=uid("start", 9)), step(uid("start", 9), type="start", on_completion=SECOND)),
        f"workflow.{FIRST}.on_completion",
        "a start step",
    ),
    "step-exists": ((put(workflow_exception=uid("action", 9)),), "workflow_exception", "not a step"),
    "successor": ((step(on_success=END),), f"workflow.{FIRST}", "excludes"),
    "reachable": ((step(on_completion=END),), f"workflow.{SECOND}", "cannot be reached"),
    "no-loop": (
        (drop("workflow", SECOND, "on_completion"), step(SECOND, on_success=END, on_failure=FIRST)),
        "workflow",
        "loop",
    ),
    "own-end": (
        (branching("if-condition", **IF, on_true=END),),
        f"workflow.{uid('if-condition')}",
        f"on_true and what follows share {END}",
    ),
    "definition-id": (
        (agent(EDR, type="linux"),),
        f"agent_definitions.{EDR}",
        "of type 'linux', and its id says otherwise",
    ),
    "definition": ((drop("agent_definitions", EDR, "name"),), f"agent_definitions.{EDR}", "`name`"),
    "command": ((command(shell=True),), A_COMMAND, "unknown field `shell`"),
    "agent-defined": ((step(agent=uid("group", 9)),), f"workflow.{FIRST}.agent", "not in agent_definitions"),
    "target-defined": ((step(targets=[EDR]),), f"workflow.{FIRST}.targets[0]", "not in target_definitions"),
    "authentication-defined": (
        (agent(authentication_info=SIGN_IN),),
        f"agent_definitions.{EDR}.authentication_info",
        "not in authentication_info_definitions",
    ),
    "marking-defined": ((put(markings=[MARKING]),), "markings[0]", "not in data_marking_definitions"),
    "extension-defined": (
        (step(step_extensions={EXTENSION: {}}),),
        f"workflow.{FIRST}.step_extensions.{EXTENSION}",
        "not in extension_definitions",
    ),
    "no-secret": (
        (defined("authentication_info_definitions", "http-basic", user_id="u", password="p"),),
        f"authentication_info_definitions.{SIGN_IN}.password",
        "must not stand in a playbook",
    ),
    "variable-type": (
        (variable("__x__", type="list", value="a"),),
        "playbook_variables.__x__",
        "no variable type 'list'",
    ),
    "variable-value": (
        (variable("__x__", type="integer", value="7a"),),
        "playbook_variables.__x__",
        "not of type integer",
    ),
    "variable-source": ((variable("__x__", external=True),), "playbook_variables.__x__", "no verdict fills it"),
    "argument-declared": ((step(in_args=["__nobody__"]),), f"workflow.{FIRST}", "__nobody__ is not declared"),
    "result-changeable": (
        (variable("__x__", value="a", constant=True), step(out_args=["__x__"])),
        f"workflow.{FIRST}.out_args",
        "__x__ is a constant",
    ),
    "reference-place": (
        (command(command="POST /hosts/__host__:value HTTP/1.1"),),
        f"{A_COMMAND}.command",
        "__host__ must not stand here",
    ),
    "reference-alone": ((command(content='{"a": "at __host__:value"}'),), f"{A_COMMAND}.content.a", "stand alone"),
    "reference-declared": ((command(content='{"a": "__nobody__:value"}'),), f"{A_COMMAND}.content.a", "not declared"),
    "reference-plain": (
        (command(headers={"X-Host": ["__host__:value"]}),),
        f"{A_COMMAND}.headers.X-Host[0]",
        "__host__ is of type string",
    ),
}
"""A rule's name → edits that break it alone, the place, and words of the message."""


def told(*edits: Edit) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_playbook(edited(*edits), "isolate-host.json")
    return str(caught.value).splitlines()


def test_every_rule_has_a_playbook_that_breaks_it() -> None:
    assert list(BROKEN) == list(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_playbook_that_breaks_a_rule_is_caught_by_it_alone_with_file_step_and_rule(rule: str) -> None:
    edits, place, words = BROKEN[rule]
    head, *lines = told(*edits)
    assert "isolate-host.json" in head
    assert {line.rpartition("[")[2] for line in lines} == {f"{rule}]"}, lines
    assert any(line.strip().startswith(place) and words in line for line in lines), lines


@pytest.mark.parametrize(
    ("rule", "edits", "place", "words"),
    [
        ("foreign-id", [put(derived_from=[uid("action", 9)])], "derived_from[0]", "playbook--<uuid>"),
        ("foreign-id", [step(owner=uid("group", 9))], f"workflow.{FIRST}.owner", "identity--<uuid>"),
        (
            "foreign-id",
            [step(uid("playbook-action"), type="playbook-action", playbook_id=uid("action", 9), on_completion=END),
             step(SECOND, on_completion=uid("playbook-action"))],
            f"workflow.{uid('playbook-action')}.playbook_id",
            "playbook--<uuid>",
        ),
        ("vocabulary", [command(playbook_activity="disconect-system"), put(playbook_activities=["deliver-content"])],
         f"{A_COMMAND}.playbook_activity", "did you mean 'disconnect-system'"),
        ("vocabulary", [put(industry_sectors=["zzz"])], "industry_sectors[0]", "words: aerospace"),
        ("successor", [drop("workflow", SECOND, "on_completion"), put(workflow_exception=END)],
         f"workflow.{SECOND}", "needs on_completion"),
        ("successor", [drop("workflow", START, "on_completion"), step(START, on_success=FIRST)],
         f"workflow.{START}", "on_completion only"),
        ("own-end", [branching("parallel", next_steps=[uid("action", 1)] * 2), branch(1)],
         f"workflow.{uid('parallel')}", "next_steps[0] and next_steps[1] share"),
        ("own-end", [branching("switch-condition", switch="__confidence__:value", cases={"a": uid("action", 1), "b": uid("action", 2)}),
                     branch(1), branch(2), step(uid("action", 2), on_completion=uid("action", 1)), drop("workflow", uid("end", 102))],
         f"workflow.{uid('switch-condition')}", f"cases.a and cases.b share {uid('end', 101)}"),
        ("own-end", [branching("while-condition", **IF, on_true=SECOND)], f"workflow.{uid('while-condition')}", "share"),
        ("definition", [agent(category=["endpont"])], f"agent_definitions.{EDR}", "'endpont' is no category"),
        ("definition", [drop("agent_definitions", EDR, "address")], f"agent_definitions.{EDR}", "`address`"),
        ("definition", [agent(address={})], f"agent_definitions.{EDR}", "length >= 1"),
        ("definition", [agent(address={"host": ["a"]})], f"agent_definitions.{EDR}", "kinds are: dname"),
        ("definition", [agent(address={"url": ["ftp://example.com"]})], f"agent_definitions.{EDR}", "address.url"),
        ("definition", [agent(address={"url": ["https://u:p@example.com"]})], f"agent_definitions.{EDR}", "address.url"),
        ("definition", [agent(address={"ipv4": ["10.0.0"]})], f"agent_definitions.{EDR}", "address.ipv4"),
        ("definition", [agent(address={"ipv6": ["fe80::1%a\r\nb"]})], f"agent_definitions.{EDR}", "address.ipv6"),
        ("definition", [agent(address={"l2mac": ["00:11"]})], f"agent_definitions.{EDR}", "address.l2mac"),
        ("definition", [agent(address={"vlan": [5000]})], f"agent_definitions.{EDR}", "address.vlan"),
        ("definition", [agent(address={"dname": ["-a.example"]})], f"agent_definitions.{EDR}", "address.dname"),
        ("definition", [agent(port="https")], f"agent_definitions.{EDR}", "$.port"),
        ("definition", [agent(DUTY, shoe_size=43)], f"agent_definitions.{DUTY}", "shoe_size"),
        ("definition", [agent(DUTY, contact={"email": {"a b": "x"}})], f"agent_definitions.{DUTY}", "$.contact.email"),
        ("definition", [agent(DUTY, location={"region": "moon"})], f"agent_definitions.{DUTY}", "'moon' is no region"),
        ("definition", [agent(DUTY, location={"latitude": "1"})], f"agent_definitions.{DUTY}", "stand together"),
        ("definition", [agent(DUTY, location={"country": "Norway"})], f"agent_definitions.{DUTY}", "$.location.country"),
        ("definition", [target("location", logical=[])], "target_definitions", "$.logical"),
        ("sector-listed", [put(industry_sectors=["water"]), target("sector", sector="energy")], "target_definitions", "among industry_sectors"),
        ("definition", [target("security-category")], "target_definitions", "`category`"),
        ("definition", [agent(uid("soarca"), type="soarca", name="x")], "agent_definitions", "no type 'soarca'"),
        ("definition", [defined("authentication_info_definitions", "user-auth", kms=True)],
         "authentication_info_definitions", "stand together"),
        ("definition", [defined("authentication_info_definitions", "oauth2", kms=True, kms_key_identifier="k")],
         "authentication_info_definitions", "oauth_header"),
        ("definition", [defined("data_marking_definitions", "marking-tlp", id=MARKING, **MADE, tlpv2_level="TLP:PINK")],
         "data_marking_definitions", "TLP:PINK"),
        ("definition", [defined("data_marking_definitions", "marking-statement", id=MARKING, **MADE)],
         "data_marking_definitions", "`statement`"),
        ("definition", [defined("extension_definitions", "extension-definition", name="x")],
         "extension_definitions", "`created_by`"),
        ("command", [instead(type="magic")], A_COMMAND, "no type 'magic'"),
        ("command", [instead(type=["bash"])], A_COMMAND, "no type"),
        ("command", [instead(type="bash")], A_COMMAND, "either command or command_b64"),
        ("command", [instead(type="ssh", command="id", command_b64=b64("id"))], A_COMMAND, "either"),
        ("command", [instead(type="powershell", command_b64="&&")], A_COMMAND, "no base64"),
        ("command", [instead(type="sigma", command="x")], A_COMMAND, "`command`"),
        ("command", [instead(type="yara", command_b64="x")], A_COMMAND, "no base64"),
        ("command", [instead(type="http-api", command="POST /x")], A_COMMAND, "no start line"),
        ("command", [instead(type="http-api", command="POST /x HTTP/1.1\r\nX: 1")], A_COMMAND, "no start line"),
        ("command", [instead(**REQUEST, headers={"A": "b"})], A_COMMAND, "$.headers"),
        ("command", [instead(**REQUEST, headers={"A b": ["c"]})], A_COMMAND, "header 'A b'"),
        ("command", [instead(**REQUEST, headers={"A": ["c\r\nd"]})], A_COMMAND, "header 'A'"),
        ("command", [instead(**REQUEST, content=7)], A_COMMAND, "$.content"),
        ("command", [instead(**REQUEST, content="a", content_b64=b64("a"))], A_COMMAND, "not both"),
        ("command", [instead(type="openc2-http", command="GET /x HTTP/1.1", content_b64=b64("{}"))], A_COMMAND, "POST"),
        ("command", [instead(**REQUEST, external_references=[{"name": "x"}])], A_COMMAND, "beside its name"),
        ("variable-source", [variable("__x__")], "playbook_variables.__x__", "needs a value"),
        ("variable-source", [step(step_variables={"__x__": {"type": "string", "external": True}})],
         f"workflow.{FIRST}.step_variables.__x__", "for variables of the playbook"),
        ("variable-value", [variable("__x__", type="ipv6-addr", value="fe80::1%a\r\nb")], "playbook_variables.__x__", "ipv6"),
        ("variable-value", [variable("__x__", value="__host__:value")], "playbook_variables.__x__", "not of type string"),
        ("reference-place", [instead(type="bash", command="__host__:value")], f"{A_COMMAND}.command", "__host__"),
        ("reference-place", [instead(type="bash", command_b64=b64("id __host__:value"))], f"{A_COMMAND}.command_b64", "__host__"),
        ("reference-place", [instead(**REQUEST, content_b64=b64('"__host__:value"'))], f"{A_COMMAND}.content_b64", "__host__"),
        ("reference-place", [command(content="host=__host__:value")], f"{A_COMMAND}.content", "__host__"),
        ("reference-place", [command(content='"__host__:value"')], f"{A_COMMAND}.content", "__host__"),
        ("reference-place", [agent(name="__host__:value")], f"agent_definitions.{EDR}.name", "__host__"),
        ("reference-place", [agent(address={"url": ["__host__:value"]})], f"agent_definitions.{EDR}.address.url[0]", "__host__"),
        ("reference-place", [target("ssh", address={"ipv4": ["__host__:value"]})], "target_definitions", "__host__"),
        ("reference-place", [step(name="cut off __host__:value")], f"workflow.{FIRST}.name", "__host__"),
        ("reference-alone", [command(content='{"__host__:value": 1}')], f"{A_COMMAND}.content", "a key"),
        ("reference-alone", [command(headers={"A": ["x __action_key__:value"]})], f"{A_COMMAND}.headers.A[0]", "alone"),
        ("reference-declared", [branching("if-condition", condition="__nobody__:value = 1", on_true=uid("action", 1)), branch(1)],
         f"workflow.{uid('if-condition')}.condition", "__nobody__ is not declared"),
        ("reference-plain", [branching("if-condition", condition="__host__:value = 'x'", on_true=uid("action", 1)), branch(1)],
         f"workflow.{uid('if-condition')}.condition", "this condition"),
        ("reference-plain", [target("net-address", address={"ipv4": ["__host__:value"]})],
         f"target_definitions.{uid('net-address', 7)}.address.ipv4[0]", "this address"),
    ],
)  # fmt: skip
def test_each_way_to_break_a_rule_is_told_with_its_place(rule: str, edits: list[Edit], place: str, words: str) -> None:
    _, *lines = told(*edits)
    assert {line.rpartition("[")[2] for line in lines} == {f"{rule}]"}, lines
    assert any(line.strip().startswith(place) and words in line for line in lines), lines


@pytest.mark.parametrize(
    ("edit", "where"),
    [
        (drop("created_by"), "created_by"),
        (put(spec_version="cacao-1.1"), "$.spec_version"),
        (put(surprise=1), "surprise"),
        (put(name=""), "$.name"),
        (put(id="isolate"), "$.id"),
        (put(created="yesterday"), "$.created"),
        (put(priority=101), "$.priority"),
        (put(playbook_activities=[]), "$.playbook_activities"),
        (put(labels=[]), "$.labels"),
        (put(external_references=[{"name": "x"}]), "$.external_references"),
        (put(playbook_processing_summary={"loops": True}), "$.playbook_processing_summary"),
        (put(signatures=[{"type": "jss"}]), "$.signatures"),
        (variable("host"), "playbook_variables"),
        (step(commands=[]), f"in workflow.{FIRST}"),
        (step(comands=[]), f"in workflow.{FIRST}"),
        (step(delay=-1), f"in workflow.{FIRST}"),
        (step(type="magic"), f"in workflow.{FIRST}"),
        (step(in_args=[]), f"in workflow.{FIRST}"),
        (drop("workflow", FIRST, "agent"), f"in workflow.{FIRST}"),
        (branching("switch-condition", switch="__x__:value", cases={}), f"in workflow.{uid('switch-condition')}"),
        (
            branching("switch-condition", switch="__x__:value", cases={"a b": END}),
            f"in workflow.{uid('switch-condition')}",
        ),
        (branching("switch-condition", switch="__x__", cases={"a": END}), f"in workflow.{uid('switch-condition')}"),
        (branching("if-condition", condition="", on_true=END), f"in workflow.{uid('if-condition')}"),
        (branching("parallel", next_steps=[FIRST]), f"in workflow.{uid('parallel')}"),
    ],
)
def test_an_object_of_another_structure_is_refused_with_its_place(edit: Edit, where: str) -> None:
    (line,) = told(edit)
    assert "isolate-host.json" in line
    assert where in line
    assert line.endswith(f"[{STRUCTURE}]")


SIGNATURE = {
    "type": "jss",
    "id": uid("jss", 3),
    "created": "2026-01-01T00:00:00.000Z",
    "modified": "2026-01-01T00:00:00.000Z",
    "signee": "us",
    "related_to": ISOLATE["id"],
    "related_version": ISOLATE["modified"],
    "hash_algorithm": "sha-256",
    "algorithm": "Ed25519",
    "value": "AA",
}


def test_a_signature_names_one_key() -> None:
    read_playbook(edited(put(signatures=[{**SIGNATURE, "public_key": "AA"}])), "x")
    assert "exactly one of" in told(put(signatures=[SIGNATURE]))[0]
    assert "exactly one of" in told(put(signatures=[{**SIGNATURE, "public_key": "AA", "thumbprint": "AA"}]))[0]


@pytest.mark.parametrize(
    "edits",
    [
        [branching("if-condition", **IF, on_true=uid("action", 1), on_false=uid("action", 2)), branch(1), branch(2)],
        [branching("parallel", next_steps=[uid("action", 1), uid("action", 2)]), branch(1), branch(2)],
        [branching("while-condition", **IF, on_true=uid("action", 1)), branch(1)],
        [branching("switch-condition", switch="__confidence__:value", cases={"default": uid("action", 1)}), branch(1)],
        [defined("authentication_info_definitions", "http-basic", kms=True, kms_key_identifier="edr"),
         agent(authentication_info=SIGN_IN, port="443", category=["endpoint"])],
        [defined("data_marking_definitions", "marking-tlp", id=MARKING, **MADE, tlpv2_level="TLP:AMBER+STRICT"),
         put(markings=[MARKING])],
        [defined("data_marking_definitions", "marking-iep", id=MARKING, **MADE, **IEP)],
        [defined("extension_definitions", "extension-definition", name="x", created_by=uid("identity"), schema="s", version="1"),
         step(step_extensions={EXTENSION: {"a": 1}}), put(playbook_extensions={EXTENSION: {}})],
        [variable("__source_address__", type="ipv4-addr", external=True),
         target("net-address", address={"ipv4": ["__source_address__:value"]})],
        [target("individual", contact={"email": {"work": "a@example.com"}}, location={"country": "NO", "region": "europe"})],
        [target("location", logical=["room 1"]), step(delay=1000, timeout=60_000)],
        [put(valid_from="2026-01-01T23:59:60Z", valid_until="2030-01-01T00:00:00Z", industry_sectors=["water"]),
         target("sector", sector="water")],
        [put(external_references=[{"name": "guide", "url": "https://example.com"}]),
         step(external_references=[{"name": "guide", "url": "https://example.com"}])],
        [instead(type="bash", command="id")],
        [instead(type="caldera-cmd", command_b64=b64("id"))],
        [instead(type="kestrel", command_b64=b64("x = GET process"))],
        [instead(type="openc2-http", command="POST /openc2 HTTP/1.1", content_b64=b64("{}"), headers={"Accept": ["*/*"]})],
        [instead(type="manual", command="Ask.", version="1", external_references=[{"name": "x", "source": "y"}])],
    ],
)  # fmt: skip
def test_what_the_specification_allows_is_sound(edits: list[Edit]) -> None:
    read_playbook(edited(*edits), "x")


def test_all_broken_rules_are_told_at_once() -> None:
    head, *lines = told(put(modified="2020-01-01T00:00:00.000Z"), step(in_args=["__nobody__"]))
    assert "breaks 2 rule(s)" in head
    assert len(lines) == 2


@pytest.mark.parametrize("name", LOADED)
def test_a_shipped_playbook_breaks_no_rule(name: str) -> None:
    assert problems(LOADED[name]) == []


def test_the_guide_lists_every_rule_as_its_docstring_has_it() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+\.) \|$", (PLAYBOOKS / "README.md").read_text("utf-8"), re.MULTILINE)
    assert rows == [(name, (rule.__doc__ or "").splitlines()[0].replace("``", "`")) for name, rule in RULES.items()]
