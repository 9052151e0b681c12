"""What admit is told of one action: read from the ledger under the claim's lock, or from the books of a simulation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

from connector.policy import AdmissionContext, Policy, scopes
from connector.policy.admission import Approved, Silenced
from connector.policy.admit import DRIFT_SWITCH
from connector.policy.enrichment import Known
from connector.types import Action

Uniqueness: TypeAlias = Literal["key", "search", "none"]


class Books(Protocol):
    """Where counters and controls stand at one moment; :class:`connector.ledger.Admission` says what each gives."""

    @property
    def now(self) -> datetime:
        """The moment of the admission."""
        ...

    def switches(self) -> Mapping[str, bool]:
        """Every switch that was ever set, and whether it is on."""
        ...

    def silences(self, now: datetime) -> tuple[Silenced, ...]:
        """Silences that have not ended."""
        ...

    def approval(self, key: str) -> Approved | None:
        """What a person decided on the action."""
        ...

    def last(self, scope: str, excluding_key: str) -> datetime | None:
        """When an action was last counted under the scope, other than this one."""
        ...

    def count(self, scope: str, since: datetime, excluding_key: str) -> int:
        """How many actions were counted under the scope at or after ``since``, other than this one."""
        ...


def context_of(
    books: Books, action: Action, policy: Policy, known: Known, *, bundle_ready: bool, uniqueness: Uniqueness
) -> AdmissionContext:
    """The context of one admission. ``known`` is what the site's tables say of the action's entity."""
    counted = {
        scope.name: (
            books.last(scope.name, action.key),
            books.count(scope.name, books.now - scope.window, action.key),
        )
        for scope in scopes(action, policy)
    }
    switches = on(books.switches())
    return AdmissionContext(
        switches=switches,
        silences=books.silences(books.now),
        approval=books.approval(action.key),
        counted=counted,
        bundle_ready=bundle_ready,
        drifting=DRIFT_SWITCH in switches,
        uniqueness=uniqueness,
        resolved=known.resolved,
        aliases=known.aliases,
        tags=known.tags,
    )


def on(switches: Mapping[str, bool]) -> frozenset[str]:
    """The names of the switches that are on."""
    return frozenset(name for name, is_on in switches.items() if is_on)
