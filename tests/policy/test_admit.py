from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings, strategies as st

from connector.policy import (
    AdmissionContext,
    Policy,
    Refuse,
    Run,
    Wait,
    admit,
    is_silence,
    is_switch,
    scopes,
    switched_off,
)
from connector.policy.admit import cooldown_scope, rate_scope
from connector.policy.entity import MOST_ADDRESSES
from connector.types import Action, Entity
from tests.policy.cases import (
    LISTS,
    NOW,
    Approval,
    Silence,
    admission,
    contain,
    event,
    later,
    policy,
    prediction,
    proposed,
    rule,
)


def reason(result: Any, kind: type) -> str:
    assert isinstance(result, kind), result
    return str(result.reason)


def test_nothing_in_the_way_runs() -> None:
    in_force = policy(rule())
    assert admit(proposed(in_force), admission(), in_force, NOW) == Run()


def test_what_waits_for_a_person_rests_until_it_is_too_old() -> None:
    in_force = policy(rule(mode="approve", max_age="1h"))
    action = proposed(in_force)
    waits = admit(action, admission(), in_force, NOW)
    assert isinstance(waits, Wait)
    assert waits.until == action.proposed_at + timedelta(hours=1)
    last_look = admit(action, admission(), in_force, waits.until)
    assert isinstance(last_look, Wait)
    assert last_look.until > waits.until


def test_drift_holds_back_automatic_containment_and_nothing_else() -> None:
    drift = frozenset({"drift"})
    for in_force, stopped in (
        (policy(contain(mode="auto")), True),
        (policy(contain(mode="approve")), False),
        (policy(rule(mode="auto")), False),
    ):
        assert (switched_off(proposed(in_force), drift, in_force) is not None) == stopped
    assert is_switch("drift")


@pytest.mark.parametrize("switch", ["kill", "rule:r", "playbook:collect-triage-package", "soar:dryrun"])
def test_a_switch_waits(switch: str) -> None:
    in_force = policy(rule())
    action = proposed(in_force)
    result = admit(action, admission(switches=frozenset({switch})), in_force, NOW)
    assert "switch" in reason(result, Wait)
    assert NOW < result.until <= NOW + timedelta(minutes=1)
    assert switched_off(action, frozenset({switch}), in_force)
    assert switched_off(action, frozenset({"rule:other"}), in_force) is None


def test_a_disabled_policy_waits() -> None:
    in_force = policy(rule(), enabled=False)
    assert "disabled" in reason(admit(proposed(in_force), admission(), in_force, NOW), Wait)


def test_lifting_a_switch_releases_nothing_that_is_older_than_max_age() -> None:
    in_force = policy(rule(max_age="10m"))
    action = proposed(in_force)
    kill = admission(switches=frozenset({"kill"}))
    assert isinstance(admit(action, kill, in_force, later(minutes=10)), Wait)
    assert "max_age" in reason(admit(action, kill, in_force, later(minutes=11)), Refuse)
    assert "max_age" in reason(admit(action, admission(), in_force, later(minutes=11)), Refuse)


def test_max_age_is_an_hour_unless_said_otherwise() -> None:
    in_force = policy(rule())
    assert admit(proposed(in_force), admission(), in_force, later(hours=1)) == Run()
    assert isinstance(admit(proposed(in_force), admission(), in_force, later(hours=1, seconds=1)), Refuse)


@pytest.mark.parametrize(
    ("approval", "expected"),
    [
        (None, Wait),
        (Approval("pending"), Wait),
        (Approval("approved"), Run),
        (Approval("approved", later(hours=1)), Run),
        (Approval("approved", NOW), Wait),
        (Approval("rejected"), Refuse),
    ],
)
def test_mode_approve_follows_the_person(approval: Approval | None, expected: type) -> None:
    in_force = policy(rule(mode="approve"))
    assert isinstance(admit(proposed(in_force), admission(approval=approval), in_force, NOW), expected)


def test_todays_policy_counts_not_yesterdays() -> None:
    action = proposed(policy(rule()))
    assert "not in the policy" in reason(admit(action, admission(), policy(), NOW), Refuse)
    assert scopes(action, policy()) == ()
    moved = policy(rule(playbook="notify-on-call"))
    assert "now runs" in reason(admit(action, admission(), moved, NOW), Refuse)
    assert "now runs" in reason(admit(action, admission(), policy(rule(soar="other")), NOW), Refuse)
    assert "suggests" in reason(admit(action, admission(), policy(rule(mode="suggest")), NOW), Refuse)
    assert "approval" in reason(admit(action, admission(), policy(rule(mode="approve")), NOW), Wait)
    asked = proposed(policy(rule(mode="approve")))
    assert "approval" in reason(admit(asked, admission(), policy(rule(mode="auto")), NOW), Wait)


