"""The deliver loop for playbooks: admit, send at most once, follow the run to its end.

Admission happens inside the transaction that claims the row, so that caps hold across replicas. What happens after a
doubtful send depends on what the platform offers (``Soar.uniqueness``)::

    key      send again: the platform knows the key
    search   look for the run once its index delay has passed; if it is not there, send once more
    none     send once more; containment never
    then     a dead letter, "outcome unknown"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from connector import identity
from connector.errors import PermanentError, TransientError
from connector.ledger import Admission, Claim, Ledger, OpenRun
from connector.ledger.rows import Outcome
from connector.pipeline.deliver import backoff
from connector.pipeline.ingest import Steps
from connector.pipeline.routes import Routes
from connector.policy import AdmissionContext, Policy, Refuse, Run, Wait, admit, scopes, switched_off
from connector.ports import Clock, Soar
from connector.settings import SoarSettings
from connector.telemetry import DELIVERIES, Signal, emit
from connector.types import Action, RunRef, RunState, RunStatus

RECHECK = timedelta(seconds=30)
FOLLOWED = 100
"""Open runs that are looked at in one go."""


class Act:
    """Moves one SOAR's actions from the outbox to running playbooks."""

    def __init__(
        self,
        name: str,
        soar: Soar,
        settings: SoarSettings,
        *,
        ledger: Ledger,
        policy: Callable[[], Policy],
        bundle_ready: Callable[[], bool],
        routes: Routes,
        origin_key: bytes,
        owner: str,
        lease_ttl: timedelta,
        clock: Clock,
        stopping: Callable[[], bool],
        steps: Steps,
    ) -> None:
        self.name = name
        self.soar = soar
        self.settings = settings
        self._ledger = ledger
        self._policy = policy
        self._bundle_ready = bundle_ready
        self._routes = routes
        self._origin_key = origin_key
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._clock = clock
        self._stopping = stopping
        self._steps = steps

    def drain(self) -> int:
        """Starts what may start now and follows what runs. Returns how many runs were started.

        One action at a time: a claim that is not sent before it ends would come back as a doubtful one.
        """
        started = 0
        more = True
        while more and not self._stopping():
            claim, more = self._admit()
            if claim is not None:
                self._steps("act.admitted")
                started += self._send(claim)
        self.follow()
        return started

    def _admit(self) -> tuple[Claim | None, bool]:
        """Claims the next due action and decides on it under lock: the claim, if it may run, and whether there was one."""
        policy, now = self._policy(), self._clock()
        with self._ledger.claiming(self.name, self._owner, self._lease_ttl, 1) as admission:
            for claim in admission.rows:
                action = action_of(claim)
                decision = admit(action, self._context(admission, action, policy), policy, now)
                if isinstance(decision, Run):
                    admission.run(claim, [scope.name for scope in scopes(action, policy)])
                    return claim, True
                if isinstance(decision, Wait):
                    admission.wait(claim, decision.until, decision.reason)
                    emit(Signal.ACTION_WAITING, self.name, key=action.key, reason=decision.reason)
                else:
                    self._refuse(admission, claim, decision)
            return None, bool(admission.rows)

    def _context(self, admission: Admission, action: Action, policy: Policy) -> AdmissionContext:
        """What admit needs to know, read under the lock that the claim holds."""
        counted = {
            scope.name: (
                admission.last(scope.name, action.key),
                admission.count(scope.name, self._clock() - scope.window, action.key),
            )
            for scope in scopes(action, policy)
        }
        return AdmissionContext(
            switches=on(admission.switches()),
            silences=tuple(admission.silences(self._clock())),
            approval=admission.approval(action.key),
            counted=counted,
            bundle_ready=self._bundle_ready(),
            uniqueness=self.soar.uniqueness,
        )

    def _refuse(self, admission: Admission, claim: Claim, decision: Refuse) -> None:
        emit(Signal.ACTION_REFUSED, self.name, key=action_of(claim).key, reason=decision.reason)
        status = self._status(action_of(claim), "refused", decision.reason, None)
        admission.refuse(claim, decision.reason, self._routes.follow_ups([status]))

    def _send(self, claim: Claim) -> bool:
        """Starts one run. What was doubtful before is looked for first, as the platform allows."""
        if stopped := switched_off(action_of(claim), on(self._ledger.switches()), self._policy()):
            self._settle(claim, "retry", stopped, RECHECK)
            return False
        try:
            run = self._earlier(claim) if claim.doubts and self.soar.uniqueness != "key" else None
            if run is None and self._hopeless(claim):
                self._dead(claim, "outcome unknown")
                return False
            if run is None:
                run = self.soar.run(action_of(claim))
            self._steps("act.sent")
        except TransientError as error:
            self._doubtful(claim, error)
            return False
        except PermanentError as error:
            self._dead(claim, str(error))
            return False
        status = self._status(action_of(claim), "running", "", run)
        self._ledger.start_run(claim, run, self._routes.follow_ups([status]))
        self._steps("act.marked")
        DELIVERIES.labels(target=self.name, outcome="delivered").inc()
        emit(Signal.ACTION_RUN, self.name, key=action_of(claim).key, playbook=action_of(claim).playbook, run=run.run_id)
        return True

    def _earlier(self, claim: Claim) -> RunRef | None:
        """The run of an earlier, doubtful send, where the platform can be searched."""
        return self.soar.find(action_of(claim).key) if self.soar.uniqueness == "search" else None

    def _hopeless(self, claim: Claim) -> bool:
        """Whether another send is one too many: after the second doubt, and after the first for a blind containment."""
        if not claim.doubts or self.soar.uniqueness == "key":
            return False
        return claim.doubts > 1 or (self.soar.uniqueness == "none" and action_of(claim).tier == "contain")

    def _doubtful(self, claim: Claim, error: TransientError) -> None:
        if claim.attempt >= self.settings.max_attempts:
            self._dead(claim, f"outcome unknown: {error}" if error.sent else str(error))
        else:
            # the wiring sees to it that a crash, too, leaves at least the index delay: the lease is no shorter
            wait = max(backoff(claim.attempt), timedelta(seconds=self.soar.index_delay if error.sent else 0))
            self._settle(claim, "unknown" if error.sent else "retry", str(error), wait)

    def _settle(self, claim: Claim, outcome: Outcome, reason: str, wait: timedelta) -> None:
        emit(Signal.DELIVERY_RETRIED, self.name, key=action_of(claim).key, reason=reason)
        self._ledger.settle(self.name, [(claim, outcome, reason, self._clock() + wait)])

    def _dead(self, claim: Claim, reason: str) -> None:
        emit(Signal.DEAD_LETTER, self.name, key=action_of(claim).key, reason=reason)
        status = self._status(action_of(claim), "failed", reason, None)
        self._ledger.settle(self.name, [(claim, "dead", reason, None)], self._routes.follow_ups([status]))

    def follow(self) -> int:
        """Asks how open runs stand and records those that ended. Returns how many ended."""
        ended = 0
        for run in self._ledger.open_runs(self.name, FOLLOWED):
            if self._stopping():
                break
            ended += self._ask(run)
        return ended

    def _ask(self, run: OpenRun) -> bool:
        try:
            seen = self.soar.status(run.ref, run.action)
        except TransientError as error:
            emit(Signal.DELIVERY_RETRIED, self.name, key=run.action.key, reason=str(error))
            return False
        status = self._status(run.action, seen.state, seen.detail, run.ref)
        ended = status.state != "running"
        told = self._ledger.finish_run(status, self._routes.follow_ups([status]) if ended else ())
        self._steps("act.finished")
        return ended and told

    def _status(self, action: Action, state: RunState, detail: str, run: RunRef | None) -> RunStatus:
        record = identity.follow_up_id(action.cause, "run_status", f"{action.key}:{state}")
        return RunStatus(
            record_id=record,
            cause=action.cause,
            action_key=action.key,
            playbook=action.playbook,
            state=state,
            detail=detail,
            at=self._clock(),
            run_id=run.run_id if run else None,
            origin=identity.origin_mark(self._origin_key, record),
        )


def action_of(claim: Claim) -> Action:
    """The action that a SOAR's outbox row carries."""
    if not isinstance(claim.record, Action):
        raise TypeError(f"outbox row {claim.id} of a SOAR carries a {type(claim.record).__name__}, not an action")
    return claim.record


def on(switches: Mapping[str, bool]) -> frozenset[str]:
    """The names of the switches that are on."""
    return frozenset(name for name, is_on in switches.items() if is_on)
