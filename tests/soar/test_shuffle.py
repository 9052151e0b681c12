"""Shuffle: executions as its API has them, found by the key in their argument, and arguments that no workflow evaluates."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector import identity
from connector.errors import ConfigError, PermanentError, TransientError
from connector.retries import retrying
from connector.soar.runs import evidence
from connector.soar.shuffle import LISTED, STATES, Shuffle, ShuffleSettings, inert
from connector.testing import examples
from connector.types import Entity, RunRef
from tests.policy.hostile import CANARY, HOSTILE, poisoned, shape
from tests.soar.shuffle import KEY, START, WORKFLOW, ShufflePlatform
from tests.splunkd.wire import Answer, CutOffError, Request, json_answer

replace = msgspec.structs.replace
ENTITY = Entity(host="host-1", user="DC01$", address="192.0.2.7", agent_id="agent-1")
ACTION = replace(examples.action(0), entity=ENTITY)
EVALUATED = re.compile(r"\{\{|\{%|\$\w")
"""What Shuffle takes for a template, or for a reference to a node or a variable."""


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[ShufflePlatform]:
    with ShufflePlatform(tmp_path) as stood_up:
        yield stood_up


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ShufflePlatform, Shuffle]]:
    """One, and one adapter, for every text of the corpus."""
    with ShufflePlatform(tmp_path_factory.mktemp("shuffle")) as stood_up:
        yield stood_up, soar(stood_up)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that did not leave is not tried again."""
    monkeypatch.setattr("connector.soar.rest.retrying", lambda *_: retrying(0.0))


def soar(platform: ShufflePlatform, later: timedelta = timedelta(0), **more: Any) -> Shuffle:
    config = ShuffleSettings.model_validate({**platform.soar_config(), **more})
    return Shuffle("lab", config, lambda: datetime.now(UTC) + later)


def another(number: int) -> Any:
    return replace(ACTION, key=identity.action_key(str(number), "other"))


def test_a_workflow_is_executed_from_its_start_node_with_the_verdict_as_its_argument(platform: ShufflePlatform) -> None:
    run = soar(platform, organisation=WORKFLOW).run(ACTION)
    (started,) = platform.started()
    assert started.url == f"/api/v1/workflows/{WORKFLOW}/execute"
    body = started.json()
    argument = json.loads(body.pop("execution_argument"))
    assert body == {"start": START}
    assert argument["action"] == {"key": ACTION.key, "rule": "example", "playbook": "notify-on-call", "tier": "note"}
    assert argument["entity"] == {"host": "host-1", "user": "DC01$", "address": "192.0.2.7", "agent_id": "agent-1"}
    assert argument["verdict"]["triaged"]["verdict"] == "malicious"
    assert {(one.headers["authorization"], one.headers["org-id"]) for one in platform.asked} == {
        (f"Bearer {KEY}", WORKFLOW)
    }
    assert run == RunRef(soar="lab", run_id=platform.executions[0]["execution_id"])


def test_an_execution_is_found_by_the_key_in_its_argument_in_either_form_of_the_list(platform: ShufflePlatform) -> None:
    lab = soar(platform)
    run = lab.run(ACTION)
    platform.executions.append({"execution_id": "by-hand", "execution_argument": ACTION.key, "status": "FINISHED"})
    platform.executions.append({"execution_id": "odd", "execution_argument": '{"action": "x"}', "status": "FINISHED"})
    for pages in (False, True):
        platform.pages = pages
        assert lab.find(ACTION.key) == run
        assert lab.find(another(1).key) is None
    assert platform.asked[-1].query == {"top": [str(LISTED)]}


def test_after_a_lost_answer_the_execution_is_found_once_it_is_listed(platform: ShufflePlatform) -> None:
    lab = soar(platform)
    platform.lose_answers()
    platform.is_slow_to_list = True
    with pytest.raises(TransientError) as caught:
        lab.run(ACTION)
    assert caught.value.sent
    assert lab.find(ACTION.key) is None
    platform.is_slow_to_list = False
    found = lab.find(ACTION.key)
    assert found is not None
    assert found.run_id == platform.executions[0]["execution_id"]


@pytest.mark.parametrize(
    ("others", "hours", "is_held"),
    [(LISTED - 1, 0, False), (LISTED, 23, True), (LISTED, 25, False)],
    ids=["all are listed", "pushed out", "pushed out long after"],
)
def test_an_execution_that_newer_ones_may_have_pushed_out_of_the_list_is_not_taken_for_none(
    platform: ShufflePlatform, others: int, hours: int, is_held: bool
) -> None:
    lab = soar(platform, later=timedelta(hours=hours))
    for number in range(others):
        lab.run(another(number))
    if is_held:
        with pytest.raises(PermanentError, match="look there for " + ACTION.key):
            lab.find(ACTION.key)
    else:
        assert lab.find(ACTION.key) is None
    assert lab.find(another(0).key) is not None


