"""Entries of lists decide over scores that are cached already, and what is known of an asset counts at the last moment."""

from __future__ import annotations

import zlib
from datetime import timedelta

import msgspec
import pytest

from connector.policy import Enrichment, Listed
from connector.policy.assets import Assets, read_assets
from connector.policy.lists import Lists
from connector.telemetry import CACHE, LIST_ENTRIES, LISTED_EVENTS
from connector.testing import ManualClock
from tests.daemon.site import process_start
from tests.pipeline.test_act import CONTAIN, SOURCE

LISTED = """
soar = "soar"
[[rules]]
name = "what is blocked"
listed = true
mode = "auto"
tier = "ticket"
playbook = "notify-on-call"
"""


def entry(list_: str, host: str, **more: object) -> Listed:
    return Listed(list=list_, kind="host", value=host, reason="ticket 1", author="anna", **more)


def on(host: str) -> dict[str, object]:
    return {**process_start("same.exe"), "host": {"name": host}}


def marks(house) -> dict[str, dict]:
    return {
        document["host"]["name"]: document["triaged"]
        for document in house.siem.documents.values()
        if "verdict" in document["triaged"]
    }


def misses() -> float:
    return CACHE.labels(member="bundle", outcome="miss")._value.get()


def test_an_entry_beats_a_score_that_is_cached(house):
    lists = Lists([entry("block", "ws-blocked"), entry("allow", "ws-allowed"), entry("allow", "x", expires=None)])
    house = house(source=SOURCE, policy=LISTED, enrichment=Enrichment(lists=lists))
    house.siem.put([on("ws-other")])
    house.run(60)
    before, hosts = misses(), ("ws-blocked", "ws-allowed", "ws-again")
    decided = {n: LISTED_EVENTS.labels(source="lab", list=n)._value.get() for n in ("block", "allow")}
    house.siem.put([on(host) for host in hosts])
    house.run(60)
    house.deliver.drain()
    found = marks(house)
    assert misses() == before
    assert len({found[host]["fingerprint"] for host in (*hosts, "ws-other")}) == 1
    assert len({found[host]["confidence"] for host in (*hosts, "ws-other")}) == 1
    assert found["ws-blocked"]["verdict"] == "malicious"
    assert found["ws-allowed"]["verdict"] == "benign"
    assert found["ws-again"]["verdict"] == found["ws-other"]["verdict"]
    assert found["ws-blocked"]["explanation"][0].startswith("block list: host ws-blocked: ticket 1")
    assert found["ws-allowed"]["policy"] == {"rule": "allow list", "mode": "allow", "playbook": None}
    assert found["ws-blocked"]["policy"]["rule"] == "what is blocked"
    house.act.drain()
    assert len(house.platform.runs) == 1
    for name, count in decided.items():
        assert LISTED_EVENTS.labels(source="lab", list=name)._value.get() == count + 1


def test_an_entry_that_ends_while_the_daemon_runs_is_ignored_and_counted_from_then_on(house):
    lists = Lists([entry("block", "ws-7", expires=ManualClock()() + timedelta(minutes=5))])
    made = house(source=SOURCE, enrichment=Enrichment(lists=lists))
    for name in ("before", "after"):
        made.siem.put([{**on("ws-7"), "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon", "id": name}}])
        made.run(60)
        valid = LIST_ENTRIES.labels(list="block", state="valid")._value.get()
        expired = LIST_ENTRIES.labels(list="block", state="expired")._value.get()
        assert (valid, expired) == ((1, 0) if name == "before" else (0, 1))
        made.clock.advance(300)
    made.deliver.drain()
    blocked = {
        document["triaged"]["source"]["event_id"]: document["triaged"]["explanation"][:1] != []
        and document["triaged"]["explanation"][0].startswith("block list")
        for document in made.siem.documents.values()
        if "verdict" in document["triaged"]
    }
    assert blocked == {"before": True, "after": False}


@pytest.mark.parametrize("column", ["host", "tags"])
def test_an_asset_that_is_known_to_be_protected_is_not_contained(house, tmp_path, column):
    (tmp_path / "assets.csv").write_text("agent,host,tags\nagent-of-mimikatz,dc01,crown-jewel\n")
    protected = {"host": 'hosts = ["dc*"]', "tags": 'tags = ["crown-jewel"]'}[column]
    known = Enrichment(assets=Assets(read_assets([tmp_path / "assets.csv"])))
    policy = CONTAIN.replace('mode = "approve"', 'mode = "auto"') + f"[protected]\n{protected}\n"
    one = house(source=SOURCE, policy=policy, enrichment=known)
    one.put("mimikatz")
    one.run(60)
    one.act.drain()
    one.deliver.drain()
    (run,) = [d["triaged"]["run_status"] for d in one.siem.documents.values() if "run_status" in d["triaged"]]
    assert run["state"] == "refused"
    assert "protected asset" in run["detail"]
    assert not one.platform.runs


def test_what_the_event_says_of_its_origin_is_kept(house):
    one = house(source=SOURCE)
    origin = {
        "agent": {"id": "agent-7", "name": "ws-7"},
        "event": {"code": "1", "provider": "Microsoft-Windows-Sysmon", "id": "native-1", "module": "windows"},
        "observer": {"name": "collector-3"},
        "labels": {"site": "riga"},
    }
    one.siem.put([{**process_start("mimikatz"), "host": {"name": "ws-7"}, **origin}])
    one.run(60)
    one.deliver.drain()
    mark = marks(one)["ws-7"]
    assert (mark["source"]["event_id"], mark["source"]["module"]) == ("native-1", "windows")
    (document,) = [d for d in one.siem.documents.values() if "verdict" in d["triaged"]]
    assert document["agent"] == {"id": "agent-7"}
    assert document["event"]["id"] != "native-1"
    (kept,) = one.ledger.snapshots([document["event"]["id"]]).values()
    ecs = msgspec.json.decode(zlib.decompress(kept))["ecs"]
    for folder, fields in origin.items():
        assert ecs[folder].items() >= fields.items(), folder
