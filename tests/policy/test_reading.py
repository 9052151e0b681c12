"""A verdict read back from its document fills a playbook as the verdict itself does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.errors import PermanentError
from connector.policy import document
from connector.policy.reading import verdict_in
from connector.policy.variables import SOURCES
from connector.testing import examples
from connector.types import Action, Entity, Verdict
from tests.policy.hostile import HOSTILE, poisoned


def again(verdict: Verdict) -> Verdict:
    return verdict_in(msgspec.json.decode(msgspec.json.encode(document(verdict))))


def with_verdict(action: Action, verdict: Verdict) -> Action:
    return msgspec.structs.replace(action, verdict=verdict, entity=verdict.entity)


def filled(action: Action) -> dict[str, str | None]:
    return {name: source(action) for name, source in SOURCES.items()}


@pytest.mark.parametrize(
    "entity",
    [Entity(), Entity(host="h", user="u", address="10.0.0.1", agent_id="a"), Entity(host="h", address="none")],
    ids=["nobody", "everybody", "no address"],
)
def test_every_variable_has_the_same_value_after_a_way_through_the_document(entity: Entity) -> None:
    verdict = msgspec.structs.replace(examples.verdict(3), entity=entity)
    action = with_verdict(examples.action(3), verdict)
    assert filled(with_verdict(action, again(verdict))) == filled(action)


def test_all_but_the_time_of_decision_and_the_kind_of_event_comes_back() -> None:
    verdict = examples.verdict(3)
    assert again(verdict) == msgspec.structs.replace(verdict, at=None, kind="generic")


def test_a_later_revision_is_told_by_its_number() -> None:
    assert again(examples.verdict(3, revision=2)).record_id == examples.verdict(3, revision=2).record_id


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_comes_back_as_it_went_or_not_at_all(value: str) -> None:
    found = again(poisoned(examples.action(1), value).verdict)
    assert found.source.id == value
    assert {found.entity.host, found.entity.user, found.entity.agent_id} <= {value, None}


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"event": {"id": "e"}},
        {"triaged": "yes", "event": {"id": "e"}},
        {"triaged": {"verdict": "evil"}, "event": {"id": "e"}},
        {**document(examples.verdict(1)), "event": {"id": 7}},
        {**document(examples.verdict(1)), "@timestamp": 7},
    ],
)
def test_what_is_no_verdict_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="no verdict"):
        verdict_in(broken)


def test_an_odd_threat_is_read_as_far_as_it_goes() -> None:
    found = {**document(examples.verdict(1))}
    for threat, passed in (
        (None, ()),
        ({"technique": []}, ()),
        ({"technique": {"id": "T1059", "subtechnique": {"id": ["T1059.001", 7]}}}, ("T1059", "T1059.001")),
    ):
        assert verdict_in({**found, "threat": threat}).passed == passed
