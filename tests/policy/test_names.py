"""Every name of an entity counts: those of its event, and those of all tables that name the same machine."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from connector.policy import Enrichment
from connector.policy.entity import LONGEST, MOST_ADDRESSES, entity_of
from connector.types import Entity


def tables(folder: Path, *texts: str) -> Enrichment:
    paths = [folder / f"{number}.csv" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return Enrichment.load(paths, ())


MANY = [str(ip_address("10.0.0.1") + number) for number in range(MOST_ADDRESSES + 9)]


@pytest.mark.parametrize(
    ("host", "aliases"),
    [
        ({"name": "ws-7", "hostname": "dc1"}, ("dc1",)),
        ({"name": "ws-7", "hostname": "ws-7"}, ()),
        ({"name": "ws-7", "ip": ["10.0.0.7", "fe80::1", "10.0.0.7"]}, ("10.0.0.7", "fe80::1")),
        ({"name": "ws-7", "ip": "10.0.0.7"}, ("10.0.0.7",)),
        ({"name": "ws-7", "ip": ["no address", None, 7, {"a": 1}, "1" * 100_000]}, ()),
        ({"name": "ws-7", "ip": {"of": "another shape"}}, ()),
        ({"ip": ["no address"] * 999 + ["10.0.0.7"] * 999 + ["10.9.9.9"]}, ("10.0.0.7", "10.9.9.9")),
        ({"ip": MANY}, tuple(MANY[:MOST_ADDRESSES])),
    ],
)
def test_the_other_names_of_a_host_are_kept_and_are_names(host: dict[str, Any], aliases: tuple[str, ...]) -> None:
    found = entity_of({"host": host}).aliases
    assert found == aliases
    assert all(len(name) <= LONGEST for name in found)
    assert entity_of({f"host.{key}": value for key, value in host.items()}).aliases == aliases


AGENTS = "agent,host\na-1,DC1.corp.example"


@pytest.mark.parametrize(
    ("more", "tag"),
    [
        ("host,tags\ndc1,crown-jewel", True),
        ("host,tags\ndc1.corp.example,crown-jewel", True),
        ("agent,tags\nA-1,crown-jewel", True),
        ("host,address,tags\ndc1,10.0.0.1,\n;,10.0.0.1,crown-jewel", True),
        ("host,tags\ndc2,crown-jewel", False),
        ("host,address,tags\ndc1,10.0.0.1,\n;,10.0.0.0/24,crown-jewel", False),
        ("host,user,tags\ndc1,anna,\n;,anna,crown-jewel", False),
    ],
)
def test_a_row_leads_on_to_rows_about_the_same_machine(tmp_path: Path, more: str, tag: bool) -> None:
    known = tables(tmp_path, AGENTS, more).known(Entity(agent_id="a-1", host="ws-9"))
    assert known.resolved
    assert ("crown-jewel" in known.tags) == tag
    assert "DC1.corp.example" in known.aliases


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["agent,tags\na-1,office"], {"users", "tags"}),
        (["agent,owner\na-1,anna"], {"users"}),
        (["agent,host\na-1,dc1"], {"users", "tags", "hosts"}),
        (["agent,address\na-1,10.0.0.1"], {"users", "addresses"}),
        (["agent,address\na-1,10.0.0.0/24"], {"users"}),
        (["agent,host\na-1,dc1", "host,address\ndc1,10.0.0.1"], {"users", "tags", "hosts", "addresses"}),
        (["agent,tags\na-1,office", "host,address,tags\nws-9,192.0.2.9,x"], {"users", "tags"}),
        (["agent,host,address\na-2,ws-9,192.0.2.9"], set()),
    ],
)
def test_rows_answer_for_an_agent_by_what_they_say_of_it(tmp_path: Path, rows: list[str], told: set[str]) -> None:
    seen = Entity(agent_id="A-1", host="ws-9", aliases=("192.0.2.9",))
    assert tables(tmp_path, *rows).known(seen).resolved == told


def test_only_a_row_with_the_agent_resolves_an_entity(tmp_path: Path) -> None:
    site = tables(tmp_path, AGENTS)
    assert not site.known(Entity(host="dc1.corp.example")).resolved
    assert not site.known(Entity(agent_id="a-2", host="dc1.corp.example")).resolved
    assert not tables(tmp_path).known(Entity(agent_id="a-1")).resolved


def test_rows_are_found_by_the_addresses_of_the_host_too(tmp_path: Path) -> None:
    site = tables(tmp_path, "address,tags\n10.0.0.0/24,plant")
    assert site.known(entity_of({"host": {"ip": ["192.0.2.1", "10.0.0.9"]}})).tags == {"plant"}
