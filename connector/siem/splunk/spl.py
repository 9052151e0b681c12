"""The search of a user inside ours: taken apart, checked, and put into brackets that it cannot leave.

A source's ``search`` is the expression of a ``search`` command, and perhaps commands after it that look at each event alone
(``… | where …``). What would drop, merge, reorder or invent events is refused, since every event must come with its place
and nothing of a window may be missing; so is what could lie about time. Values are quoted here, never joined.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

STREAMING: Final = frozenset(
    {
        "addinfo", "eval", "fieldformat", "iplocation", "lookup", "makemv", "nomv", "rangemap", "regex", "rex", "search",
        "spath", "strcat", "tags", "typer", "where", "xpath",
    }
)  # fmt: skip
"""Commands that look at each event alone, and whose results have names that the search gives, not the event."""

KEPT: Final = ("_time", "_indextime", "_bkt", "_cd", "_raw", "index", "host", "source", "sourcetype", "splunk_server")
"""What every row needs: when it was indexed, where it lies, and what says so where it does not."""

_TIMES: Final = re.compile(
    r"(?<![\w.])(_index_earliest|_index_latest|earliest|latest|(start|end)(time(u)?|(days|hours|minutes|months)ago)"
    r"|(days|hours|minutes|months)ago|timeformat|searchtimespan\w*)\s*[=<>!]",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(r"(?<![\w.])(_bkt|_cd|_indextime)(?!\w)")
_EVALS: Final = frozenset({"eval", "fieldformat"})
_ONLY_TEST: Final = frozenset({"regex", "search", "where"})
_SEARCH: Final = re.compile(r"search(?=[\s(\"]|$)", re.IGNORECASE)
_WORD: Final = re.compile(r"\s*([A-Za-z_]\w*)")
_INDEX: Final = re.compile(r"[a-z0-9_][a-z0-9_*-]*")
_FIELD: Final = re.compile(r"[\w.:{}@*-]+")
_CHOSEN: Final = re.compile(r"\{(?!\})")
"""Braces in a name that `eval` makes stand for the value of a field; empty ones are only part of a name."""
_CLOSES: Final = {")": "("}
_SIGNS: Final = '()[]|"`'


class Asked(msgspec.Struct, frozen=True):
    """A user's search in its parts: an expression, and commands that look at each event alone."""

    expression: str
    commands: tuple[str, ...] = ()


def parsed(search: str) -> Asked:
    """The parts of a search. Raises ``ValueError`` that says what is not possible, and why."""
    expression, *commands = _segments(search)
    begins = _SEARCH.match(expression.lstrip())
    expression = expression.lstrip()[begins.end() :] if begins else expression
    if not expression.strip():
        raise ValueError("the search begins with a command: give an expression first (`index=… sourcetype=…`)")
    if found := _TIMES.search(_bare(expression)):
        raise ValueError(
            f"{found.group().strip()!r}: which time is looked at is chosen by the source, not by the search"
        )
    return Asked(expression.strip(), tuple(_command(text) for text in commands))


def _command(text: str) -> str:
    """A command that may follow. Raises ``ValueError``."""
    found = _WORD.match(text)
    name = found.group(1).lower() if found else ""
    if name not in STREAMING:
        shown = name or text.strip()[:20] or "nothing"
        raise ValueError(
            f"`| {shown}` may drop, merge or reorder events; commands that look at each one alone are: "
            + ", ".join(sorted(STREAMING))
        )
    if "`" in text:
        raise ValueError(f"a macro in `| {name}`: nothing here knows what it holds, so write it out")
    if name == "search" and (bad := _TIMES.search(_bare(text))):
        raise ValueError(f"{bad.group().strip()!r}: which time is looked at is chosen by the source, not by the search")
    if name not in _ONLY_TEST and (bad := _PLACE.search(text)):
        raise ValueError(f"`{bad.group()}` in `| {name}`: where an event lies cannot be changed")
    if name == "spath" and not re.search(r"\boutput\s*=", _bare(text)):
        raise ValueError("`| spath` without `output=` lets an event choose the names of its fields: name one")
    if name in _EVALS and _names_by_event(text):
        raise ValueError(f"`{{…}}` in `| {name}` lets an event choose the names of its fields: write the name out")
    return text.strip()


