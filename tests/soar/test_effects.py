"""Promise 3 over each adapter, against a platform with its vendor's semantics: how often a playbook runs, whatever breaks.

``key``: one effective run a key, always. ``search`` and ``none``: at most one more, and only for an action whose send was
cut off from its mark by a crash or a lost answer.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec
import pytest

from connector.ports import SoarPlugin
from connector.soar import splunk_soar
from connector.testing.contracts.rules import adapter
from tests.contracts.registered import registered
from tests.daemon.site import Site, listens, stop, wait_until
from tests.running import Running
from tests.soar.platform import Platform
from tests.splunkd.wire import Request

EVENTS = 3
LOST = 2

AUTOMATION = msgspec.structs.replace(splunk_soar.plugin, testbed="tests.soar.splunk_soar:AutomationPlatform")

ALIKE = frozenset({"automation", "splunk_soar", "shuffle", "soarca"})
"""Another adapter of the sample has their uniqueness."""

platforms = registered("triaged.soar", without="dryrun", automation=AUTOMATION, long=ALIKE)


@contextmanager
def stood_up(plugin: SoarPlugin, directory: Path) -> Iterator[tuple[Site, Platform]]:
    """A site whose policy runs a playbook for every event on this platform."""
    module, _, name = str(plugin.testbed).partition(":")
    with getattr(import_module(module), name)(directory) as platform:
        table = as_toml(platform.soar_config())
        # a claim outlasts the longest start, so that what it started is answered and can be found
        more = f"[soars.platform]\n{table}every = 'PT0.1S'\ntimeout = 'PT2S'\n"
        site = Site(directory, extra=more, lease="PT9S")
        policy = (directory / "policy.toml").read_text()
        policy = policy.replace('"dryrun"', '"platform"').replace("notify-on-call", platform.playbook)
        (directory / "policy.toml").write_text(policy)
        yield site, platform


def uniqueness_of(plugin: SoarPlugin, platform: Platform) -> str:
    """What the adapter claims with these settings."""
    with adapter(plugin.soar, platform.soar_config(), lambda: datetime.now(UTC)) as soar:
        return str(soar.uniqueness)


def as_toml(table: Mapping[str, Any]) -> str:
    """The lines of a table: JSON's texts, numbers and lists are TOML's too."""
    return "".join(f"{name} = {inline(value)}\n" for name, value in table.items())


def inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(name)} = {inline(one)}" for name, one in value.items()) + " }"
    return json.dumps(value)


def ended(site: Site) -> set[str]:
    """The events whose run status came back onto the verdict and is final."""
    return {
        document["triaged"]["run_status"]["action_key"]
        for document in map(json.loads, (site.dir / "out.jsonl").read_text().splitlines())
        if document["triaged"].get("run_status", {}).get("state") in {"succeeded", "failed"}
    }


def all_over(site: Site, platform: Platform, events: int = EVENTS) -> Callable[[], bool]:
    return lambda: len(platform.runs()) >= events and len(ended(site)) >= events


def require_promise(plugin: SoarPlugin, platform: Platform, in_doubt: int, events: int = EVENTS) -> None:
    counts = sorted(platform.runs().values(), reverse=True)
    more = 0 if uniqueness_of(plugin, platform) == "key" else in_doubt
    assert len(counts) == events
    assert counts[:more] <= [2] * more
    assert set(counts[more:]) == {1}, counts


@platforms
@pytest.mark.parametrize("moment", ["after", pytest.param("before", marks=pytest.mark.full)])
@pytest.mark.parametrize("nth", [1, pytest.param(2, marks=pytest.mark.full), pytest.param(3, marks=pytest.mark.full)])
def test_killed_in_a_send_each_playbook_runs_as_often_as_promised(plugin, moment, nth, tmp_path):
    with stood_up(plugin, tmp_path) as (site, platform):
        site.events(EVENTS)
        daemons: list[Running] = []

        def kill(at: str, _: Request) -> None:
            if at == moment and len(platform.started()) == nth:
                daemons[0].send_signal(signal.SIGKILL)
                daemons[0].wait(30)

        platform.hook = kill
        daemons.append(site.start())
        _, errors = daemons[0].communicate(timeout=60)
        assert daemons[0].returncode == -signal.SIGKILL, errors.decode()
        again = site.start()
        wait_until(all_over(site, platform), "all runs have ended", of=again)
        stop(again)
        require_promise(plugin, platform, in_doubt=1)


@platforms
def test_answers_that_are_lost_cost_at_most_what_is_promised(plugin, tmp_path):
    with stood_up(plugin, tmp_path) as (site, platform):
        platform.lose_answers(LOST)
        platform.refuse(1)
        site.events(EVENTS)
        daemon = site.start()
        wait_until(all_over(site, platform), "all runs have ended", of=daemon)
        stop(daemon)
        require_promise(plugin, platform, in_doubt=LOST)


@platforms
def test_two_replicas_on_one_ledger_and_two_sources_of_the_same_events_run_each_playbook_once(plugin, tmp_path):
    with stood_up(plugin, tmp_path) as (site, platform):
        text = site.config.read_text()
        lab = text[text.index("[sources.lab]") : text.index("[targets")]
        site.config.write_text(text + lab.replace("sources.lab", "sources.twin"))
        daemons = [site.start(), site.start()]
        for daemon in daemons:
            wait_until(partial(listens, daemon), "both replicas run", of=daemon)
        site.events(2 * EVENTS)
        wait_until(all_over(site, platform, 2 * EVENTS), "all runs have ended", of=daemons[0])
        for daemon in daemons:
            stop(daemon)
        require_promise(plugin, platform, in_doubt=0, events=2 * EVENTS)
        assert set(site.verdict_ids().values()) == {1}