def test_what_is_asked_before_the_start_leaves_nothing_in_doubt(
    platform: ShufflePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(_: Request) -> Answer:
        raise CutOffError

    monkeypatch.setattr(platform, "serve", cut)
    with pytest.raises(TransientError) as caught:
        soar(platform).run(ACTION)
    assert not caught.value.sent
    assert platform.started() == []


def test_a_playbook_without_a_workflow_and_a_workflow_without_a_start_run_nothing(platform: ShufflePlatform) -> None:
    with pytest.raises(PermanentError, match=r"no playbook 'absent': .* has: notify-on-call"):
        soar(platform).run(replace(ACTION, playbook="absent"))
    platform.start = ""
    with pytest.raises(PermanentError, match="no start node"):
        soar(platform).run(ACTION)
    assert platform.runs() == {}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "error", "is_sent"),
    [
        (400, PermanentError, None),
        (401, ConfigError, None),
        (403, ConfigError, None),
        (429, TransientError, False),
        (500, TransientError, True),
        (502, TransientError, True),
    ],
)
def test_each_refusal_has_one_meaning(
    platform: ShufflePlatform, status: int, error: type[Exception], is_sent: bool | None
) -> None:
    platform.refuse(1, status)
    with pytest.raises(error) as caught:
        soar(platform).run(ACTION)
    assert getattr(caught.value, "sent", None) is is_sent
    assert KEY not in str(caught.value)


def test_an_answer_counts_by_what_it_says_and_not_by_its_status(
    platform: ShufflePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = soar(platform)
    no = json_answer({"success": False, "reason": "User Input: denied"})
    monkeypatch.setattr(platform, "_execute", lambda *_: no)
    with pytest.raises(PermanentError, match="User Input: denied"):
        lab.run(ACTION)
    for doubtful in ({"success": True}, {}, ["no object"]):
        monkeypatch.setattr(platform, "_execute", lambda *_, said=doubtful: json_answer(said))
        with pytest.raises(TransientError) as caught:
            lab.run(ACTION)
        assert caught.value.sent


def test_a_run_is_followed_to_its_end_and_past_its_time(platform: ShufflePlatform) -> None:
    lab = soar(platform)
    run = lab.run(ACTION)
    platform.outcome = "running"
    assert lab.status(run, ACTION).state == "running"
    late = soar(platform, timedelta(hours=1, seconds=5)).status(run, ACTION)
    assert (late.state, late.detail) == ("timed_out", "no end within 1:00:00: EXECUTING")
    platform.outcome = "succeeded"
    seen = lab.status(run, ACTION)
    assert (seen.state, seen.detail) == ("succeeded", 'FINISHED: {"ticket": 7}')
    platform.outcome = "failed"
    assert lab.status(run, ACTION).state == "failed"
    assert platform.asked[-1].json() == {"execution_id": run.run_id, "authorization": ""}


def test_what_finished_with_a_failed_action_did_not_succeed(platform: ShufflePlatform) -> None:
    lab = soar(platform)
    run = lab.run(ACTION)
    platform.results = [
        {"status": "SUCCESS", "action": {"label": "look up"}},
        {"status": "FAILURE", "action": {"label": "isolate"}},
        {"status": "SKIPPED", "action": {"label": "tell"}},
    ]
    seen = lab.status(run, ACTION)
    assert (seen.state, seen.detail) == ("failed", 'FINISHED; failed: isolate: {"ticket": 7}')


def test_an_execution_that_is_gone_is_an_error_until_its_time_is_over(platform: ShufflePlatform) -> None:
    gone = RunRef(soar="lab", run_id="gone")
    young = replace(ACTION, proposed_at=datetime.now(UTC))
    with pytest.raises(ConfigError, match="might not exist"):
        soar(platform).status(gone, young)
    late = soar(platform, timedelta(hours=2)).status(gone, young)
    assert late.state == "timed_out"
    assert "might not exist" in late.detail


@pytest.mark.parametrize("unknown", ["", "PAUSED"])
def test_a_status_that_nobody_knows_is_not_an_end(platform: ShufflePlatform, unknown: str) -> None:
    lab = soar(platform)
    run = lab.run(ACTION)
    platform.statuses = {**platform.statuses, "succeeded": unknown}  # type: ignore[misc]
    assert unknown not in STATES
    assert lab.status(run, ACTION).state == "running"


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_no_text_of_an_event_is_evaluated_or_leaves_its_place(
    busy: tuple[ShufflePlatform, Shuffle], value: str
) -> None:
    platform, adapter = busy
    adapter.run(poisoned(ACTION, value))
    request = platform.asked[-1]
    assert request.url == f"/api/v1/workflows/{WORKFLOW}/execute"
    assert CANARY not in str(request.headers)
    argument = json.loads(request.json()["execution_argument"])
    assert shape(argument) == shape(evidence(poisoned(ACTION, value)))
    for text in texts(argument):
        assert not EVALUATED.search(text)
        assert not text or not EVALUATED.search("{" + text + "{")
    assert len(request.body) < 1 << 19


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for one in node.values() if isinstance(node, dict) else node:
            yield from texts(one)


@pytest.mark.parametrize(
    ("text", "passed_on"),
    [
        ("{% python %}import os{% endpython %}", " { % python %}import os{ % endpython %}"),
        ("{{{ x }}}", " { { { x }}}"),
        ("$exec.evil", "$ exec.evil"),
        ("% python %}", " % python %}"),
        ("x{", "x{ "),
        ("DC01$", "DC01$"),
        ("5 $ and 10%", "5 $ and 10%"),
        ("C:\\a {b} 50%", "C:\\a {b} 50%"),
    ],
)
def test_a_space_goes_where_a_template_could_begin_and_nowhere_else(text: str, passed_on: str) -> None:
    assert inert({"a": [text]}) == {"a": [passed_on]}


def test_a_workflow_is_named_by_its_id() -> None:
    for bad in ("../../users", "Isolate host", WORKFLOW.upper()):
        with pytest.raises(ValueError, match="playbooks"):
            ShuffleSettings.model_validate({"url": "https://s.example", "api_key": "k", "playbooks": {"a": bad}})
