"""Changes of notables: a comment once, and nothing that the record does not say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, TransientError
from connector.policy import decide
from connector.siem.splunk.alerts import DISPOSITIONS, LONGEST_COMMENT, STATUSES, Notables, comment_of, mark_of
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.writer import ServerSettings
from connector.testing import examples
from connector.types import AlertUpdate, SourceRef
from tests.policy import cases
from tests.siem.splunk.writing import DELIVERED
from tests.splunkd import Refusal, Splunkd, User
from tests.splunkd.wire import CutOffError, json_answer

RULE_ID = "5B2E5B1A-0000-4000-8000-000000000001@@notable@@0cc175b9c0f1b6a831c399e269772661"
UPDATE = msgspec.structs.replace(
    examples.records()[AlertUpdate], alert=SourceRef(siem="lab", index="notable", id=RULE_ID)
)


@pytest.fixture
def splunkd() -> Iterator[Splunkd]:
    with Splunkd() as server:
        yield server


def notables(splunkd: Splunkd, token: str | None = None) -> Notables:
    settings = {"hosts": [splunkd.url], "token": token or splunkd.token, "timeout": "PT5S"}
    return Notables(Splunk(ServerSettings.model_validate(settings)), "lab")


def update(**more: Any) -> AlertUpdate:
    return msgspec.structs.replace(UPDATE, **more)


def form(splunkd: Splunkd) -> dict[str, list[str]]:
    return splunkd.asked("notable_update")[-1].form


def test_a_comment_changes_nothing_else(splunkd: Splunkd) -> None:
    assert notables(splunkd).apply(update()) == DELIVERED
    assert form(splunkd) == {"ruleUIDs": [RULE_ID], "comment": [comment_of(UPDATE)]}
    (row,) = splunkd.review.history(RULE_ID)
    assert (row["status"], row["disposition"], row["urgency"]) == ("1", "disposition:6", "medium")
    assert row["comment"].splitlines() == ["a note", "Tags: triaged", f"Triaged {UPDATE.record_id}"]


def test_what_a_rule_says_of_a_notable_gets_there(splunkd: Splunkd) -> None:
    wanted = {"tags": ["triaged"], "note": True, "status": "closed"}
    ref = SourceRef(siem="lab", index="notable", id="notable~1~A:1:2", event_id=RULE_ID, alert=RULE_ID)
    event = msgspec.structs.replace(cases.event(), ref=ref)
    made = decide(event, cases.prediction(), cases.context(), cases.policy(cases.rule(alert=wanted))).alert
    assert made is not None
    assert notables(splunkd).apply(made) == DELIVERED
    (row,) = splunkd.review.history(RULE_ID)
    assert row["status"] == STATUSES["closed"]
    assert row["comment"].startswith("Triaged: malicious (0.95), T1003 OS Credential Dumping")


def test_a_comment_that_stands_there_is_not_written_again(splunkd: Splunkd) -> None:
    for _ in range(2):
        assert notables(splunkd).apply(update(status="pending")) == DELIVERED
    assert len(splunkd.review.history(RULE_ID)) == 1


def test_a_comment_whose_answer_was_lost_is_found_when_it_comes_again(splunkd: Splunkd) -> None:
    def update_and_break(request, of_search):
        splunkd.review.update(request, of_search)
        raise CutOffError

    replace_endpoint(splunkd, "notable_update", update_and_break)
    writer = notables(splunkd)
    assert writer.apply(update()).outcome == "unknown"
    assert writer.apply(update()) == DELIVERED
    assert len(splunkd.review.history(RULE_ID)) == 1


def replace_endpoint(splunkd: Splunkd, path: str, once: Any) -> None:
    """The next request to this path is answered otherwise."""
    real = splunkd._routed

    def routed(request):
        if request.path == path:
            splunkd._routed = real
            request.user = splunkd.sessions.user(request)
            return once(request, lambda sid: [])
        return real(request)

    splunkd._routed = routed


@pytest.mark.parametrize(
    ("status", "number"), [("4", "4"), ("Closed", "5"), ("closed", "5"), ("acknowledged", "2"), ("open", "1")]
)
def test_a_status_goes_by_its_number_its_label_or_a_word_of_other_siems(
    splunkd: Splunkd, status: str, number: str
) -> None:
    assert notables(splunkd).apply(update(status=status)) == DELIVERED
    assert form(splunkd)["status"] == [number]


def test_a_sites_own_labels_go_before_the_shipped_ones(splunkd: Splunkd) -> None:
    splunkd.review.statuses |= {"6": "Waiting for HR", "7": "Closed"}
    splunkd.review.dispositions |= {"disposition:9": "Red team"}
    writer = notables(splunkd)
    assert writer.apply(update(status="waiting for hr", disposition="Red team")) == DELIVERED
    assert (form(splunkd)["status"], form(splunkd)["disposition"]) == (["6"], ["disposition:9"])
    assert writer.apply(update(status="closed", record_id="another")) == DELIVERED
    assert form(splunkd)["status"] == ["7"]


@pytest.mark.parametrize(("word", "number"), [("true_positive", "disposition:1"), ("disposition:4", "disposition:4")])
def test_a_disposition_goes_by_its_number_or_by_our_own_words(splunkd: Splunkd, word: str, number: str) -> None:
    assert notables(splunkd).apply(update(disposition=word, urgency="High")) == DELIVERED
    assert (form(splunkd)["disposition"], form(splunkd)["urgency"]) == ([number], ["high"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"status": "done"}, "a status is one of .*closed"),
        ({"status": "disposition:1"}, "a status is one of"),
        ({"disposition": "5"}, "a disposition is one of .*true_positive"),
        ({"urgency": "extreme"}, "an urgency is one of informational"),
        ({"status": "99"}, "not a valid status"),
    ],
)
def test_a_word_that_the_site_does_not_know_is_rejected_with_those_that_it_does(
    splunkd: Splunkd, change: dict[str, str], said: str
) -> None:
    found = notables(splunkd).apply(update(**change))
    assert found.outcome == "rejected"
    assert re.search(said, found.reason)
    assert splunkd.review.history(RULE_ID) == []


def test_alerts_of_other_deployments_are_left_alone(splunkd: Splunkd) -> None:
    other = update(alert=SourceRef(siem="elastic-prod", index="alerts", id=RULE_ID))
    assert notables(splunkd).apply_all([other]) == [DELIVERED]
    assert splunkd.requests == []


def test_an_events_text_in_a_note_stays_text(splunkd: Splunkd) -> None:
    odd = update(note="a&status=5\x1b[31m\u202e\x00 &ruleUIDs=*" + "x" * 10_000, tags=("a\nb",))
    assert notables(splunkd).apply(odd) == DELIVERED
    assert set(form(splunkd)) == {"ruleUIDs", "comment"}
    comment = splunkd.review.latest(RULE_ID)["comment"]
    assert comment.startswith("a&status=5 [31m")
    assert not set(comment) & set("\x1b\u202e\x00")
    assert comment.endswith(mark_of(odd))
    assert len(comment) < LONGEST_COMMENT + 200


def test_without_the_capability_a_person_is_told(splunkd: Splunkd) -> None:
    users = {"triaged": User("p", ("t",), frozenset({"search"}))}
    with Splunkd(users=users) as strict, pytest.raises(ConfigError, match="capabilit"):
        notables(strict, "t").apply(update())


def test_a_refusal_by_permission_in_an_answer_is_told_to_a_person(splunkd: Splunkd) -> None:
    told = {"success": False, "message": "User does not have permission to change the status"}
    replace_endpoint(splunkd, "notable_update", lambda *_: json_answer(told))
    with pytest.raises(ConfigError, match="edit_notable_events"):
        notables(splunkd).apply(update())


def test_where_the_history_may_not_be_read_the_comment_is_written_all_the_same(splunkd: Splunkd) -> None:
    for path in ("incident_review", "reviewstatuses"):
        splunkd.faults.refuse.append(Refusal(403, path, "You may not read this"))
    assert notables(splunkd).apply(update(status="closed")) == DELIVERED
    assert form(splunkd)["status"] == ["5"]


def test_a_busy_search_head_is_asked_again_later(splunkd: Splunkd) -> None:
    splunkd.refuse(503, "notable_update")
    writer = notables(splunkd)
    found = writer.apply(update())
    assert found.outcome in {"retry", "unknown"}
    assert writer.apply(update()) == DELIVERED


def test_a_search_head_that_answers_no_look_up_is_an_outage_of_the_target_and_asked_once(splunkd: Splunkd) -> None:
    splunkd.refuse(503, "incident_review")
    with pytest.raises(TransientError):
        notables(splunkd).apply_all([update(record_id=str(number)) for number in range(3)])
    assert len(splunkd.requests) == 1


def test_after_one_update_without_an_answer_the_others_wait_unasked(splunkd: Splunkd) -> None:
    other = update(alert=SourceRef(siem="elastic-prod", index="alerts", id=RULE_ID))
    updates = [update(), *(update(record_id=str(number)) for number in range(3)), other]
    splunkd.refuse(503, "notable_update")
    found = notables(splunkd).apply_all(updates)
    assert [one.outcome for one in found] == ["unknown", "retry", "retry", "retry", "delivered"]
    assert len(splunkd.asked("notable_update")) == 1
    assert notables(splunkd).apply_all(updates) == [DELIVERED] * 5


def test_what_was_answered_before_a_search_head_went_down_stays_settled(splunkd: Splunkd) -> None:
    splunkd.refuse(503, "reviewstatuses")
    found = notables(splunkd).apply_all([update(), update(record_id="a", status="closed"), update(record_id="b")])
    assert [one.outcome for one in found] == ["delivered", "retry", "retry"]
    assert len(splunkd.review.history(RULE_ID)) == 1


def test_the_known_words_are_those_that_the_product_uses() -> None:
    assert {"open", "acknowledged", "closed"} <= set(STATUSES)
    assert {"true_positive", "false_positive", "benign_positive"} <= set(DISPOSITIONS)
