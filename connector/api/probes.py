"""How it is: for orchestrators, for Prometheus and for clients of the collector."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Final

import msgspec
from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from connector.api.answers import answer
from connector.api.desk import Desk
from connector.api.gate import Gate
from connector.api.openapi import described
from connector.errors import TransientError

FRESH_SECONDS: Final = 1.0
"""How long a look at the ledger is good for: anybody may ask, and shall cost nothing."""


class State(msgspec.Struct, frozen=True):
    """Whether the ledger answers, which bundle scores, and whether a full target holds an inlet up."""

    ledger: bool
    bundle: str
    paused: bool

    @property
    def ready(self) -> bool:
        """Whether requests can be answered."""
        return self.ledger


class Probes:
    """Looks, at most once a second."""

    def __init__(self, desk: Desk, gate: Gate, monotonic: Callable[[], float]) -> None:
        self._desk = desk
        self._gate = gate
        self._monotonic = monotonic
        self._turn = Lock()
        self._seen: tuple[float, State] | None = None

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.get("/healthz", **described(None, "Whether the process answers", open_to_all=True))(self.healthz)
        router.get("/readyz", **described(None, "Whether requests can be answered", open_to_all=True))(self.readyz)
        router.get("/metrics", **described(None, "Metrics for Prometheus"))(self.metrics)
        return router

    def state(self) -> State:
        """How it stands now, or stood a moment ago."""
        with self._turn:
            now = self._monotonic()
            if self._seen is None or now - self._seen[0] >= FRESH_SECONDS:
                self._seen = (now, self._look())
            return self._seen[1]

    async def healthz(self) -> Response:
        """Answers while the process does."""
        return answer({"status": "ok"})

    async def readyz(self) -> Response:
        """200 where the ledger answers and a bundle is loaded, else 503."""
        state = await self._gate.look(self.state)
        told = {"ready": state.ready, "ledger": state.ledger, "bundle": state.bundle}
        return answer(told, 200 if state.ready else 503)

    async def metrics(self, request: Request) -> Response:
        """Everything that the process counts."""
        self._gate.client(request, None)
        return Response(await self._gate.look(generate_latest), media_type=CONTENT_TYPE_LATEST)

    def _look(self) -> State:
        desk = self._desk
        bundle = desk.bundle().ref
        try:
            desk.ledger.switches()
            paused = any(inlet.full() for inlet in desk.inlets.values())
        except TransientError:
            return State(ledger=False, bundle=bundle, paused=False)
        return State(ledger=True, bundle=bundle, paused=paused)
