"""Keys of events: equal only where no rule can tell the events apart, however odd the events are."""

from __future__ import annotations

import itertools
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from connector.models.rules import load
from connector.models.rules.keys import Keys
from connector.models.rules.ruleset import RuleSet
from connector.models.rules.views import view_of
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
scalars: st.SearchStrategy[Json] = st.sampled_from([None, "1", 1, True, 1.0, "10", "\ud800", ["1"]])
data = st.dictionaries(st.sampled_from(["CommandLine", "User", "TargetImage", "param1", "param2", "paramx"]), values)


@st.composite
def odd(draw: st.DrawFn) -> Event:
    """A Windows event with what no door would have left in it."""
    winlog: dict[str, Json] = {
        "channel": draw(st.sampled_from([BASE.ecs["winlog"]["channel"], "Security", None, 7])),
        "provider_name": draw(st.sampled_from(["Microsoft-Windows-Sysmon", "other", None, ["other"]])),
        "computer_name": draw(st.sampled_from(["pc", None, 5])),
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
def test_events_of_one_key_are_read_alike_and_a_key_never_depends_on_what_came_before(
    rules: RuleSet, events: list[Event]
) -> None:
    keys = Keys(rules, "digest")
    alike: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        alike[keys.of(event)].append(event)

    for found in alike.values():
        for one, other in itertools.pairwise(found):
            assert repr(rules.reads(view_of(one))) == repr(rules.reads(view_of(other)))
            assert rules.matching(view_of(one)) == rules.matching(view_of(other))
    assert [Keys(rules, "digest").of(event) for event in events] == [keys.of(event) for event in events]


def test_what_no_rule_reads_makes_no_other_key() -> None:
    keys = Keys(FIELDS, "digest")
    found = [sysmon(CommandLine="whoami", ProcessId=str(number), Image=f"C:\\{number}.exe") for number in range(5)]

    assert len({keys.of(event) for event in found}) == 1
    assert keys.of(sysmon(CommandLine="whoami /all")) != keys.of(found[0])


def test_another_set_of_rules_gives_another_key() -> None:
    assert Keys(FIELDS, "one").of(BASE) != Keys(FIELDS, "other").of(BASE)


def test_a_code_that_is_a_number_is_no_other_code_that_python_calls_equal() -> None:
    keys = Keys(FIELDS, "digest")
    codes: list[Json] = [True, 1, 1.0]
    found = [msgspec.structs.replace(BASE, ecs={**BASE.ecs, "event": {"code": code}}) for code in codes]

    assert len({keys.of(one) for one in found}) == len(codes)


def test_a_value_that_is_null_is_looked_for_where_a_door_may_have_moved_it() -> None:
    keys = Keys(FIELDS, "digest")
    winlog = {**BASE.ecs["winlog"], "event_data": {"CommandLine": None, "User": "LAB\\one"}}
    found = [
        msgspec.structs.replace(BASE, ecs={**BASE.ecs, "winlog": winlog, "process": {"command_line": line}})
        for line in ("whoami", "notepad")
    ]

    assert [FIELDS.matching(view_of(one)) for one in found] == [[0], []]
    assert keys.of(found[0]) != keys.of(found[1])


def test_texts_without_a_name_and_the_computer_are_part_of_the_key() -> None:
    keys = Keys(FIELDS, "digest")

    def told(text: str, computer: str = "pc") -> Event:
        made = sysmon(CommandLine="whoami")
        winlog = {**made.ecs["winlog"], "computer_name": computer, "event_data": {"param1": text}}
        return msgspec.structs.replace(made, ecs={**made.ecs, "winlog": winlog})

    assert len({keys.of(told("text")), keys.of(told("other")), keys.of(told("text", "pc2"))}) == 3
    assert keys.of(told("text")) == keys.of(told("text"))


def test_logs_of_one_form_have_keys_of_their_own() -> None:
    keys = Keys(FIELDS, "digest")
    assert keys.of(windows("Security", 4688, CommandLine="whoami")) != keys.of(sysmon(CommandLine="whoami"))