@pytest.mark.parametrize(
    "scope", ["*", "rule:r", "entity:agent:agent-7", "playbook:collect-triage-package", "soar:dryrun"]
)
def test_a_silence_refuses(scope: str) -> None:
    in_force = policy(rule())
    assert "silenced" in reason(admit(proposed(in_force), admission(silences=(Silence(scope),)), in_force, NOW), Refuse)
    other = admission(silences=(Silence("entity:agent:agent-8"), Silence("rule:other")))
    assert admit(proposed(in_force), other, in_force, NOW) == Run()


KNOWN = Entity(host="WS-7.corp.example", user="CORP\\anna", address="192.0.2.7", agent_id="a-7", aliases=("10.0.0.7",))


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("entity:agent:a-7", True),
        ("entity:agent:a-*", True),
        ("entity:host:ws-7", True),
        ("entity:host:ws-7.corp.example", True),
        ("entity:host:ws-7.other.example", False),
        ("entity:host:ws-?", True),
        ("entity:host:build-3", True),
        ("entity:user:anna", True),
        ("entity:user:berta", False),
        ("entity:address:10.0.0.0/24", True),
        ("entity:address:192.0.2.7", True),
        ("entity:address:10.0.1.0/24", False),
        ("entity:tag:lab", True),
        ("entity:tag:la*", False),
        ("entity:ws-7", False),
        ("rule:other", False),
        ("playbook:collect", False),
        ("rule:*", False),
    ],
)
def test_a_silence_covers_an_entity_by_any_name_that_it_goes_by(scope: str, covered: bool) -> None:
    in_force = policy(rule())
    action = msgspec.structs.replace(proposed(in_force), entity=KNOWN, entity_key="agent:a-7")
    known = {"aliases": frozenset({"build-3"}), "tags": frozenset({"lab"})}
    result = admit(action, admission(silences=(Silence(scope),), **known), in_force, NOW)
    assert isinstance(result, Refuse) == covered
    assert is_silence(scope) or not covered


@pytest.mark.parametrize("scope", ["", "**", "rule:", "entity:", "entity:host:", "entity:address:ten", "host:ws-7"])
def test_what_could_cover_nothing_is_no_scope(scope: str) -> None:
    in_force = policy(rule())
    assert not is_silence(scope)
    assert admit(proposed(in_force), admission(silences=(Silence(scope),)), in_force, NOW) == Run()


def test_an_entity_has_a_cap_of_its_own_whatever_ran_on_it() -> None:
    in_force = policy(rule(entity_rate={"runs": 2, "per": "1d"}), rule("uncapped"))
    action = proposed(in_force)
    _, _, entity = scopes(action, in_force)
    assert (entity.name, entity.window) == ("entity:agent:agent-7", timedelta(days=1))
    full = admission(counted={entity.name: (later(hours=-2), 2)})
    waits = admit(action, full, in_force, NOW)
    assert "2 runs on agent:agent-7" in reason(waits, Wait)
    assert admit(action, admission(counted={entity.name: (later(hours=-2), 1)}), in_force, NOW) == Run()
    other = msgspec.structs.replace(action, rule="uncapped")
    assert entity.name in {scope.name for scope in scopes(other, in_force)}
    assert admit(other, full, in_force, NOW) == Run()


def test_a_cooldown_refuses_and_a_full_rate_cap_waits() -> None:
    in_force = policy(rule(cooldown="30m", rate={"runs": 2, "per": "1h"}))
    action = proposed(in_force)
    cooldown, rate, _ = scopes(action, in_force)
    assert (cooldown.window, rate.window) == (timedelta(minutes=30), timedelta(hours=1))
    hot = admission(counted={cooldown.name: (later(minutes=-29), 1)})
    assert "cool-down" in reason(admit(action, hot, in_force, NOW), Refuse)
    cold = admission(counted={cooldown.name: (later(minutes=-30), 0), rate.name: (later(minutes=-1), 1)})
    assert admit(action, cold, in_force, NOW) == Run()
    full = admission(counted={rate.name: (later(minutes=-1), 2)})
    assert "rate cap" in reason(admit(action, full, in_force, NOW), Wait)


AUTO = {"mode": "auto"}


