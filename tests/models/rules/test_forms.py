"""What is read by an event's form is what rules read of the event with all care, however odd it is."""

from __future__ import annotations

from collections import defaultdict
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, strategies as st

from connector.models.rules import load
from connector.models.rules.ruleset import RuleSet
from connector.models.rules.views import MAX_VALUE
from connector.types import Event, Json
from tests.models.rules.made import rule, sysmon, windows

BASE = sysmon(CommandLine="whoami", User="LAB\\one", Image="C:\\a.exe")

FIELDS = load(
    [
        rule({"CommandLine|contains": "whoami"}, title="command"),
        rule({"User|startswith": "LAB", "Computer": "pc"}, title="user"),
        rule({"Provider_Name": "Microsoft-Windows-Sysmon"}, title="provider"),
        rule({"Data|contains": "text"}, title="unnamed"),
    ]
)
KEYWORDS = load([rule(["whoami", "runas"], title="words"), rule({"TargetImage|endswith": "lsass.exe"}, title="target")])

values: st.SearchStrategy[Json] = st.sampled_from(
    [None, "", "whoami", "WHOAMI", 1, True, 1.0, 2**70, "À" * 192, ["whoami"], {"whoami": "x"}, "a\ud800", "a\ud801"]
)
scalars: st.SearchStrategy[Json] = st.sampled_from([None, "", "1", 1, True, 1.0, "10", "\ud800", ["1"]])
data = st.dictionaries(st.sampled_from(["CommandLine", "User", "TargetImage", "param1", "param2", "paramx"]), values)


@st.composite
def odd(draw: st.DrawFn) -> Event:
    """A Windows event with what no door would have left in it."""
    winlog: dict[str, Json] = {
        "channel": draw(st.sampled_from([BASE.ecs["winlog"]["channel"], "Security", None, 7])),
        "provider_name": draw(st.sampled_from(["Microsoft-Windows-Sysmon", "other", None, ["other"]])),
        "computer_name": draw(st.sampled_from(["pc", "", None, 5, {"name": "x", "z": "pc"}, {"name": "x"}, ["pc"]])),
        "event_id": draw(scalars),
        "event_data": draw(data | st.sampled_from([None, "text"])),
    }
    if draw(st.booleans()):
        winlog["user_data"] = draw(data)
    process: dict[str, Json] = {"command_line": draw(values)} if draw(st.booleans()) else {}
    user: dict[str, Json] = {"name": draw(st.sampled_from(["one", "two"]))} if draw(st.booleans()) else {}
    ecs = {**BASE.ecs, "event": {"code": draw(scalars)}, "winlog": winlog, "process": process, "user": user}
    return msgspec.structs.replace(BASE, ecs=ecs, kind=draw(st.sampled_from(["sysmon-1", "windows"])))


@pytest.mark.parametrize("rules", [FIELDS, KEYWORDS], ids=["fields", "keywords"])
@given(st.lists(odd(), min_size=2, max_size=12))
def test_rules_hear_by_its_form_what_they_read_of_an_event(rules: RuleSet, events: list[Event]) -> None:
    fresh, alike = copy(rules), defaultdict(set)
    with patch("connector.models.rules.ruleset.name_of", lambda _: None):
        careful = [(rules.heard(event), rules.tells(event)) for event in events]
    for event, (heard, told) in zip(events, careful, strict=True):
        assert fresh.heard(event) == heard
        alike[fresh.tells(event)].add(told)

    assert all(len(told) == 1 for told in alike.values())
    assert [copy(rules).tells(event) for event in events] == [fresh.tells(event) for event in events]


def copy(rules: RuleSet) -> RuleSet:
    """The same rules, with nothing remembered."""
    return RuleSet(rules.rules, rules.left_out)


def changed(base: Event, **ecs: Json) -> Event:
    return msgspec.structs.replace(base, ecs={**base.ecs, **ecs})


def test_what_no_rule_reads_tells_no_events_apart() -> None:
    found = [sysmon(CommandLine="whoami", ProcessId=str(number), Image=f"C:\\{number}.exe") for number in range(5)]

    assert len({FIELDS.tells(event) for event in found}) == 1
    assert FIELDS.tells(sysmon(CommandLine="whoami /all")) != FIELDS.tells(found[0])


def test_a_code_that_is_a_number_is_no_other_code_that_python_calls_equal() -> None:
    codes: list[Json] = [True, 1, "1"]
    found = [changed(BASE, event={"code": code}) for code in codes]

    assert [FIELDS.heard(one) for one in found] == [None, [0], [0]]
    assert FIELDS.tells(found[0]) != FIELDS.tells(found[1])


def test_a_value_that_is_null_is_looked_for_where_a_door_may_have_moved_it() -> None:
    winlog = {**BASE.ecs["winlog"], "event_data": {"CommandLine": None, "User": "LAB\\one"}}
    found = [changed(BASE, winlog=winlog, process={"command_line": line}) for line in ("whoami", "notepad")]

    assert [FIELDS.heard(one) for one in found] == [[0], []]
    assert FIELDS.tells(found[0]) != FIELDS.tells(found[1])


def test_texts_without_a_name_and_the_computer_tell_events_apart() -> None:
    def told(text: str, computer: str = "pc") -> Event:
        winlog = {**BASE.ecs["winlog"], "computer_name": computer, "event_data": {"param1": text}}
        return changed(BASE, winlog=winlog)

    assert len({FIELDS.tells(told("text")), FIELDS.tells(told("other")), FIELDS.tells(told("text", "pc2"))}) == 3
    assert FIELDS.tells(told("text")) == FIELDS.tells(told("text"))
    assert [FIELDS.heard(told(text)) for text in ("a text", "other")] == [[0, 1, 3], [0, 1]]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"computer_name": {"name": "x", "z": "pc"}}, [0, 1]),
        ({"computer_name": {"name": "x", "z": "pc2"}}, [0]),
        ({"user_data": {"CommandLine": "notepad", "Data": "text"}}, [0, 3]),
        ({"event_data": {}, "user_data": {"CommandLine": "notepad"}}, []),
        ({"event_data": "whoami"}, [0]),
    ],
)
def test_what_is_odd_is_read_with_all_care(changes: dict[str, Json], wanted: list[int]) -> None:
    ordinary = changed(BASE, winlog={**BASE.ecs["winlog"], "computer_name": "pc3"})
    strange = changed(BASE, winlog={**BASE.ecs["winlog"], **changes})

    assert (FIELDS.heard(ordinary), FIELDS.heard(strange)) == ([0], wanted)
    assert FIELDS.tells(ordinary) != FIELDS.tells(strange)


def test_an_event_whose_code_is_empty_is_no_event_of_windows() -> None:
    winlog = {**BASE.ecs["winlog"], "event_id": ""}
    strange = changed(BASE, event={"code": "", "category": ["process"], "type": ["start"]}, winlog=winlog)

    assert FIELDS.heard(strange) is None
    assert FIELDS.tells(strange) != FIELDS.tells(BASE)


def test_a_text_too_long_for_rules_is_heard_as_far_as_they_read() -> None:
    long = "a" * (MAX_VALUE - 6)
    assert [FIELDS.heard(sysmon(CommandLine=long + end)) for end in ("whoami", "awhoami")] == [[0], []]


def test_logs_of_one_form_are_told_apart() -> None:
    assert FIELDS.tells(windows("Security", 4688, CommandLine="whoami")) != FIELDS.tells(sysmon(CommandLine="whoami"))
