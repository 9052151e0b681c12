"""TheHive 5: alerts as its API reference has them, one a key whatever is lost, and what an analyst made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.errors import ConfigError, PermanentError, TransientError
from connector.retries import retrying
from connector.soar.thehive import STAGES, TheHive, TheHiveSettings
from connector.testing import examples
from connector.types import Entity, RunRef
from tests.policy.hostile import CANARY, HOSTILE, poisoned, shape
from tests.soar.thehive import KEY, OBSERVABLE_TYPES, TheHivePlatform

replace = msgspec.structs.replace
ENTITY = Entity(host="host-1", user="user1", address="::ffff:192.0.2.7", agent_id="agent-1")
ACTION = replace(examples.action(0), entity=ENTITY)
WHEN = int(ACTION.proposed_at.timestamp() * 1000)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[TheHivePlatform]:
    with TheHivePlatform(tmp_path) as stood_up:
        yield stood_up


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TheHivePlatform, TheHive]]:
    """One, and one adapter, for every text of the corpus."""
    with TheHivePlatform(tmp_path_factory.mktemp("thehive")) as stood_up:
        yield stood_up, soar(stood_up)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that did not leave is not tried again."""
    monkeypatch.setattr("connector.soar.rest.retrying", lambda *_: retrying(0.0))


def soar(platform: TheHivePlatform, later: timedelta = timedelta(0), **more: Any) -> TheHive:
    config = TheHiveSettings.model_validate({**platform.soar_config(), **more})
    return TheHive("hive", config, lambda: datetime.now(UTC) + later)


def sent(platform: TheHivePlatform) -> list[Any]:
    return [one.json() for one in platform.started()]


def test_an_alert_carries_the_key_the_evidence_and_what_the_policy_asks_for(platform: TheHivePlatform) -> None:
    templates = {"notify-on-call": "On-call"}
    soar(platform, case_templates=templates, organisation="soc", tlp=3, pap=1).run(ACTION)
    (alert,) = sent(platform)
    description = alert.pop("description")
    assert alert == {
        "type": "triaged",
        "source": "triaged",
        "sourceRef": ACTION.key,
        "title": "Triaged: malicious, T1059, T1059.001 on host-1",
        "severity": 3,
        "date": WHEN,
        "tags": ["triaged", "rule:example", "playbook:notify-on-call", "T1059", "T1059.001"],
        "tlp": 3,
        "pap": 1,
        "caseTemplate": "On-call",
        "observables": [
            {"dataType": "hostname", "data": "host-1", "tags": ["host"]},
            {"dataType": "ip", "data": "192.0.2.7", "tags": ["address"]},
            {"dataType": "other", "data": "user1", "tags": ["user"]},
            {"dataType": "other", "data": "agent-1", "tags": ["agent-id"]},
        ],
        "procedures": [{"patternId": "T1059.001", "occurDate": WHEN, "tactic": "execution"}],
    }
    shown = json.loads(description.partition("```json\n")[2].partition("\n```")[0])
    assert shown["action"] == {"key": ACTION.key, "rule": "example", "playbook": "notify-on-call", "tier": "note"}
    assert shown["verdict"]["triaged"]["verdict"] == "malicious"
    (request,) = platform.asked
    assert (request.headers["authorization"], request.headers["x-organisation"]) == (f"Bearer {KEY}", "soc")


def test_a_containment_is_one_more_severe_and_an_alert_says_who_once(platform: TheHivePlatform) -> None:
    same = Entity(host="same", user="same", agent_id="same", address="no address")
    soar(platform).run(replace(ACTION, tier="contain", entity=same))
    (alert,) = sent(platform)
    assert alert["severity"] == 4
    assert [(one["dataType"], one["data"]) for one in alert["observables"]] == [("hostname", "same"), ("other", "same")]
    assert "caseTemplate" not in alert


@pytest.mark.parametrize("refusal", [400, 409])
def test_a_second_alert_with_the_key_is_refused_and_leads_to_the_first(platform: TheHivePlatform, refusal: int) -> None:
    platform.duplicate_status = refusal
    first = soar(platform).run(ACTION)
    assert soar(platform).run(ACTION) == first == soar(platform).find(ACTION.key)
    assert platform.runs() == {ACTION.key: 1}
    assert platform.asked[-1].url.endswith(f"/api/v1/alert/triaged%3Btriaged%3B{ACTION.key}")


def test_after_a_lost_answer_the_alert_is_found_and_sending_again_raises_no_second(platform: TheHivePlatform) -> None:
    platform.lose_answers()
    with pytest.raises(TransientError) as caught:
        soar(platform).run(ACTION)
    assert caught.value.sent
    assert soar(platform).find(ACTION.key) == soar(platform).run(ACTION)
    assert platform.runs() == {ACTION.key: 1}


