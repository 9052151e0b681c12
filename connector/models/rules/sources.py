"""Log sources outside pySigma's pipelines, as ``sources.toml`` has them: which events are meant, and where their fields stand."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from connector.models.rules.views import View

ANY: Final = "*"
"""Stands for any value of a field that must be there."""


class Source(NamedTuple):
    """A log source outside pySigma's pipelines.

    ``when`` are ECS names with the values (case-folded) of which an event must have one each; ``fields`` give for a rule's
    field the names that may hold it, and for a name that ends in ``.`` what its beginning is replaced by.
    """

    name: str
    when: Mapping[str, frozenset[str]]
    fields: Mapping[str, tuple[str, ...]]

    def holds(self, view: View) -> bool:
        """Whether an event is of this source."""
        return all(
            not values.isdisjoint(view.folded(name)) or (ANY in values and bool(view.get(name)))
            for name, values in self.when.items()
        )

    def names(self, field: str) -> Sequence[str]:
        """The names under which an event of this source may hold a rule's field; its own where no table maps it."""
        if field in self.fields:
            return self.fields[field]
        for begin, instead in self.fields.items():
            if begin.endswith(".") and field.startswith(begin):
                return [name + field[len(begin) :] for name in instead]
        return (field,)


class Facts(NamedTuple):
    """What ``sources.toml`` holds: sources by (category, product, service), and Windows logs that pySigma does not name."""

    sources: Mapping[tuple[str | None, str | None, str | None], tuple[Source, ...]]
    channels: Mapping[str, tuple[str, ...]]


@cache
def facts() -> Facts:
    """The table, compiled."""
    whole = tomllib.loads(Path(__file__).with_name("sources.toml").read_text(encoding="utf-8"))
    sources: dict[tuple[str | None, str | None, str | None], tuple[Source, ...]] = {}
    for number, row in enumerate(whole["source"]):
        source = _source(number, row, whole["fields"])
        for logsource in row["logsource"]:
            key = (logsource.get("category"), logsource.get("product"), logsource.get("service"))
            sources[key] = (*sources.get(key, ()), source)
    return Facts(sources, {name: tuple(channels) for name, channels in whole["channels"].items()})


def _source(number: int, row: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]]) -> Source:
    mapped: dict[str, tuple[str, ...]] = {}
    for table in row.get("fields", ()):
        mapped |= {name: (to,) if isinstance(to, str) else tuple(to) for name, to in known[table].items()}
    when = {name: frozenset(value.casefold() for value in values) for name, values in row["when"].items()}
    return Source(str(number), when, mapped)
