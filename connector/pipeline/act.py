"""The deliver loop for playbooks: admit, send at most once, follow the run to its end.

Admission happens inside the transaction that claims the row, so that caps hold across replicas. What happens after a
doubtful send depends on what the platform offers (``Soar.uniqueness``)::

    key      send again: the platform knows the key
    search   look for the run once its index delay has passed; if it is not there, send once more
    none     send once more; containment never
    then     a dead letter, "outcome unknown"

What may have run is never recorded as refused: where the policy would refuse it now, the run is looked for (``key``,
``search``), and if it is not found, it is a dead letter, "outcome unknown".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from connector import identity
from connector.errors import ConfigError, PermanentError, TransientError
from connector.ledger import Admission, Claim, Ledger, OpenRun
from connector.ledger.rows import Outcome
from connector.pipeline.admitting import context_of, on
from connector.pipeline.deliver import Outage, backoff
from connector.pipeline.routes import Routes
from connector.pipeline.steps import Steps
from connector.policy import Enrichment, Policy, Refuse, Run, Wait, admit, scopes, switched_off
from connector.policy.admit import RECHECK
from connector.ports import Clock, Previews, Soar
from connector.retries import SECONDS
from connector.settings import SoarSettings
from connector.telemetry import DELIVERIES, Signal, emit
from connector.transport import CONNECT_S
from connector.types import Action, RunRef, RunState, RunStatus

FOLLOWED = 100
"""Open runs that are looked at in one go."""

LATEST = timedelta(seconds=2)
"""How long an action may at least take from its claim to its start; the wiring sees to it that the lease allows it."""

ADMISSIONS = 100
"""Actions that are decided on between two looks at the open runs."""


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
        enrichment: Enrichment | None = None,
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
        self._enrichment = enrichment or Enrichment()
        self._routes = routes
        self._origin_key = origin_key
        self._owner = owner
        self._lease_ttl = lease_ttl
        self._latest = lease_ttl - longest_start(soar, settings)
        self._clock = clock
        self._stopping = stopping
        self._steps = steps
        self._outage = Outage(clock)

    def drain(self) -> int:
        """Starts what may start now and follows what runs. Returns how many runs were started.

        One action at a time: a claim that is not sent before it ends would come back as a doubtful one.
        """
        started = decided = 0
        more = True
        while more and not self._stopping() and not self._outage.resting:
            claim, refusal, more = self._admit()
            if claim is not None:
                self._steps("act.admitted")
                started += self._send(claim, refusal)
            decided += 1
            if decided % ADMISSIONS == 0:
                self.follow()
        self.follow()
        return started

    def _admit(self) -> tuple[Claim | None, str, bool]:
        """Claims the next due action and decides on it under lock.

        Returns the claim, if something is to be done about it outside of the lock; why it must not be sent again, if it
        must not; and whether there was an action at all.
        """
        policy = self._policy()
        with self._ledger.claiming(self.name, self._owner, self._lease_ttl, 1) as admission:
            self._claimed_at = admission.now
            for claim in admission.rows:
                action = action_of(claim)
                context = context_of(
                    admission,
                    action,
                    policy,
                    self._enrichment.known(action.entity),
                    bundle_ready=self._bundle_ready(),
                    uniqueness=self.soar.uniqueness,
                )
                decision = admit(action, context, policy, admission.now)
                if isinstance(decision, Run):
                    admission.run(claim, [scope.name for scope in scopes(action, policy)])
                    return claim, "", True
                if isinstance(decision, Wait):
                    admission.wait(claim, decision.until, decision.reason)
                    emit(Signal.ACTION_WAITING, self.name, key=action.key, reason=decision.reason)
                elif claim.doubts:
                    admission.run(claim, ())
                    return claim, decision.reason, True
                else:
                    self._refuse(admission, claim, decision)
            return None, "", bool(admission.rows)

    def _refuse(self, admission: Admission, claim: Claim, decision: Refuse) -> None:
        emit(Signal.ACTION_REFUSED, self.name, key=action_of(claim).key, reason=decision.reason)
        status = self._status(action_of(claim), "refused", decision.reason, None)
        admission.refuse(claim, decision.reason, self._routes.follow_ups([status]))

    def _send(self, claim: Claim, refusal: str) -> bool:
        """Starts one run, or finds the one that an earlier, doubtful send started. Whether a run stands now."""
        try:
            run, sent = self._earlier(claim, refusal), None
            if run is None:
                run, sent = self._start(claim, refusal)
        except (TransientError, ConfigError) as error:
            if isinstance(error, TransientError) and error.sent:
                self._doubtful(claim, error)
            else:
                self._untried(claim, str(error), self._outage.failed())
            if isinstance(error, ConfigError):
                raise
            return False
        except PermanentError as error:
            self._outage.answered()
            self._dead(claim, str(error), doubtful=claim.doubts > 0)
            return False
        if run is None:
            return False
        self._outage.answered()
        self._steps("act.sent")
        status = self._status(action_of(claim), "running", "", run)
        self._ledger.start_run(claim, run, self._routes.follow_ups([status]), sent=sent)
        self._steps("act.marked")
        DELIVERIES.labels(target=self.name, outcome="delivered").inc()
        emit(Signal.ACTION_RUN, self.name, key=action_of(claim).key, playbook=action_of(claim).playbook, run=run.run_id)
        return True

    def _earlier(self, claim: Claim, refusal: str) -> RunRef | None:
        """The run of an earlier, doubtful send. A platform that honours keys is asked only where it must not run again."""
        if claim.attempt > self.settings.max_attempts:
            raise PermanentError("every attempt ended without an outcome")
        if not claim.doubts or self.soar.uniqueness == "none" or (self.soar.uniqueness == "key" and not refusal):
            return None
        try:
            return self.soar.find(action_of(claim).key)
        except TransientError as error:
            raise TransientError(str(error)) from error  # not "sent": a question that got no answer starts nothing

    def _start(self, claim: Claim, refusal: str) -> tuple[RunRef | None, str | None]:
        """Sends, unless that is one send too many, or a switch was thrown since the admission.

        Returns the run, and the digest of the request where the SOAR can show it.
        """
        if refusal or self._hopeless(claim):
            raise PermanentError(refusal)
        if stopped := switched_off(action_of(claim), on(self._ledger.switches()), self._policy()):
            self._untried(claim, stopped, self._clock() + RECHECK)
            return None, None
        sent = None
        if isinstance(self.soar, Previews):  # before the start, which must be marked whatever comes of this
            sent = hashlib.sha256(msgspec.json.encode(self.soar.preview(action_of(claim)))).hexdigest()
        if self._clock() - self._claimed_at > self._latest:
            raise TransientError("too much of the claim's time is over to start anything before it ends")
        return self.soar.run(action_of(claim)), sent

    def _hopeless(self, claim: Claim) -> bool:
        """Whether another send is one too many: after the second doubt, and after the first for a blind containment."""
        if not claim.doubts or self.soar.uniqueness == "key":
            return False
        return claim.doubts > 1 or (self.soar.uniqueness == "none" and action_of(claim).tier == "contain")

    def _doubtful(self, claim: Claim, error: TransientError) -> None:
        self._outage.failed()
        if claim.attempt >= self.settings.max_attempts:
            self._dead(claim, str(error), doubtful=True)
            return
        # the wiring sees to it that a crash, too, leaves at least the index delay: the lease is no shorter
        wait = max(backoff(claim.attempt), timedelta(seconds=self.soar.index_delay))
        emit(Signal.DELIVERY_RETRIED, self.name, key=action_of(claim).key, reason=str(error))
        self._ledger.settle(self.name, [(claim, "unknown", str(error), self._clock() + wait)])

    def _untried(self, claim: Claim, reason: str, again: datetime) -> None:
        """Puts back what was not sent. No attempt is counted: the rule's ``max_age`` ends it."""
        emit(Signal.DELIVERY_RETRIED, self.name, key=action_of(claim).key, reason=reason)
        self._ledger.settle(self.name, [(claim, "untried", reason, again)])

    def _dead(self, claim: Claim, reason: str, *, doubtful: bool) -> None:
        if doubtful:
            reason = f"outcome unknown: {reason}" if reason else "outcome unknown"
        emit(Signal.DEAD_LETTER, self.name, key=action_of(claim).key, reason=reason)
        status = self._status(action_of(claim), "failed", reason, None)
        outcome: Outcome = "dead" if doubtful else "rejected"
        self._ledger.settle(self.name, [(claim, outcome, reason, None)], self._routes.follow_ups([status]))

    def follow(self) -> int:
        """Asks how open runs stand and records those that ended. Returns how many ended."""
        ended = 0
        for run in self._ledger.open_runs(self.name, FOLLOWED):
            if self._stopping():
                break
            over = self._ask(run)
            if over is None:
                break  # the others are asked next time, instead of waiting for a platform that does not answer
            ended += over
        return ended

    def _ask(self, run: OpenRun) -> bool | None:
        """Whether the run ended; None without an answer. Whatever comes of it, it goes to the end of the queue."""
        answered = True
        told = self._status(run.action, "running", "no answer", run.ref)
        try:
            seen = self.soar.status(run.ref, run.action)
            told = self._status(run.action, seen.state, self._detail(run.action, seen), run.ref)
        except TransientError as error:
            emit(Signal.DELIVERY_RETRIED, self.name, key=run.action.key, reason=str(error))
            told = self._status(run.action, "running", str(error), run.ref)
            answered = False
        except PermanentError as error:
            told = self._status(run.action, "failed", str(error), run.ref)
        finally:
            told = self._in_time(told, run)
            ended = told.state != "running"
            written = self._ledger.finish_run(told, self._routes.follow_ups([told]) if ended else ())
        self._steps("act.finished")
        return ended and written if answered else None

    def _in_time(self, told: RunStatus, run: OpenRun) -> RunStatus:
        """How a run stands, or that it has gone on for too long, whatever the platform says or does not say."""
        limit = self.settings.run_timeout
        if told.state != "running" or self._clock() - run.started_at <= limit:
            return told
        detail = ": ".join(filter(None, (f"no end within {limit}", told.detail)))
        return self._status(run.action, "timed_out", detail, run.ref)

    def _detail(self, action: Action, seen: RunStatus) -> str:
        """What the platform says of a run, and of a grouped one that ended, for how many events it was."""
        if seen.state == "running" or action.subject == action.verdict.event_id:
            return seen.detail
        events = self._ledger.joined([action.key]).get(action.key, 1)
        return "; ".join(filter(None, (seen.detail, f"for {events} event{'s'[: events != 1]}")))

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


def longest_start(soar: Soar, settings: SoarSettings) -> timedelta:
    """How long after its beginning a start may still become findable, as far as is known.

    Until then its claim must hold: whoever claims the action next would look for the run in vain, or not at all.
    """
    timeout = getattr(settings, "timeout", None)
    call = timedelta(0)
    if isinstance(timeout, timedelta):
        call = min(timedelta(seconds=SECONDS), timeout) + min(timedelta(seconds=CONNECT_S), timeout) + timeout
    elif soar.uniqueness == "search":
        call = timedelta(seconds=SECONDS)
    return call + timedelta(seconds=soar.index_delay) if call else call


def action_of(claim: Claim) -> Action:
    """The action that a SOAR's outbox row carries."""
    if not isinstance(claim.record, Action):
        raise TypeError(f"outbox row {claim.id} of a SOAR carries a {type(claim.record).__name__}, not an action")
    return claim.record