def test_a_technique_that_their_catalogue_lacks_costs_the_procedures_alone(platform: TheHivePlatform) -> None:
    platform.unknown = {"T1059.001"}
    soar(platform).run(ACTION)
    (alert,) = platform.alerts.values()
    assert alert["procedures"] == []
    assert "T1059.001" in alert["tags"]


def test_a_refusal_that_is_no_duplicate_is_final_and_says_why(platform: TheHivePlatform) -> None:
    platform.refuse(2, 400)
    with pytest.raises(PermanentError, match=r"HTTP 400 .*refused on demand"):
        soar(platform).run(ACTION)
    assert platform.runs() == {}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "error", "is_sent"),
    [
        (401, ConfigError, None),
        (403, ConfigError, None),
        (404, PermanentError, None),
        (413, PermanentError, None),
        (429, TransientError, False),
        (500, TransientError, True),
        (503, TransientError, True),
        (302, TransientError, True),
    ],
)
def test_each_refusal_has_one_meaning(
    platform: TheHivePlatform,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    error: type[Exception],
    is_sent: bool | None,
) -> None:
    platform.refuse(2, status)
    with pytest.raises(error) as caught:
        soar(platform).run(ACTION)
    assert getattr(caught.value, "sent", None) is is_sent
    assert KEY not in str(caught.value)


def test_an_analyst_ends_the_run_and_the_clock_does_where_none_comes(platform: TheHivePlatform) -> None:
    run = soar(platform).run(ACTION)
    platform.outcome = "running"
    assert soar(platform).status(run, ACTION).state == "running"
    late = soar(platform, timedelta(days=7, seconds=5)).status(run, ACTION)
    assert (late.state, late.run_id) == ("timed_out", run.run_id)
    assert "no analyst took it within 7 days" in late.detail
    platform.outcome = "succeeded"
    seen = soar(platform).status(run, ACTION)
    assert (seen.state, seen.detail) == ("succeeded", f"alert {run.run_id} is Imported, in case ~81924096")
    platform.outcome = "failed"
    seen = soar(platform).status(run, ACTION)
    assert (seen.state, seen.detail) == ("succeeded", f"alert {run.run_id} is Ignored")
    platform.delete()
    with pytest.raises(PermanentError, match="deleted"):
        soar(platform).status(run, ACTION)


def test_every_stage_that_thehive_has_is_known() -> None:
    assert set(STAGES) == {"New", "InProgress", "Imported", "Closed"}


@pytest.mark.parametrize("value", [*HOSTILE.values(), "\n```\n# evil", "```"], ids=[*HOSTILE, "fence line", "fence"])
def test_no_text_of_an_event_leaves_its_place(busy: tuple[TheHivePlatform, TheHive], value: str) -> None:
    platform, adapter = busy
    platform.delete()
    adapter.run(poisoned(ACTION, value))
    request = platform.asked[-1]
    alert = request.json()
    assert request.url == "/api/v1/alert"
    assert CANARY not in str(request.headers)
    clean = adapter.preview(ACTION)
    assert alert.keys() == clean.keys()
    assert shape({**alert, "observables": []}) == shape({**clean, "observables": []})
    assert {one["dataType"] for one in alert["observables"]} <= OBSERVABLE_TYPES - {"ip"}
    assert all(len(one["data"]) <= 512 and one["data"].isprintable() for one in alert["observables"])
    assert len(alert["title"]) <= 120
    assert all(text.isprintable() for text in (alert["title"], *alert["tags"]))
    fences = [line for line in alert["description"].split("\n") if line.lstrip().startswith("```")]
    assert fences == ["```json", "```"]
    assert json.loads(alert["description"].partition("```json\n")[2].rpartition("\n```")[0])
    assert len(request.body) < 1 << 19


def test_a_name_that_would_be_taken_apart_is_refused() -> None:
    for bad in ({"source": "a;b"}, {"alert_type": "a;b"}, {"organisation": "x\r\nX-Evil: 1"}, {"alert_type": "a" * 33}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            TheHiveSettings.model_validate({"url": "https://hive.example", "api_key": "k", **bad})


def test_an_answer_that_names_no_alert_leaves_the_send_in_doubt(
    platform: TheHivePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "_create", lambda *_: {"message": "maintenance"})
    with pytest.raises(TransientError, match="not an answer as it is documented") as caught:
        soar(platform).run(ACTION)
    assert caught.value.sent


@pytest.mark.usefixtures("impatient")
def test_a_question_that_gets_no_answer_leaves_nothing_in_doubt(platform: TheHivePlatform) -> None:
    gone = soar(platform)
    platform._listener.stop()
    for ask in (lambda: gone.find("k"), lambda: gone.status(RunRef(soar="hive", run_id="~1"), ACTION)):
        with pytest.raises(TransientError) as caught:
            ask()
        assert not caught.value.sent
