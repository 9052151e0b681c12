"""Windows channels that have a log-level canonical kind: the words of their codes stand once, in the table."""

from __future__ import annotations

from collections.abc import Mapping

from connector.events.canonical import TABLE
from connector.events.family import Log
from connector.events.fields import Meta, Rules

Groups = Mapping[str, tuple[str, str]]
"""``event.category`` and ``event.type`` by event codes that share them, separated by spaces."""


def action_of(field: str, code: str) -> str:
    """``event.action`` of a code: what ``[codes]`` says of it, with hyphens. KeyError where it says nothing."""
    return TABLE.codes[field][code].replace(",", "").replace(" ", "-")


def channel_log(
    name: str,
    field: str,
    groups: Groups,
    rules: Rules,
    *,
    default: tuple[str, str],
    prefix: str | None = None,
    user_data: bool = False,
) -> Log:
    """The Windows log ``[logs.<name>]``, whose codes are those that ``[codes.<field>]`` tells the meaning of.

    ``default`` is the category and type of codes that stand in no group; ``prefix`` stands before each action, else the
    log's name does; ``user_data`` says that the log keeps its data in UserData. A group's code that has no words is refused.
    """
    known = {code: kinds for codes, kinds in groups.items() for code in codes.split()}
    if unknown := known.keys() - TABLE.codes[field].keys():
        raise ValueError(f"[codes.{field}] has no words for {', '.join(sorted(unknown))}")
    before = f"{name}-" if prefix is None else prefix
    events = {
        code: Meta(before + action_of(field, code), *known.get(code, default), rules, user_data)
        for code in TABLE.codes[field]
    }
    row = TABLE.logs[name]
    return Log(frozenset(row["providers"]), frozenset(row["channels"]), events)
