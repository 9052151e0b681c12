"""Which closures no person made: they say what a machine thinks, and a model would learn from itself."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Final, Literal, Self, TypeAlias

from connector.learn.export.labels import slug
from connector.learn.export.rows import Fact
from connector.settings import ExportSettings

Reason: TypeAlias = Literal[
    "marked by the SIEM", "automated closure", "own playbook", "service account", "names nobody", "bulk closure"
]

ACCOUNTS: Final = (
    *("splunk-system-user", "system", "elastic", "kibana", "kibana_system", "triaged*", "soar*", "xsoar*", "phantom*"),
    *("svc-*", "svc_*", "*-svc", "*_svc", "service-*", "service_*", "*-service", "*_service", "sa-*", "bot-*", "*-bot"),
    *("*[[]bot]", "automation*", "api-*", "apikey*"),
)
"""Names of accounts, in lower case, that no person works with; ``[[]`` is a bracket."""

AUTOMATED: Final = frozenset({"automated_closure", "auto_closed", "autoclosed", "auto_close", "auto_resolved"})
"""Dispositions and tags of what no person closed."""
CLOSED: Final = frozenset({"closed", "resolved"})
"""Statuses that end the work on an alert."""
OURS: Final = re.compile(
    r"\btriaged [0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b", re.IGNORECASE
)
"""The mark that our own changes of alerts carry in their comment."""


class Machines:
    """How a site's machines are told; ``accounts`` are patterns beside :data:`ACCOUNTS`.

    A closure that names nobody is a machine's, as one through an API key is, unless the site says that these are people
    (``unnamed``).
    """

    def __init__(
        self,
        accounts: Collection[str] = (),
        *,
        closures: int = 50,
        within: timedelta = timedelta(minutes=1),
        unnamed: bool = False,
    ) -> None:
        self._accounts = tuple(pattern.lower() for pattern in (*ACCOUNTS, *accounts))
        self._most = closures
        self._within = within
        self._unnamed = unnamed

    @classmethod
    def of(cls, settings: ExportSettings) -> Self:
        """As a site tells them."""
        return cls(
            settings.service_accounts,
            closures=settings.bulk_closures,
            within=settings.bulk_within,
            unnamed=settings.unnamed_are_people,
        )

    @property
    def told(self) -> tuple[str, ...]:
        """What closures are told by: labels follow from it."""
        return *self._accounts, str(self._most), str(self._within), str(self._unnamed)

    def is_account(self, name: str) -> bool:
        """Whether no person works under this name."""
        known = name.strip().lower()
        return any(fnmatchcase(known, pattern) for pattern in self._accounts)

    def reasons(self, facts: Iterable[Fact]) -> Mapping[str, Reason]:
        """Why facts, in plain words, are a machine's, by fact.

        The facts are all that was observed until then: a bulk is found once it is one.
        """
        found: dict[str, Reason] = {}
        by_analyst: dict[tuple[str, str | None], list[Fact]] = defaultdict(list)
        for fact in facts:
            if reason := self._reason(fact):
                found[fact.id] = reason
            elif is_closure(fact):
                by_analyst[fact.history, fact.analyst].append(fact)
        for closures in by_analyst.values():
            found.update(dict.fromkeys(self._bulk(closures), "bulk closure"))
        return found

    def _reason(self, fact: Fact) -> Reason | None:
        if OURS.search(fact.comment):
            return "own playbook"
        if slug(fact.disposition or "") in AUTOMATED or any(slug(tag) in AUTOMATED for tag in fact.tags):
            return "automated closure"
        if self.is_account(fact.analyst or ""):
            return "service account"
        if not fact.analyst and not self._unnamed and is_closure(fact):
            return "names nobody"
        return "marked by the SIEM" if fact.machine else None

    def _bulk(self, closures: list[Fact]) -> Iterable[str]:
        """Ids of closures that lie in a window with more of the same analyst than a person decides in it."""
        ordered = sorted(closures, key=lambda fact: fact.changed_at)
        first, marked = 0, 0
        for last, fact in enumerate(ordered):
            while fact.changed_at - ordered[first].changed_at > self._within:
                first += 1
            if last - first + 1 > self._most:
                yield from (one.id for one in ordered[max(first, marked) : last + 1])
                marked = last + 1


def is_closure(fact: Fact) -> bool:
    """Whether a change ends the work on an alert; a re-open carries no decision."""
    return fact.disposition is not None or fact.status in CLOSED
