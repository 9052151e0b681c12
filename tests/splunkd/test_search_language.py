"""The search language: what it finds, what it computes, and that what it does not know is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.splunkd import Splunkd
from tests.splunkd.asking import Client
from tests.splunkd.spl.text import Macro

EVENTS = (
    {"EventID": 1, "user": "Bob", "cmd": 'say "hi"', "tags": ["a", "b"], "deep": {"er": "x"}},
    {"EventID": 4688, "user": "alice", "cmd": "whoami /all"},
    {"EventID": 4624, "user": "bo*b"},
)


@pytest.fixture
def house(splunkd: Splunkd) -> Client:
    for number, event in enumerate(EVENTS):
        splunkd.put(event, index="main", sourcetype="json", host=f"h{number}", time=1000 - number)
    splunkd.put('user=carol action="log in" count=7', index="win", sourcetype="kv", time=900)
    splunkd.put("internal", index="_internal", time=1)
    return Client(splunkd)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("index=main", "1 4688 4624"),
        ("user=bob", "1"),
        ("user=b*", "1 4624"),
        (r"user=bo\*b", "4624"),
        ('user="bob" OR user=alice EventID>1', "4688"),
        ("NOT user=bob", "4688 4624"),
        ("cmd!=whoami*", "1"),
        ("NOT cmd=whoami*", "1 4624"),
        ("EventID IN (1, 4624)", "1 4624"),
        ("EventID>=4624 EventID<4688", "4624"),
        ("tags{}=b", "1"),
        ("deep.er=x", "1"),
        ("host=h1 OR host=h2", "4688 4624"),
        ("whoami", "4688"),
        ("whoam", ""),
        ("(user=bob OR user=alice) AND NOT (EventID=1)", "4688"),
        ("source=standin sourcetype=json", "1 4688 4624"),
        ('cmd="say \\"hi\\""', "1"),
    ],
)
def test_an_expression_finds_what_splunk_finds(house: Client, expression: str, found: str) -> None:
    assert [row["EventID"] for row in house.rows(f"search index=main {expression}")] == found.split()


def test_a_search_without_an_index_looks_into_the_default_ones_and_a_star_into_none_that_is_internal(
    house: Client,
) -> None:
    assert len(house.rows("search *")) == 3
    assert len(house.rows("search index=*")) == 4
    assert [row["_raw"] for row in house.rows("search index=_*")] == ["internal"]
    assert [row["action"] for row in house.rows("search index=win count=7")] == ["log in"]


@pytest.mark.parametrize(
    ("commands", "rows"),
    [
        ("stats count", [{"count": "3"}]),
        (
            "where EventID>4000 | stats count AS n, dc(user) AS users, max(EventID) AS top",
            [{"n": "2", "users": "2", "top": "4688"}],
        ),
        ("stats count by host | sort - host | head 1", [{"host": "h2", "count": "1"}]),
        ("search user=alice | table user, cmd", [{"user": "alice", "cmd": "whoami /all"}]),
        ('eval a=1+2*3, b=user."-".a | sort EventID | head 1 | table a b', [{"a": "7", "b": "Bob-7"}]),
        (
            'head 1 | eval c=if(isnull(nothing), "none", nothing), d=coalesce(nothing, user) | table c, d',
            [{"c": "none", "d": "Bob"}],
        ),
        ("head 1 | mvexpand tags{} | table tags{}", [{"tags{}": "a"}, {"tags{}": "b"}]),
        ("rename user AS name | sort name | table name", [{"name": "Bob"}, {"name": "alice"}, {"name": "bo*b"}]),
        ("eval g=1 | dedup g | table EventID", [{"EventID": "1"}]),
        ("reverse | head 1 | table EventID", [{"EventID": "4624"}]),
        ("tail 1 | table EventID", [{"EventID": "4624"}]),
        ('head 1 | rex field=cmd "^(?<verb>\\w+)" | table verb', [{"verb": "say"}]),
        ("fillnull value=none cmd | stats count by cmd | sort cmd | head 1", [{"cmd": "none", "count": "1"}]),
        ('head 1 | eval m=md5("x") | table m', [{"m": "9dd4e461268c8034f5c8564e155c67a6"}]),
        ("head 1 | eval t=_time | table t", [{"t": "1000"}]),
        (
            "head 1 | eval n=mvcount('tags{}'), f=mvindex('tags{}', 0), j=mvjoin('tags{}', \"+\") | table n f j",
            [{"n": "2", "f": "a", "j": "a+b"}],
        ),
    ],
)
def test_commands_compute_what_splunk_computes(house: Client, commands: str, rows: list[dict[str, Any]]) -> None:
    assert house.rows(f"search index=main | {commands}") == rows


def test_fields_keeps_what_begins_with_an_underscore_and_table_does_not(house: Client) -> None:
    assert set(house.rows("search index=main | head 1 | fields user")[0]) >= {
        "user",
        "_raw",
        "_time",
        "_cd",
        "_bkt",
        "_indextime",
    }
    assert "host" not in house.rows("search index=main | head 1 | fields user")[0]
    assert set(house.rows("search index=main | head 1 | fields - _raw, host")[0]) & {"_raw", "host"} == set()
    assert set(house.rows("search index=main | head 1 | table user")[0]) == {"user"}


def test_a_condition_on_a_missing_field_is_not_true_either_way(house: Client) -> None:
    assert (
        house.rows('search index=main | where nothing="x"')
        == house.rows('search index=main | where NOT nothing="x"')
        == []
    )


def test_macros_are_expanded_with_their_arguments_and_not_inside_quotes(house: Client, splunkd: Splunkd) -> None:
    splunkd.site.macros |= {"mine": Macro("index=main `of(alice)`"), "of(1)": Macro('user="$name$"', ("name",))}
    assert [row["EventID"] for row in house.rows("search `mine`")] == ["4688"]
    assert house.rows('search index=main user="`mine`"') == []
    assert "cannot be found" in house.refused("search `nobody`")


def test_sort_leaves_ten_thousand_rows_unless_told_zero(client: Client, splunkd: Splunkd) -> None:
    assert len(client.rows("| makeresults count=10001 | sort _time")) == 10_000
    assert len(client.rows("| makeresults count=10001 | sort 0 _time")) == 10_001


def test_tstats_counts_fields_of_index_time_alone(house: Client, splunkd: Splunkd) -> None:
    splunkd.put("x", time=1, indexed={"team": "red"})
    assert house.rows("| tstats count where index=main by sourcetype | sort sourcetype") == [
        {"sourcetype": "json", "count": "3"},
        {"sourcetype": "standin", "count": "1"},
    ]
    assert house.rows("| tstats count where index=main team=red") == [{"count": "1"}]
    assert "not an indexed field" in house.refused("| tstats count where index=main by user")


@pytest.mark.parametrize(
    "search",
    [
        "search index=main | nonsense",
        "search index=main | eval x=nosuch(1)",
        "search index=main | stats nosuch(x)",
        "search (index=main",
        "search index=main | where (",
        'search index=main "open',
        "search index=main [search index=x]",
        "search index=main | | head 1",
        "search user=",
        "search index=main | makeresults",
        "| head 5",
        "search index=main | dedup user sortby x",
        "search a=1 OR",
        "   ",
        "search index=main | \x00notable",
        "search index=main | transaction user",
    ],
)
def test_what_is_not_known_is_refused_with_its_reason(house: Client, search: str) -> None:
    assert house.refused(search)


def test_a_search_that_fails_as_it_runs_is_an_error_of_its_job_and_an_empty_export(house: Client) -> None:
    search = "| inputlookup nosuch"
    assert "nosuch" in house.refused(search)
    reply = house.export(search)
    assert (reply.status, reply.body) == (200, b"")


def test_lookups_read_and_write_collections(house: Client, splunkd: Splunkd) -> None:
    splunkd.tables.define("people", "people_collection")
    splunkd.kv.define("people_collection")["k"] = {"_key": "k", "user": "alice", "team": "red", "roles": ["x", "y"]}
    assert house.rows("| inputlookup people") == [{"user": "alice", "team": "red", "roles": ["x", "y"]}]
    found = house.rows("search index=main | lookup people user OUTPUT team AS side | search side=* | table user side")
    assert found == [{"user": "alice", "side": "red"}]
    house.rows('| makeresults | eval user="dan", team="blue" | fields user, team | outputlookup append=true people')
    assert house.rows("| inputlookup people where team=blue | table user") == [{"user": "dan"}]


def test_what_an_event_says_of_itself_does_not_hide_where_it_lies(client: Client, splunkd: Splunkd) -> None:
    splunkd.put({"_bkt": "forged", "_time": "1", "host": "forged", "index": "forged"}, host="real", time=1)
    [row] = client.rows("search index=main")
    assert row["_bkt"].startswith("main~0~")
    assert (row["host"], row["index"]) == ("real", "main")
    splunkd.faults.shadows = True
    [row] = client.rows("search index=main")
    assert (row["host"], row["index"]) == ("forged", "forged")
    assert row["_bkt"].startswith("main~0~")


def test_every_event_has_a_place_of_its_own(client: Client, splunkd: Splunkd) -> None:
    for number in range(4100):
        splunkd.put(str(number), time=number, peer="idx1")
    rows = client.rows("search index=main | fields _bkt, _cd")
    assert len({(row["_bkt"], row["_cd"]) for row in rows}) == len(rows) == 4100
    assert len({row["_bkt"] for row in rows}) == 2
