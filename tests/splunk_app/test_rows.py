"""Rows and values of the protocol, for any text at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from triaged_chunks import Rows, multivalue, values_of

from tests.splunk_app.search import Reply, table

VALUES = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["$", "$;$", ";", ""])
)


@given(VALUES.filter(lambda values: len(values) > 1))
def test_several_values_survive_their_form(values):
    assert values_of(multivalue(values)) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$one$;$two$", ["one", "two"]),
        ("$a$$;$$b$;$c$", ["a$;$b", "c"]),
        ("$$;$$", ["", ""]),
        ("$1.50", ["$1.50"]),
        ("plain", ["plain"]),
        ("$a$b$", ["$a$b$"]),
    ],
)
def test_values_are_told_apart_by_the_vendors_rule(text, values):
    assert values_of(text) == values


def test_a_long_text_of_dollars_costs_no_more_than_its_length():
    assert values_of("$" * 1_000_001 + "x") == ["$" * 1_000_001 + "x"]


@settings(max_examples=40)
@given(st.lists(st.fixed_dictionaries({"a": st.text(max_size=20), "b": st.text(max_size=20)}), min_size=1))
def test_rows_come_back_as_they_were_beside_what_is_added(rows):
    rows = [{name: value.encode("utf-8", "replace").decode() for name, value in row.items()} for row in rows]
    added = [{"x": ["1", "2$"], "y": []} for _ in rows]
    found = Reply({}, Rows(table(rows)).written(added, ("x", "y"))).rows
    assert [{name: row[name] for name in ("a", "b")} for row in found] == rows
    assert {(row["x"], row["__mv_x"], row["y"], row["__mv_y"]) for row in found} == {("1\n2$", "$1$;$2$$$", "", "")}


def test_fields_of_the_same_name_are_replaced_and_not_doubled():
    body = b"n,triage_verdict\n1,old\n2,older\n"
    written = Rows(body).written([{"triage_verdict": ["benign"]}, {}], ("triage_verdict",))
    assert Reply({}, written).table == [
        ["n", "triage_verdict", "__mv_triage_verdict"],
        ["1", "benign", ""],
        ["2", "", ""],
    ]


def test_an_event_holds_its_fields_with_lists_where_there_are_several_values_and_nothing_of_ours():
    rows = [{"a": "1\n2", "__mv_a": "$1$;$2$", "b": "", "c": "nul\0", "triage_verdict": "benign"}]
    events = list(Rows(table(rows, ["a", "b", "c", "triage_verdict"])).events((), without=("triage_verdict",)))
    assert events == [{"a": ["1", "2"], "c": "nul\0"}]


def test_an_event_holds_only_the_fields_that_were_named():
    assert list(Rows(table([{"a": "1", "b": "2"}])).events(("b", "missing"))) == [{"b": "2"}]


def test_rows_that_are_too_short_are_filled_up_and_what_is_too_much_is_cut():
    written = Rows(b"a,b\n1\n\n1,2,3\n").written([{"x": ["y"]}] * 3, ("x",))
    assert Reply({}, written).table == [
        ["a", "b", "x", "__mv_x"],
        *([*row, "y", ""] for row in (["1", ""], ["", ""], ["1", "2"])),
    ]


@pytest.mark.parametrize(
    "body", [b'a,b\n1,"open', b'a,b\n1,"open\n', b'a,b\n1,op"en', b'a,b\r\n1,"o""pen"\r\n', b"a,b\r1,open"]
)
def test_what_is_added_stands_in_cells_of_its_own_however_a_row_is_quoted_and_ended(body):
    (row,) = Reply({}, Rows(body).written([{"x": ["y"]}], ("x",))).rows
    assert row["a"] == "1"
    assert row["b"].strip().replace('"', "") == "open"
    assert row["x"] == "y"


def test_an_event_is_there_before_the_next_row_is_read_and_no_row_is_lost():
    rows = Rows(table([{"n": str(n)} for n in range(5)]))
    events = rows.events(())
    assert [next(events), next(events)] == [{"n": "0"}, {"n": "1"}]
    assert len(rows.column("n")) == 5
