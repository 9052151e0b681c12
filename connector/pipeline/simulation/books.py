"""The books of a simulated policy: what it counted itself, and what people set, as it stood at each moment."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from connector.ledger import Approval, Counted, PastSilence, Silence, Switch
from connector.policy import Scope

BEGINNING = datetime.min.replace(tzinfo=UTC)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What people set, with the time of each. ``switchings`` are in their order; ``approval`` is asked for by key."""

    switchings: Sequence[Switch]
    silences: Sequence[PastSilence]
    approval: Callable[[str], Approval | None]


class SimulatedBooks:
    """Counters in memory, and controls read from the record. Time only goes forward.

    ``memory`` is the longest stretch that a rule looks back over: what is older is forgotten.
    """

    def __init__(self, recorded: Recorded, memory: timedelta, counted: Iterable[Counted] = ()) -> None:
        self.now = BEGINNING
        self._recorded = recorded
        self._memory = memory
        self._thrown = 0
        self._switches: dict[str, bool] = {}
        self._scopes: OrderedDict[str, deque[tuple[datetime, str]]] = OrderedDict()
        for entry in counted:
            self._add(entry.scope, entry.key, entry.at)

    def at(self, now: datetime) -> SimulatedBooks:
        """The books as they stand then."""
        self.now = now
        return self

    def switches(self) -> Mapping[str, bool]:
        """Every switch that was ever set by now, and whether it is on."""
        thrown = self._recorded.switchings
        while self._thrown < len(thrown) and thrown[self._thrown].at <= self.now:
            self._switches[thrown[self._thrown].name] = thrown[self._thrown].on
            self._thrown += 1
        return self._switches

    def silences(self, now: datetime) -> tuple[Silence, ...]:
        """Silences that had begun and not ended."""
        return tuple(past.silence for past in self._recorded.silences if past.since <= now < past.silence.until)

    def approval(self, key: str) -> Approval | None:
        """What a person had decided on the action."""
        held = self._recorded.approval(key)
        return held if held is not None and held.at <= self.now else None

    def awaited(self, key: str) -> datetime | None:
        """When a person decided on the action, if that is still to come."""
        held = self._recorded.approval(key)
        return held.at if held is not None and held.at > self.now and held.state != "pending" else None

    def last(self, scope: str, excluding_key: str) -> datetime | None:
        """When an action was last counted under the scope, other than this one."""
        return next((at for at, key in reversed(self._scopes.get(scope, ())) if key != excluding_key), None)

    def count(self, scope: str, since: datetime, excluding_key: str) -> int:
        """How many actions were counted under the scope at or after ``since``, other than this one."""
        return sum(at >= since and key != excluding_key for at, key in self._scopes.get(scope, ()))

    def run(self, key: str, scopes: Collection[str]) -> None:
        """Counts an action that is let through now."""
        for scope in scopes:
            self._add(scope, key, self.now)

    def renew(self, scope: Scope, now: datetime) -> None:
        """A cool-down that is not over begins anew."""
        entries = self._scopes.get(scope.name)
        if entries:
            still = now - scope.window
            self._scopes[scope.name] = deque((now if still < at < now else at, key) for at, key in entries)
            self._scopes.move_to_end(scope.name)

    def _add(self, scope: str, key: str, at: datetime) -> None:
        forgotten = at - self._memory
        while self._scopes and self._scopes[first := next(iter(self._scopes))][-1][0] < forgotten:
            del self._scopes[first]
        entries = self._scopes.setdefault(scope, deque())
        while entries and entries[0][0] < forgotten:
            entries.popleft()
        entries.append((at, key))
        self._scopes.move_to_end(scope)