@pytest.mark.parametrize(
    ("members", "context", "why"),
    [
        ({"text": 0.9}, {}, "two members"),
        ({"text": 0.9, "rules": None}, {}, "two members"),
        ({"text": 0.9, "rules": float("nan")}, {}, "two members"),
        ({"text": 0.9, "rules": 0.9}, {"bundle_ready": False}, "bundle"),
        ({"text": 0.9, "rules": 0.9}, {"drifting": True}, "drifts"),
        ({"text": 0.9, "rules": 0.9}, {"uniqueness": "search"}, "unique keys"),
        ({"text": 0.9, "rules": 0.9}, {"uniqueness": "none"}, "unique keys"),
        ({"text": 0.9, "meta": 0.9}, {}, "two members"),
        ({"text": 0.9, "rules": 0.9}, {"resolved": frozenset()}, "no table of assets tells its hosts"),
    ],
)
def test_automatic_containment_fails_closed(members: dict[str, Any], context: dict[str, Any], why: str) -> None:
    in_force = policy(contain(**AUTO), protected={"hosts": ["dc*"]})
    action = proposed(in_force, the_prediction=prediction(members=members))
    assert why in reason(admit(action, admission(**context), in_force, NOW), Refuse)
    approved = policy(contain(mode="approve"))
    action = proposed(approved, the_prediction=prediction(members=members))
    assert admit(action, admission(approval=Approval(), **context), approved, NOW) == Run()


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"verdict": "abstain"}, "abstain"), ({"verdict": "benign"}, "benign"), ({"passed": ()}, "known")],
)
def test_automatic_containment_does_not_trust_what_was_proposed(changes: dict[str, Any], why: str) -> None:
    in_force = policy(contain(**AUTO))
    action = proposed(in_force)
    altered = msgspec.structs.replace(action, verdict=msgspec.structs.replace(action.verdict, **changes))
    assert why in reason(admit(altered, admission(), in_force, NOW), Refuse)


def test_an_agent_that_no_table_knows_is_contained_where_only_agents_are_protected() -> None:
    in_force = policy(contain(**AUTO), protected={"agents": ["crown-*"]})
    assert admit(proposed(in_force), admission(resolved=frozenset()), in_force, NOW) == Run()


@pytest.mark.parametrize("kind", sorted(LISTS))
def test_what_the_tables_tell_of_an_agent_must_answer_each_list_that_protects(kind: str) -> None:
    in_force = policy(contain(**AUTO), protected={kind: ["10.9.9.0/24" if kind == "addresses" else "crown"]})
    action = proposed(in_force)
    refused = admit(action, admission(resolved=LISTS - {kind}), in_force, NOW)
    assert reason(refused, Refuse).endswith(f"no table of assets tells its {kind}")
    assert admit(action, admission(resolved=frozenset({kind})), in_force, NOW) == Run()


@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_a_host_with_more_addresses_than_are_kept_is_never_contained_where_something_is_protected(mode: str) -> None:
    in_force = policy(contain(mode=mode), protected={"addresses": ["10.9.9.0/24"]})
    free = policy(contain(mode=mode), protected={"agents": ["crown-*"]})
    for count, fits in ((17, True), (MOST_ADDRESSES - 1, True), (MOST_ADDRESSES, False), (MOST_ADDRESSES + 1, False)):
        ips = [str(ip_address("192.0.2.0") + number) for number in range(count)]
        seen = event(host={"name": "ws-7", "ip": ips}, agent={"id": "agent-7"})
        result = admit(proposed(in_force, seen), admission(approval=Approval()), in_force, NOW)
        assert (result == Run()) == fits, count
        assert fits or "addresses" in reason(result, Refuse)
        assert admit(proposed(free, seen), admission(approval=Approval()), free, NOW) == Run()
        last = event(host={"name": "ws-7", "ip": [*ips, "10.9.9.9"]}, agent={"id": "agent-7"})
        assert isinstance(admit(proposed(in_force, last), admission(approval=Approval()), in_force, NOW), Refuse)


def test_rules_with_the_same_playbook_share_what_is_counted_for_it() -> None:
    in_force = policy(rule("first", rate={"runs": 2}), rule("second", rate={"runs": 2}))
    first, second = (msgspec.structs.replace(proposed(in_force), rule=name) for name in ("first", "second"))
    _, counted, _ = scopes(first, in_force)
    full = admission(counted={counted.name: (later(minutes=-1), 2)})
    assert "rate cap" in reason(admit(second, full, in_force, NOW), Wait)


