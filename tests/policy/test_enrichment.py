"""What the site knows of its own: tags are found by every name, entries beat the model, and nothing weakens a guard."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from connector.errors import ConfigError
from connector.policy import Decision, Enrichment, Listed, Refuse, Run, admit, decide, document
from connector.policy.lists import FIELDS, ONLY_BLOCKED, Lists
from connector.policy.networks import Networks, network
from connector.types import Entity
from tests.policy.cases import JSON, NOW, admission, contain, context, event, policy, prediction, rule

HEADER = "list,kind,value,reason,author,expires\n"
DIGEST = "0A1B2C3D4E5F60718293A4B5C6D7E8F9"

ASSETS = """host,agent,address,user,tags,owner,site
dc01.corp.example;dc01,agent-7,10.0.0.5,,domain-controller; crown-jewel,identity team,Riga
,,10.0.0.0/8,,laboratory,,
,,,anna,vip,,
"""


def enrichment(folder: Path, *, assets: str = "", lists: str = "") -> Enrichment:
    (folder / "assets.csv").write_text(assets)
    (folder / "lists.csv").write_text(HEADER + lists if lists else "")
    return Enrichment.load([folder / "assets.csv"], [folder / "lists.csv"])


def entry(list_: str, kind: str, value: str, **more: Any) -> Listed:
    row = {"list": list_, "kind": kind, "value": value, "reason": "ticket 1", "author": "anna", **more}
    return Listed(**row)


def decided(
    listed: Listed | None, *rules: dict[str, Any], p: float = 0.01, ecs: dict[str, Any] | None = None
) -> Decision:
    found = Enrichment(lists=Lists([listed] if listed else [])).context(event(**(ecs or {})), context())
    return decide(event(**(ecs or {})), prediction(p), found, policy(*rules))


def test_an_entity_is_known_by_every_name_of_its_row(tmp_path: Path) -> None:
    known = enrichment(tmp_path, assets=ASSETS)
    for entity in (
        Entity(host="DC01"),
        Entity(host="dc01.elsewhere"),
        Entity(host="dc01.corp.example"),
        Entity(agent_id="AGENT-7", host="liar"),
        Entity(address="10.0.0.5"),
        Entity(address="::ffff:10.0.0.5"),
    ):
        assert "domain-controller" in known.known(entity).tags, entity
        assert {"dc01", "agent-7", "10.0.0.5"} <= known.known(entity).aliases
    assert known.known(Entity(address="10.9.9.9")).tags == {"laboratory"}
    assert known.known(Entity(user="Anna", address="10.9.9.9")).tags == {"vip", "laboratory"}
    assert known.known(Entity(user="anna", host="dc01")).tags == {"vip", "domain-controller", "crown-jewel"}
    assert known.known(Entity(host="ws", address="192.0.2.1", user="b", agent_id="x")).tags == set()
    assert known.known(Entity(host="dc01")).about == (
        "known: dc01.corp.example (crown-jewel, domain-controller, owner: identity team, site: Riga)",
    )


def test_toml_says_the_same_as_csv(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(
        '[[assets]]\nhost = ["dc01.corp.example", "dc01"]\nagent = "agent-7"\naddress = "10.0.0.5"\n'
        'tags = ["domain-controller", "crown-jewel"]\nowner = "identity team"\nsite = "Riga"\n'
    )
    (tmp_path / "l.toml").write_text(
        f'[[entries]]\nlist = "block"\nkind = "hash"\nvalue = "{DIGEST}"\nreason = "r"\nauthor = "a"\nexpires = 2026-12-31\n'
    )
    toml = Enrichment.load([tmp_path / "a.toml"], [tmp_path / "l.toml"])
    csv = enrichment(tmp_path, assets=ASSETS, lists=f"block,hash,{DIGEST},r,a,2026-12-31\n")
    assert toml.known(Entity(host="dc01")) == csv.known(Entity(host="dc01"))
    ecs = {"file": {"hash": {"md5": DIGEST}}}
    assert toml.lists.match(ecs, NOW) == csv.lists.match(ecs, NOW) is not None


def test_tags_and_what_is_known_stand_in_the_verdict(tmp_path: Path) -> None:
    known = enrichment(tmp_path, assets=ASSETS)
    verdict = decide(event(), prediction(), known.context(event(), context()), policy()).verdict
    mark = document(verdict)["triaged"]
    assert mark["tags"] == ["crown-jewel", "domain-controller", "vip"]
    assert [line.partition(" (")[0] for line in mark["explanation"]] == ["known: dc01.corp.example", "known: anna"]


def test_a_rule_with_tags_matches_tagged_entities_alone(tmp_path: Path) -> None:
    in_force = policy(rule("vip", tags=["vip", "other"]), rule("rest"))
    known = enrichment(tmp_path, assets=ASSETS).context(event(), context())
    assert decide(event(), prediction(), known, in_force).actions[0].rule == "vip"
    assert decide(event(), prediction(), context(), in_force).actions[0].rule == "rest"


@pytest.mark.parametrize(
    ("kind", "value", "ecs"),
    [
        ("hash", DIGEST.lower(), {"process": {"hash": {"sha1": "0" * 40, "md5": DIGEST}}}),
        ("domain", "evil.example", {"dns": {"question": {"name": "a.b.EVIL.example"}}}),
        ("domain", "evil.example", {"url": {"domain": "evil.example"}}),
        ("address", "203.0.113.0/24", {"destination": {"ip": "203.0.113.9"}}),
        ("address", "203.0.113.9/32", {"source": {"ip": "::ffff:203.0.113.9"}}),
        ("address", "2001:db8::/32", {"client": {"ip": ["2001:db8::1"]}}),
        ("url", "http://Evil.example/a", {"url": {"full": "http://Evil.example/a"}}),
        ("process", "c:\\tools\\x.exe", {"process": {"executable": "C:\\Tools\\X.exe"}}),
        ("command_line", "x.exe -a b", {"process": {"command_line": "X.exe  -a\tb "}}),
        ("user", "corp\\anna", {"user": {"name": "Anna", "domain": "CORP"}}),
        ("user", "s-1-5-21-1", {"user": {"id": "S-1-5-21-1"}}),
        ("host", "ws-7", {"host": {"name": "WS-7.corp.example"}}),
        ("host", "ws-7", {"host.name": "ws-7"}),
    ],
)
@pytest.mark.parametrize("list_", ["allow", "block"])
def test_an_entry_matches_where_ecs_has_its_kind(list_: str, kind: str, value: str, ecs: dict[str, Any]) -> None:
    assert Lists([entry(list_, kind, value)]).match(ecs, NOW) is not None
    other = "10.1.1.1/32" if kind == "address" else "other"
    assert Lists([entry(list_, kind, other)]).match(ecs, NOW) is None


def test_labels_before_a_blocked_domain_hide_it_from_nobody() -> None:
    listed = Lists([entry("block", "domain", "evil.example")])
    for labels in (1, 64, 124, 5000):
        assert listed.match({"dns": {"question": {"name": "a." * labels + "evil.example"}}}, NOW), labels


@pytest.mark.parametrize("value", ["::ffff:203.0.113.9", "::ffff:203.0.113.0/120", "203.0.113.0/24"])
def test_an_entry_for_an_ipv4_address_inside_an_ipv6_one_means_the_ipv4_address(tmp_path: Path, value: str) -> None:
    tables = enrichment(tmp_path, lists=f"block,address,{value},ticket 1,anna,never\n").lists
    for address in ("203.0.113.9", "::ffff:203.0.113.9"):
        assert tables.match({"source": {"ip": address}}, NOW), address


def test_an_entry_does_not_match_what_only_looks_alike() -> None:
    lists = Lists([entry("block", "domain", "evil.example"), entry("block", "process", "x.exe")])
    for ecs in (
        {"url": {"domain": "notevil.example"}},
        {"url": {"domain": "evil.example.good"}},
        {"process": {"executable": "C:\\x.exe"}},
        {"process": {"command_line": "x.exe"}},
    ):
        assert lists.match(ecs, NOW) is None


def test_an_allow_entry_never_takes_one_of_several_for_the_whole() -> None:
    ecs = {"source": {"ip": ["203.0.113.1", "198.51.100.1"]}, "dns": {"resolved_ip": ["203.0.113.1"]}}
    assert Lists([entry("allow", "address", "203.0.113.1/32")]).match(ecs, NOW) is None
    assert Lists([entry("block", "address", "203.0.113.1/32")]).match(ecs, NOW) is not None


def test_only_block_entries_look_at_what_stands_beside_the_subject() -> None:
    ecs = {"process": {"parent": {"executable": "c:\\x.exe"}}}
    assert Lists([entry("allow", "process", "c:\\x.exe")]).match(ecs, NOW) is None
    assert Lists([entry("block", "process", "c:\\x.exe")]).match(ecs, NOW) is not None
    assert not {path for paths in FIELDS.values() for path in paths} & {p for ps in ONLY_BLOCKED.values() for p in ps}


@pytest.mark.parametrize("p", [0.0, 0.01, 0.99, 1.0, float("nan")])
def test_an_entry_decides_whatever_the_model_says(p: float) -> None:
    for list_, name in (("allow", "benign"), ("block", "malicious")):
        listed = entry(list_, "host", "ws-7", expires=NOW + timedelta(days=1))
        verdict = decided(listed, p=p).verdict
        assert verdict.verdict == name
        assert verdict.explanation[0] == (
            f"{list_} list: host ws-7: ticket 1 (anna, until {(NOW + timedelta(days=1)).isoformat()})"
        )
        assert (verdict.confidence is None) == math.isnan(p)
        assert document(verdict)["triaged"]["policy"] == {"rule": f"{list_} list", "mode": list_, "playbook": None}
        assert ("threat" in document(verdict)) == (list_ == "block")


def test_a_block_entry_beats_an_allow_entry() -> None:
    lists = Lists([entry("allow", "host", "ws-7"), entry("block", "user", "anna")])
    found = Enrichment(lists=lists).context(event(), context())
    assert decide(event(), prediction(), found, policy()).verdict.verdict == "malicious"


def test_an_entry_ends_when_it_says_so_and_is_counted_then() -> None:
    lists = Lists(
        [entry("block", "host", "ws-7", expires=NOW), entry("block", "host", "ws-7"), entry("allow", "host", "x")]
    )
    assert lists.match(event().ecs, NOW).expires is None  # type: ignore[union-attr]
    assert lists.match(event().ecs, NOW - timedelta(seconds=1)).expires == NOW  # type: ignore[union-attr]
    assert lists.counts(NOW - timedelta(seconds=1)) == {"block": (2, 0), "allow": (1, 0)}
    assert lists.counts(NOW) == {"block": (1, 1), "allow": (1, 0)}
    ended = Lists([entry("allow", "host", "ws-7", expires=NOW)])
    assert ended.match(event().ecs, NOW) is None


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-12-31", datetime(2027, 1, 1, tzinfo=UTC)),
        ("2026-12-31T12:00:00", datetime(2026, 12, 31, 12, tzinfo=UTC)),
        ("2026-12-31T12:00:00+02:00", datetime(2026, 12, 31, 10, tzinfo=UTC)),
        ("never", None),
    ],
)
def test_a_day_ends_with_it_and_times_are_utc(tmp_path: Path, text: str, end: datetime | None) -> None:
    found = enrichment(tmp_path, lists=f"block,host,ws-7,r,a,{text}\n").lists.match(event().ecs, NOW)
    assert found is not None
    assert found.expires == end


def test_what_is_allowed_proposes_nothing() -> None:
    in_force = (contain(mode="auto"), rule(min_confidence=0.0, listed=True))
    assert decided(None, *in_force, p=0.95).actions
    assert decided(entry("allow", "host", "ws-7"), *in_force, p=0.95).actions == ()


@pytest.mark.parametrize("mode", ["approve", "auto"])
def test_a_block_entry_alone_proposes_nothing_without_a_rule_that_says_so(mode: str) -> None:
    blocked = entry("block", "host", "ws-7")
    assert decided(blocked, contain(mode=mode, min_confidence=0.0), p=0.01).actions == ()
    assert decided(blocked, rule(), p=0.01).actions == ()
    assert decided(blocked, rule(mode=mode, listed=True), p=0.01).actions[0].tier == "ticket"
    assert decided(blocked, contain(mode=mode, listed=True), p=0.01).actions[0].tier == "contain"


def test_a_rule_for_blocked_events_still_matches_by_scores() -> None:
    assert decided(None, rule(listed=True), p=0.95).actions
    assert decided(None, rule(listed=True), p=0.01).actions == ()


def test_containment_of_a_blocked_event_fails_closed_as_ever() -> None:
    blocked = entry("block", "host", "ws-7")
    found = Enrichment(lists=Lists([blocked])).context(event(), context())
    in_force = policy(contain(listed=True))
    unknown = prediction(0.01, "T9999")
    assert decide(event(), unknown, found, in_force).actions == ()
    lonely = decide(event(), prediction(0.01, members={"text": 0.01}), found, in_force).actions[0]
    assert "two members" in admit(lonely, admission(), in_force, NOW).reason  # type: ignore[union-attr]
    both = decide(event(), prediction(0.01), found, in_force).actions[0]
    assert isinstance(admit(both, admission(), in_force, NOW), Run)
    assert isinstance(admit(both, admission(bundle_ready=False), in_force, NOW), Refuse)
    nameless = event(host={"name": "ws-7"})
    unattested = decide(nameless, prediction(0.01), found, in_force).actions[0]
    assert "agent.id" in admit(unattested, admission(), in_force, NOW).reason  # type: ignore[union-attr]


def test_an_asset_is_protected_by_its_tags_and_under_every_name_of_its_row(tmp_path: Path) -> None:
    known = enrichment(tmp_path, assets=ASSETS)
    for protected in (
        {"tags": ["crown-jewel"]},
        {"hosts": ["dc*"]},
        {"addresses": ["10.0.0.0/24"]},
        {"users": ["dc01"]},
    ):
        in_force = policy(contain(), protected=protected)
        action = decide(event(), prediction(), known.context(event(), context()), in_force).actions[0]
        found = known.known(action.entity)
        refused = admit(action, admission(aliases=found.aliases, tags=found.tags), in_force, NOW)
        assert isinstance(refused, Refuse)
        assert "protected asset" in refused.reason
        assert isinstance(admit(action, admission(), in_force, NOW), Run)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("deny,host,x,r,a,never", "lists.csv:2: list"),
        ("block,name,x,r,a,never", "lists.csv:2: kind"),
        ("block,host,x,,a,never", "reason"),
        ("block,host,x,r,,never", "author"),
        ("block,host,x,r,a,", "expires"),
        ("block,host,x,r,a,tomorrow", "expires"),
        ("block,host,x*,r,a,never", "no wildcards"),
        ("block,hash,xyz,r,a,never", "no hexadecimal"),
        ("block,address,10.0.0.300,r,a,never", "10.0.0.300"),
        ("block,host,x,r,a,never,more", "7 cells under 6 columns"),
        ('block,host,"x,r,a,never', "lists.csv"),
    ],
)
def test_a_row_that_cannot_be_right_is_refused_with_its_place(tmp_path: Path, row: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        enrichment(tmp_path, lists=row + "\n")
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.toml", b'[[asset]]\nhost = "x"', "[[assets]] alone"),
        ("a.toml", b"assets = 7", "no table"),
        ("a.toml", b"[[assets]", "TOML"),
        ("a.csv", b"host,host\nx,y", "each once"),
        ("a.csv", b"host,\nx,y", "each column"),
        ("a.csv", b"host\n\xff", "UTF-8"),
        ("a.csv", b"tags\nvip", "one of host, agent, address and user"),
        ("a.csv", b"address\n10.0.0.0/33", "10.0.0.0/33"),
        ("a.json", b"{}", "neither .csv nor .toml"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_reason(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.(csv|toml|json)") as caught:
        Enrichment.load([tmp_path / name], [])
    assert problem in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        Enrichment.load([tmp_path / "none.csv"], [])


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["host", "user", "process", "source", "dns", "url", "event", "file", "x"]), JSON)
)
def test_no_event_breaks_a_look_up(ecs: dict[str, Any]) -> None:
    lists = Lists(entry("block", kind, "10.0.0.0/8" if kind == "address" else "x") for kind in FIELDS)
    found = Enrichment(lists=lists).context(event(**ecs), context())
    decide(event(**ecs), prediction(), found, policy())


@given(st.ip_addresses(), st.lists(st.tuples(st.ip_addresses(), st.integers(0, 128)), max_size=20))
def test_networks_find_what_going_through_them_one_by_one_would(address: Any, drawn: list[tuple[Any, int]]) -> None:
    nets = [network(f"{ip}/{length % (ip.max_prefixlen + 1)}") for ip, length in drawn]
    nets += [network(f"{address}/{length % (address.max_prefixlen + 1)}") for _, length in drawn[:5]]
    inner = getattr(address, "ipv4_mapped", None) or address
    expected = sorted(str(net) for net in nets if inner in net)
    assert sorted(map(str, Networks((net, net) for net in nets).find(str(address)))) == expected


def test_a_site_without_tables_costs_an_event_nothing() -> None:
    batch = context()
    assert Enrichment().context(event(), batch) is batch
