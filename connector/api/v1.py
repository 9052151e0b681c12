"""The routes under ``/v1``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from connector.api import bodies, classify, push
from connector.api.answers import answer
from connector.api.desk import Desk
from connector.api.gate import Gate
from connector.api.inlet import Inlet
from connector.api.openapi import described
from connector.api.refusal import Refusal
from connector.api.tokens import Client
from connector.pipeline import approvals
from connector.policy import document
from connector.types import Action

UNNAMED = "api"
"""The deployment of events whose client names none and has no inlet."""

Revision = Annotated[int | None, Query(ge=1, le=1_000_000)]

LONGEST_KEY = 1024
WAITING = 1000


class V1:
    """Verdicts, events and approvals."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._desk = desk
        self._gate = gate

    def router(self) -> APIRouter:
        """The routes, described for OpenAPI."""
        router = APIRouter(prefix="/v1")
        router.post("/classify", **described("classify", "Verdicts on events, in order", body="Classify"))(
            self.classify
        )
        router.post("/events", **described("ingest", "Take events into the ledger", body="Push", status=202))(
            self.events
        )
        router.get("/verdicts/{event_id}", **described("classify", "A stored verdict"))(self.verdict)
        router.post("/verdicts", **described("classify", "Stored verdicts, in order", body="Lookup"))(self.verdicts)
        router.get("/actions", **described("approve", "Playbook runs that wait"))(self.actions)
        router.post("/actions/{key}/approve", **described("approve", "Let it start", body="Word"))(self.approve)
        router.post("/actions/{key}/reject", **described("approve", "Refuse it for good", body="Word"))(self.reject)
        return router

    async def classify(self, request: Request) -> Response:
        """Scores events; nothing is written and nothing is started."""
        client = self._gate.client(request, "classify")
        deployment = inlet.deployment if (inlet := self._inlet_of(client)) else UNNAMED

        def work(body: bytes) -> Response:
            asked = bodies.classify(body, self._desk.settings.max_events)
            return answer({"verdicts": classify.verdicts(self._desk, asked, deployment)})

        return await self._gate.score(request, work)

    async def events(self, request: Request) -> Response:
        """Takes events; 202 once all of them are in the ledger, on the disk."""
        client = self._gate.client(request, "ingest")
        inlet = required(self._inlet_of(client), client)
        key = request_key(request)

        def work(body: bytes) -> Response:
            asked = bodies.push(body, self._desk.settings.max_events)
            return answer(push.take(inlet, asked, client.name, key), 202)

        return await self._gate.take(request, work)

    async def verdict(self, request: Request, event_id: str, revision: Revision = None) -> Response:
        """An event's verdict; the newest revision, or the one that is asked for."""
        self._gate.client(request, "classify")
        known = bodies.event_id(event_id)
        found = await self._gate.look(lambda: known and self._desk.ledger.verdict(known, revision))
        if not found:
            raise Refusal(404, f"no verdict on event {event_id[:64]}")
        return answer(document(found))

    async def verdicts(self, request: Request) -> Response:
        """A verdict, or null, for each id."""
        self._gate.client(request, "classify")

        def work(body: bytes) -> Response:
            ids = [bodies.event_id(text) for text in bodies.lookup(body).ids]
            found = self._desk.ledger.newest([event_id for event_id in ids if event_id])
            shown = {event_id: document(verdict) for event_id, verdict in found.items()}
            return answer({"verdicts": [shown.get(event_id or "") for event_id in ids]})

        return await self._gate.look_with_body(request, work)

    async def actions(self, request: Request) -> Response:
        """The oldest playbook runs that wait, each with the reason."""
        self._gate.client(request, "approve")
        waiting = await self._gate.look(lambda: self._desk.ledger.waiting(WAITING))
        return answer({"actions": [_shown(action, reason) for action, reason in waiting]})

    async def approve(self, request: Request, key: str) -> Response:
        """Lets a waiting run start, for so many hours. The policy still has its say."""
        return await self._decide(request, key, "approved")

    async def reject(self, request: Request, key: str) -> Response:
        """Refuses a waiting run for good."""
        return await self._decide(request, key, "rejected")

    async def _decide(self, request: Request, key: str, state: Literal["approved", "rejected"]) -> Response:
        client = self._gate.client(request, "approve")

        def work(body: bytes) -> Response:
            word = bodies.word(body)
            ruling = approvals.rule(
                self._desk.ledger,
                key,
                state,
                f"api:{client.name}",
                reason=word.reason,
                policy=self._desk.policy(),
                now=self._desk.clock(),
                holds=None if word.hours is None else timedelta(hours=word.hours),
            )
            if ruling is None:
                raise Refusal(404, f"no action with the key {key[:64]} waits")
            return answer(ruling.approval, 200 if ruling.changed else 409)

        return await self._gate.decide(request, work)

    def _inlet_of(self, client: Client) -> Inlet | None:
        return self._desk.inlets.get(client.inlet or "")


def required(inlet: Inlet | None, client: Client) -> Inlet:
    """The inlet. Raises ``Refusal`` where the token has none."""
    if inlet is None:
        raise Refusal(403, f"token {client.name!r} has no inlet", code=1)
    return inlet


def request_key(request: Request) -> str | None:
    """The header Idempotency-Key. Raises ``Refusal`` for one that is too long."""
    key = request.headers.get("idempotency-key")
    if key is not None and len(key) > LONGEST_KEY:
        raise Refusal(400, f"an Idempotency-Key may have {LONGEST_KEY} characters")
    return key


def _shown(action: Action, reason: str) -> dict[str, Any]:
    return {
        "key": action.key,
        "rule": action.rule,
        "playbook": action.playbook,
        "soar": action.soar,
        "tier": action.tier,
        "mode": action.mode,
        "entity": action.entity,
        "event_id": action.verdict.event_id,
        "proposed_at": action.proposed_at,
        "reason": reason,
    }