def _names_by_event(text: str) -> bool:
    """Whether a field's name is taken from what an event holds: braces outside of quotes, or in quotes before ``=``."""
    last, quoted_ = -1, ""
    for place, letter in _unquoted(text):
        quoted_ = text[last + 1 : place] or quoted_
        if _CHOSEN.match(text, place) or (letter == "=" and _CHOSEN.search(quoted_)):
            return True
        quoted_ = quoted_ if letter.isspace() else ""
        last = place
    return False


def _segments(search: str) -> Iterator[str]:
    """The text between pipes. Raises ``ValueError`` for what is not closed, and for subsearches and comments."""
    open_: list[str] = []
    start = 0
    for place, letter in _unquoted(search):
        if letter == "(":
            open_.append(letter)
        elif letter in _CLOSES:
            if not open_ or open_.pop() != _CLOSES[letter]:
                raise ValueError("a bracket is closed that was not opened")
        elif letter in "[]":
            raise ValueError("a subsearch is cut short without a word when it finds too much: use a lookup")
        elif letter == "|":
            if open_:
                raise ValueError("a bracket is not closed before `|`")
            yield search[start:place]
            start = place + 1
    if open_:
        raise ValueError("a bracket is not closed")
    yield search[start:]


def _unquoted(search: str) -> Iterator[tuple[int, str]]:
    """The letters outside of quotes and macros, with their places. Raises ``ValueError`` for one that is not closed.

    A backslash takes a quote's meaning away inside quotes alone; what it does before a sign elsewhere is nowhere written.
    """
    if "```" in search:
        raise ValueError("comments cannot stand in the search")
    inside, before = "", ""
    for place, letter in enumerate(search):
        if letter == "\0":
            raise ValueError("a NUL character cannot stand in the search")
        if inside:
            if before == "\\" and inside == '"':
                before = ""
                continue
            inside = "" if letter == inside else inside
        elif before == "\\" and letter in _SIGNS:
            raise ValueError(f"a backslash before {letter!r}: put the value into quotes")
        elif letter in '"`':
            inside = letter
        else:
            yield place, letter
        before = letter
    if inside:
        raise ValueError(f"{inside} is not closed")


def _bare(text: str) -> str:
    """The text without what is quoted."""
    return "".join(letter for _, letter in _unquoted(text))


def index_pattern(name: str) -> str:
    """The name of an index, or a pattern. Raises ``ValueError``."""
    if not _INDEX.fullmatch(name):
        raise ValueError(f"{name!r} is no index: names have lower-case letters, digits, `_`, `-`, and `*` in a pattern")
    return name


def quoted(value: str) -> str:
    """A value that is one term whatever stands in it. ``*`` stays a wildcard."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def base(asked: Asked, exclude: Sequence[str]) -> str:
    """The search for a user's events, without those of indexes that are ours alone."""
    own = " ".join(f"NOT index={quoted(index_pattern(name))}" for name in exclude)
    return " | ".join((f"search ({asked.expression}) {own}".rstrip(), *asked.commands))


def events(asked: Asked, exclude: Sequence[str], fields: Sequence[str], more: Sequence[str] = ()) -> str:
    """The search for rows: what identifies them, and the fields that are wanted."""
    wanted = ", ".join(dict.fromkeys((*KEPT, *fields)))
    return " | ".join((base(asked, exclude), *more, f"fields {wanted}"))


def counted(asked: Asked, exclude: Sequence[str]) -> str:
    """The search for how many rows there are, how many have a place, and how many places those are."""
    return " | ".join(
        (
            base(asked, exclude),
            'eval triaged_place=if(len(_bkt) > 0 AND len(_cd) > 0, _bkt.":"._cd, null())',
            "stats count AS rows, count(triaged_place) AS placed, dc(triaged_place) AS places",
        )
    )


def quoted_field(name: str) -> str:
    """A field's name as ``fields`` takes it, wildcards among them. Raises ``ValueError``."""
    if not _FIELD.fullmatch(name):
        raise ValueError(f"{name!r} is no field: names have letters, digits, and `_.:{{}}@*-`")
    return name if re.fullmatch(r"[\w*]+", name) else quoted(name)
