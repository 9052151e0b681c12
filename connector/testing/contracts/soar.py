"""The contract of SOARs: one run a key, and an end to each."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import msgspec

from connector.ports import Previews, Soar, SoarPlugin
from connector.testing import examples
from connector.testing.contracts.rules import adapter, require, testbed
from connector.types import Action, RunRef, RunState

_LOOKS = 100


def check_soar(plugin: SoarPlugin, directory: Path) -> None:
    """Puts a SOAR through its contract. Raises ``ContractError`` naming the rule that it broke.

    A testbed may have ``playbook``, the playbook that its SOAR knows (default ``notify-on-call``), and ``settle()``,
    which lets enough of the SOAR's time pass that runs can be found and end; without it, real time passes.
    """
    with testbed(plugin, directory) as bed:
        playbook = getattr(bed, "playbook", "notify-on-call")
        actions = [examples.action(number, playbook=playbook) for number in range(3)]
        with adapter(plugin.soar, bed.soar_config(), lambda: datetime.now(UTC)) as soar:
            require(soar.uniqueness in {"key", "search", "none"}, "a SOAR states its uniqueness", soar.uniqueness)
            require(soar.index_delay >= 0, "a SOAR states its index delay in seconds", soar.index_delay)
            require(soar.find("no-such-key") is None, "a key that never ran is not found")
            if isinstance(soar, Previews):
                _is_shown(soar, bed, actions[0])
            runs = [soar.run(action) for action in actions]
            require(len({run.run_id for run in runs}) == len(runs), "each key has a run of its own", runs)
            _runs_once(soar, bed, actions, runs)
            _is_found(soar, bed, actions[0], runs[0])
            for action, run in zip(actions, runs, strict=True):
                _comes_to_an_end(soar, bed, action, run)
        if soar.uniqueness == "key":
            with adapter(plugin.soar, bed.soar_config(), lambda: datetime.now(UTC)) as other:
                _runs_once(other, bed, actions, runs)


def _is_shown(soar: Previews, bed: Any, action: Action) -> None:
    shown = msgspec.json.encode(soar.preview(action))
    require(action.key.encode() in shown, "what is shown carries the key", shown)
    require(msgspec.json.encode(soar.preview(action)) == shown, "the same action is shown alike", shown)
    require(not bed.runs(), "what is shown starts nothing", bed.runs())


def _runs_once(soar: Soar, bed: Any, actions: list[Action], runs: list[RunRef]) -> None:
    if soar.uniqueness == "key":
        for action, run in zip(actions, runs, strict=True):
            again = soar.run(action)
            require(again.run_id == run.run_id, "a key that ran before gives the same run", run, again)
    counted = {action.key: bed.runs().get(action.key, 0) for action in actions}
    require(set(counted.values()) == {1}, "the SOAR itself counts one effective run a key", counted)


def _is_found(soar: Soar, bed: Any, action: Action, run: RunRef) -> None:
    _wait(bed, soar.index_delay)
    found = soar.find(action.key)
    if soar.uniqueness == "none":
        require(found is None, "a SOAR without search finds nothing", found)
    else:
        require(found and found.run_id == run.run_id, "a run is found by its key after the index delay", run, found)


def _comes_to_an_end(soar: Soar, bed: Any, action: Action, run: RunRef) -> None:
    for _ in range(_LOOKS):
        status = soar.status(run, action)
        require(status.state in get_args(RunState), "a run has a state that is known", status.state)
        require(status.cause == action.cause, "a status names the verdict that caused the run", status)
        require(status.action_key == action.key, "a status names the key of the run", status)
        require(status.at.tzinfo is not None, "times have a zone", status)
        if status.state != "running":
            again = soar.status(run, action)
            require(again.record_id == status.record_id, "the same state has the same record id", status, again)
            return
        _wait(bed, 0.1)
    require(False, f"a run reaches an end state within {_LOOKS} looks")


def _wait(bed: Any, seconds: float) -> None:
    if hasattr(bed, "settle"):
        bed.settle()
    else:
        time.sleep(seconds)