def test_an_uncounted_action_never_runs() -> None:
    in_force = policy(rule())
    with pytest.raises(KeyError, match="cooldown"):
        admit(proposed(in_force), AdmissionContext(bundle_ready=True, uniqueness="key"), in_force, NOW)


def test_a_context_that_was_left_empty_fails_closed() -> None:
    in_force = policy(contain(**AUTO))
    assert isinstance(admit(proposed(in_force), AdmissionContext(), in_force, NOW), Refuse)


def test_automatic_containment_runs_when_all_is_well_and_a_second_run_must_be_accepted_in_words() -> None:
    in_force = policy(contain(**AUTO))
    assert admit(proposed(in_force), admission(), in_force, NOW) == Run()
    accepted = policy(contain(**AUTO), accept="a containment may run a second time")
    assert admit(proposed(accepted), admission(uniqueness="search"), accepted, NOW) == Run()


@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_containment_needs_an_attested_identity(mode: str) -> None:
    in_force = policy(contain(mode=mode))
    action = proposed(in_force, event(host={"name": "ws-7"}))
    result = admit(action, admission(approval=Approval()), in_force, NOW)
    assert "agent.id" in reason(result, Refuse)


@pytest.mark.parametrize(
    ("protected", "entity", "aliases"),
    [
        ({"hosts": ["DC1"]}, Entity(agent_id="a", host="dc1.corp.example"), ()),
        ({"hosts": ["dc*.corp.example"]}, Entity(agent_id="a", host="DC2.corp.example"), ()),
        ({"agents": ["a-*"]}, Entity(agent_id="A-1", host="harmless"), ()),
        ({"users": ["svc-backup"]}, Entity(agent_id="a", user="SVC-Backup"), ()),
        ({"addresses": ["10.1.0.0/16"]}, Entity(agent_id="a", address="10.1.2.3"), ()),
        ({"addresses": ["10.1.0.0/16"]}, Entity(agent_id="a", address="::ffff:10.1.2.3"), ()),
        ({"hosts": ["dc1"]}, Entity(agent_id="a", host="lied"), ("DC1.corp.example",)),
        ({"addresses": ["10.1.0.0/16"]}, Entity(agent_id="a", host="lied"), ("10.1.2.3",)),
        ({"addresses": ["10.1.0.0/16"]}, Entity(agent_id="a", host="lied", aliases=("::1", "10.1.2.3")), ()),
        ({"hosts": ["dc1"]}, Entity(agent_id="a", host="lied", aliases=("dc1",)), ()),
        ({"hosts": ["dc1.corp.example"]}, Entity(agent_id="a", host="DC1"), ()),
        ({"hosts": ["dc1.corp.example"]}, Entity(agent_id="a", host="dc1.corp.example."), ()),
        ({"hosts": ["*.corp.example"]}, Entity(agent_id="a", host="dc1"), ()),
        ({"users": ["svc-backup"]}, Entity(agent_id="a", user="CORP\\svc-backup"), ()),
        ({"users": ["svc-backup"]}, Entity(agent_id="a", user="svc-backup@corp.example"), ()),
        ({"users": ["CORP\\svc-backup"]}, Entity(agent_id="a", user="svc-backup"), ()),
    ],
)
@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_a_protected_asset_is_never_contained(
    protected: dict[str, Any], entity: Entity, aliases: tuple[str, ...], mode: str
) -> None:
    in_force = policy(contain(mode=mode), protected=protected)
    action = msgspec.structs.replace(proposed(in_force), entity=entity)
    context = admission(approval=Approval(), aliases=frozenset(aliases))
    assert "protected" in reason(admit(action, context, in_force, NOW), Refuse)
    unprotected = policy(contain(mode=mode))
    assert admit(action, context, unprotected, NOW) == Run()


RULES = st.fixed_dictionaries(
    {
        "tier_and_playbook": st.sampled_from(
            [("contain", "isolate-host"), ("ticket", "collect-triage-package"), ("note", "notify-on-call")]
        ),
        "mode": st.sampled_from(["approve", "auto"]),
        "runs": st.integers(1, 4),
        "per": st.integers(1, 120),
        "cooldown": st.integers(1, 120),
        "max_age": st.integers(1, 120),
    }
)
ENTITIES = st.builds(
    Entity,
    host=st.sampled_from([None, "ws-1", "dc1", "dc1.corp.example"]),
    agent_id=st.sampled_from([None, "agent-1", "agent-2", "crown-1"]),
)
CONTEXTS = st.fixed_dictionaries(
    {
        "switches": st.sampled_from([frozenset(), frozenset({"kill"})]),
        "approval": st.sampled_from([None, Approval(), Approval("rejected")]),
        "bundle_ready": st.booleans(),
        "drifting": st.booleans(),
        "uniqueness": st.sampled_from(["key", "search", "none"]),
        "aliases": st.sampled_from([frozenset(), frozenset({"crown-1"})]),
    }
)
MEMBERS = st.sampled_from([{"text": 0.9}, {"text": 0.9, "rules": None}, {"text": 0.9, "rules": 0.8}])
PROTECTED = {"hosts": ["dc*"], "agents": ["crown-*"]}


