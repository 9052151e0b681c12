"""A user's search inside ours: it cannot leave its brackets, nor drop events, nor choose its time."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from connector.siem.splunk import spl

FINE = [
    ("index=main", "index=main", ()),
    ("search index=main", "index=main", ()),
    ('  search (a OR b) "x | y"', '(a OR b) "x | y"', ()),
    ('index=a | where x > 1 | eval y=if(a=1, ")", 2)', "index=a", ("where x > 1", 'eval y=if(a=1, ")", 2)')),
    ('process="C:\\\\Temp\\\\a.exe" user="it\'s"', 'process="C:\\\\Temp\\\\a.exe" user="it\'s"', ()),
    ('msg="say \\"hi\\" | now"', 'msg="say \\"hi\\" | now"', ()),
    ("`sysmon` EventCode=1", "`sysmon` EventCode=1", ()),
    ("index=a searching=1", "index=a searching=1", ()),
    ("latest_version=7 earliest_seen=2", "latest_version=7 earliest_seen=2", ()),
    ('index=a | spath output=cmd path="a.b"', "index=a", ('spath output=cmd path="a.b"',)),
    ("index=a | eval n='list{}.name', j=\"{a}\"", "index=a", ("eval n='list{}.name', j=\"{a}\"",)),
    ('index=a | where _indextime > 0 | rex field=_raw "(?<n>[a-z]+)"', "index=a", ("where _indextime > 0", 'rex field=_raw "(?<n>[a-z]+)"')),
]  # fmt: skip

REFUSED = [
    ("", "expression"),
    ("   ", "expression"),
    ("search", "expression"),
    ("| tstats count", "expression"),
    ("| inputlookup x", "expression"),
    ("index=a) OR (index=b", "bracket"),
    ("index=a) | delete | search (x", "bracket"),
    ("(index=a", "bracket"),
    ("index=a | stats count", "stats"),
    ("index=a | dedup host", "dedup"),
    ("index=a | delete", "delete"),
    ("index=a | collect index=b", "collect"),
    ("index=a | outputlookup x", "outputlookup"),
    ("index=a | fields - _bkt", "fields"),
    ("index=a | rename _cd as x", "rename"),
    ("index=a | spath", "spath"),
    ("index=a | extract", "extract"),
    ("index=a | eval {user}=1", "choose the names"),
    ("index=a | eval x=1, a{user}b = 2", "choose the names"),
    ("index=a | eval '{user}'=1", "choose the names"),
    ('index=a | eval "to {user}" =1', "choose the names"),
    ("index=a | fieldformat {user}=1", "choose the names"),
    ("index=a | where `anything`", "macro in `. where`"),
    ("index=a | eval `anything`", "macro in `. eval`"),
    ('index=a | eval x="`anything`"', "macro in `. eval`"),
    ("index=a | `anything`", "`anything`"),
    ("index=a |", "nothing"),
    ("index=a [search index=b | fields host]", "subsearch"),
    ('index=a "open', "closed"),
    ("index=a `open", "closed"),
    ("index=a ```comment```", "comments"),
    ("index=a ``` | delete", "comments"),
    ("index=a earliest=-1h", "earliest"),
    ("index=a latest = now", "latest"),
    ("index=a _index_earliest=5", "_index_earliest"),
    ('index=a EARLIEST="-5m"', "EARLIEST"),
    ("index=a | search latest=0", "latest"),
    ("index=a | eval _cd=1", "_cd"),
    ("index=a | eval x=1, _bkt = host", "_bkt"),
    ('index=a | rex "(?<_indextime>\\d+)"', "_indextime"),
    ("index=a | lookup t host OUTPUT x AS _cd", "_cd"),
    ("index=a \\| delete", "backslash"),
    ('index=a \\" | delete', "backslash"),
    ("index=a \\) | delete", "backslash"),
    ("index=a \0", "NUL"),
]  # fmt: skip


@pytest.mark.parametrize(("search", "expression", "commands"), FINE)
def test_a_search_is_an_expression_and_commands_that_look_at_one_event(
    search: str, expression: str, commands: tuple[str, ...]
) -> None:
    assert spl.parsed(search) == spl.Asked(expression, commands)


@pytest.mark.parametrize(("search", "said"), REFUSED)
def test_what_could_lose_events_or_leave_its_brackets_is_refused_with_the_reason(search: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("\\", "\\\\")):
        spl.parsed(search)


def depths(search: str) -> tuple[list[str], int]:
    """What stands outside of quotes and at which depth a bracket is closed, by a scanner that shares no code with ours."""
    parts, depth, lowest, place = [""], 0, 0, 0
    while place < len(search):
        letter = search[place]
        if letter == '"':
            place += 1
            while search[place] != '"':
                place += 2 if search[place] == "\\" else 1
        elif letter == "`":
            place = search.index("`", place + 1)
        elif letter == "|":
            parts.append("")
        else:
            depth += {"(": 1, ")": -1}.get(letter, 0)
            parts[-1] += letter
        lowest = min(lowest, depth)
        place += 1
    return parts, lowest if depth == 0 else -1


PIECES = [*"ab= \"\\()|`[]*\n0.'", "where ", "index=a", "eval x=1", "delete"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_is_accepted_stays_inside_its_brackets(text: str) -> None:
    try:
        asked = spl.parsed(text)
    except ValueError:
        return
    parts, lowest = depths(spl.base(asked, ("triaged",)))
    assert lowest == 0
    assert len(parts) == 1 + len(asked.commands)
    for part in parts[1:]:
        assert part.split()[0].lower().split("=")[0].strip("()'.*[]0") in spl.STREAMING


@given(st.text(max_size=40))
def test_a_quoted_value_is_one_term_whatever_stands_in_it(value: str) -> None:
    text = spl.quoted(value)
    assert text[0] == text[-1] == '"'
    inner = text[1:-1]
    assert inner.replace("\\\\", "").replace('\\"', "").count('"') == 0
    assert inner.replace('\\"', '"').replace("\\\\", "\\") == value or "\\" in value


@pytest.mark.parametrize("name", ["", "Main", "a b", 'x" OR index="y', "-a", "a)b", "ä"])
def test_what_is_no_index_excludes_nothing(name: str) -> None:
    with pytest.raises(ValueError, match="is no index"):
        spl.index_pattern(name)


@pytest.mark.parametrize("name", ["", "a b", 'x", _raw', "a|b", "a)"])
def test_what_is_no_field_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="is no field"):
        spl.quoted_field(name)


def test_the_search_for_rows_keeps_what_identifies_them_and_leaves_our_own_index_out() -> None:
    search = spl.events(
        spl.parsed("index=a OR index=b | where x=1"), ("triaged", "own-*"), ("*", spl.quoted_field("a.b{}"))
    )
    assert search == (
        'search (index=a OR index=b) NOT index="triaged" NOT index="own-*" | where x=1 | '
        "fields _time, _indextime, _bkt, _cd, _raw, index, host, source, sourcetype, splunk_server, *, "
        '"a.b{}"'
    )
