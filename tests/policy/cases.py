"""Values that the policy's tests share."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import strategies as st

from connector import identity
from connector.policy import AdmissionContext, Decision, DecisionContext, Policy, decide
from connector.policy.playbooks import load_playbooks
from connector.types import Action, Event, ModelRef, Prediction, SourceRef, TechniqueScore

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
KEY = b"k" * 32
LOADED = load_playbooks(PLAYBOOKS)
LISTS = frozenset({"hosts", "users", "addresses", "tags"})
"""The lists of ``[protected]`` that only a table of assets can answer for an agent."""


class Thresholds(msgspec.Struct, frozen=True):
    suspicious: float = 0.3
    malicious: float = 0.6
    trigger: float = 0.8


class Approval(msgspec.Struct, frozen=True):
    state: str = "approved"
    expires_at: datetime | None = None


class Silence(msgspec.Struct, frozen=True):
    scope: str


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return Policy.build({"rules": list(rules), **more}, LOADED)


def rule(name: str = "r", **more: Any) -> dict[str, Any]:
    return {"name": name, "tier": "ticket", "mode": "auto", "playbook": "collect-triage-package", **more}


def contain(name: str = "c", **more: Any) -> dict[str, Any]:
    return rule(name, **{"tier": "contain", "playbook": "isolate-host", **more})


def event(native: str = "1", **ecs: Any) -> Event:
    ecs = ecs or {"host": {"name": "ws-7"}, "agent": {"id": "agent-7"}, "user": {"name": "anna"}}
    return Event(
        id=identity.event_id("lab", native),
        ref=SourceRef(siem="elastic", index="logs", id=native),
        kind="sysmon-10",
        ecs={"@timestamp": "2026-11-21T11:59:00Z", **ecs},
        canonical=(),
        fingerprint="0" * 64,
    )


def prediction(p: float = 0.95, *passed: str, **more: Any) -> Prediction:
    passed = passed or ("T1003", "T1003.001")
    parents = dict.fromkeys(technique.partition(".")[0] for technique in passed)
    return Prediction(
        **{
            "p_malicious": p,
            "techniques": tuple(
                TechniqueScore(
                    id=parent,
                    probability=0.9,
                    subtechnique=next(
                        (TechniqueScore(id=i, probability=0.7) for i in passed if f"{parent}." in i), None
                    ),
                )
                for parent in parents
            ),
            "passed": passed,
            "members": {"text": p, "rules": p},
            **more,
        }
    )


def context(**more: Any) -> DecisionContext:
    model = ModelRef(name="bundle", version="1", attack_version="18.1")
    return DecisionContext(
        **{"now": NOW, "model": model, "thresholds": Thresholds(), "members": 2, "origin_key": KEY, **more}
    )


def proposed(in_force: Policy, the_event: Event | None = None, the_prediction: Prediction | None = None) -> Action:
    decision: Decision = decide(the_event or event(), the_prediction or prediction(), context(), in_force)
    (action,) = decision.actions
    return action


def admission(**more: Any) -> AdmissionContext:
    """A context in which nothing stands in the way: no scope has counted anything but what ``counted`` says."""
    counted = defaultdict(lambda: (None, 0), more.pop("counted", {}))
    clear = {"bundle_ready": True, "drifting": False, "uniqueness": "key", "resolved": LISTS}
    return AdmissionContext(**{**clear, "counted": counted, **more})


def later(**more: float) -> datetime:
    return NOW + timedelta(**more)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=5,
)


def altered(tree: Any, data: st.DataObject) -> None:
    """Puts any JSON in a drawn place of the tree, or takes that place away."""
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = data.draw(st.sampled_from(keys))
        if isinstance(tree[key], dict | list) and tree[key] and data.draw(st.booleans()):
            tree = tree[key]
            continue
        if data.draw(st.booleans()):
            tree[key] = data.draw(JSON)
        else:
            del tree[key]
        return