def build(drawn: dict[str, Any]) -> Policy:
    tier, playbook = drawn["tier_and_playbook"]
    return policy(
        rule(
            tier=tier,
            playbook=playbook,
            mode=drawn["mode"],
            cooldown=f"{drawn['cooldown']}m",
            max_age=f"{drawn['max_age']}m",
            rate={"runs": drawn["runs"], "per": f"{drawn['per']}m"},
        ),
        protected=PROTECTED,
    )


@settings(max_examples=150, deadline=None)
@given(RULES, ENTITIES, CONTEXTS, MEMBERS, st.integers(0, 200))
def test_what_runs_was_allowed_to(
    drawn: dict[str, Any], entity: Entity, context: dict[str, Any], members: dict[str, Any], minutes: int
) -> None:
    in_force = build(drawn)
    action = msgspec.structs.replace(
        proposed(in_force, the_prediction=prediction(members=members)), entity=entity, entity_key="agent:x"
    )
    result = admit(action, admission(**context), in_force, later(minutes=minutes))
    assert result == admit(action, admission(**context), in_force, later(minutes=minutes))
    if "kill" in context["switches"]:
        assert not isinstance(result, Run)
    if minutes > drawn["max_age"]:
        assert isinstance(result, Refuse)
    if not isinstance(result, Run):
        return
    assert drawn["mode"] == "auto" or context["approval"] == Approval()
    if action.tier == "contain":
        assert entity.agent_id is not None
        assert not entity.agent_id.startswith("crown")
        assert not (entity.host or "").startswith("dc")
        assert not context["aliases"]
    if action.tier == "contain" and drawn["mode"] == "auto":
        assert sum(vote is not None for vote in members.values()) >= 2
        assert context["bundle_ready"]
        assert not context["drifting"]
        assert context["uniqueness"] == "key"


def counted(action: Action, in_force: Policy, runs: list[tuple[datetime, Action]], now: datetime) -> dict[str, Any]:
    """What a ledger would count: admitted actions by scope, this one left out, each once."""
    found: dict[str, Any] = {}
    for scope in scopes(action, in_force):
        times = [at for at, other in runs if other.key != action.key and scope.name in names(other)]
        found[scope.name] = (max(times, default=None), sum(at > now - scope.window for at in times))
    return found


def names(action: Action) -> tuple[str, str]:
    return cooldown_scope(action.rule, action.entity_key), rate_scope(action)


@settings(max_examples=60, deadline=None)
@given(RULES, st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=5, max_size=40), st.booleans())
def test_caps_and_cooldowns_hold_over_any_sequence(
    drawn: dict[str, Any], arrivals: list[tuple[int, int]], claimed_twice: bool
) -> None:
    in_force = build(drawn | {"mode": "auto", "tier_and_playbook": ("ticket", "collect-triage-package")})
    (the_rule,) = in_force.rules
    now, waiting, runs = NOW, [], []
    for number, (gap, host) in enumerate(arrivals):
        now += timedelta(minutes=gap)
        fresh = proposed(in_force, event(str(number), agent={"id": f"agent-{host}"}))
        waiting.append(msgspec.structs.replace(fresh, proposed_at=now))
        if claimed_twice and runs:
            waiting.append(runs[-1][1])
        still = []
        for action in waiting:
            context = admission(counted=counted(action, in_force, runs, now))
            result = admit(action, context, in_force, now)
            if isinstance(result, Run) and all(other.key != action.key for _, other in runs):
                runs.append((now, action))
            elif isinstance(result, Wait):
                still.append(action)
        waiting = still
        for end, _ in runs:
            inside = [other for at, other in runs if end - the_rule.rate.per < at <= end]
            assert len(inside) <= the_rule.rate.runs
        by_entity: dict[str, datetime] = {}
        for at, action in runs:
            before = by_entity.get(action.entity_key)
            assert before is None or at - before >= the_rule.cooldown
            by_entity[action.entity_key] = at
    assert runs
