"""What the audit log tells of an action, whatever becomes of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from connector.errors import PermanentError
from connector.types import Action, Json
from tests.pipeline.watch import Watch, event, prediction
from tests.policy.cases import policy, rule


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    one = Watch(tmp_path, policy(rule("r", cooldown="1h"), soar="soar"))
    yield one
    one.close()


def told(watch: Watch) -> list[tuple[str, str, str | None]]:
    entries = ((entry, json.loads(entry.detail)) for entry in watch.ledger.audit_entries())
    return [(entry.actor, entry.what, detail.get("reason")) for entry, detail in entries if "key" in detail]


def test_a_lost_answer_is_told_as_a_doubt_and_each_send_as_an_admission(watch) -> None:
    watch.platform.lose_answers()
    watch.see((event("1", "a"), prediction(0.9)))
    watch.pass_time(120)
    assert [(actor, what) for actor, what, _ in told(watch)] == [
        ("policy", "action admitted"),
        ("soar:soar", "action in doubt"),
        ("policy", "action admitted"),
        ("policy", "action started"),
        ("soar:soar", "action ended"),
    ]
    assert watch.ledger.verify_audit()[0] == 5


def test_a_refusal_and_a_rejection_are_told_with_their_reason(watch) -> None:
    watch.platform.faults.add("run", error=lambda: PermanentError("no such playbook"))
    watch.see((event("1", "a"), prediction(0.9)))
    watch.ledger.add_silence("entity:agent:agent-b", watch.clock() + timedelta(hours=1), "ana", "known")
    watch.see((event("2", "b"), prediction(0.9)))
    assert told(watch) == [
        ("policy", "action admitted", None),
        ("soar:soar", "action failed", "no such playbook"),
        ("policy", "action refused", "silenced (entity:agent:agent-b)"),
    ]


def test_a_cool_down_is_told_once_and_told_again_when_the_rule_has_acted_again(watch) -> None:
    for number in range(8):
        watch.see((event(str(number), "a"), prediction(0.9)))
        watch.pass_time(900)
    whats = [what for _, what, _ in told(watch) if what in {"action refused", "action admitted"}]
    assert whats == ["action admitted", "action refused"] * 2
    assert sum(watch.runs().values()) == 2


def test_the_digest_of_the_request_is_told_where_the_soar_can_show_it(watch) -> None:
    def preview(action: Action) -> Json:
        return {"key": action.key}

    watch.see((event("1", "a"), prediction(0.9)))
    watch.act.soar.preview = preview
    watch.see((event("2", "b"), prediction(0.9)))
    started = [json.loads(entry.detail) for entry in watch.ledger.audit_entries() if entry.what == "action started"]
    assert [detail["sent"] for detail in started] == [
        None,
        hashlib.sha256(msgspec.json.encode({"key": started[1]["key"]})).hexdigest(),
    ]
