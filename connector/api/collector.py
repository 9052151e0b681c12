"""The routes of Splunk's HTTP Event Collector, as far as a client that sends events needs them."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from connector.api import hec
from connector.api.answers import HEC, answer
from connector.api.desk import Desk
from connector.api.gate import Gate
from connector.api.openapi import described
from connector.api.probes import Probes
from connector.api.refusal import Refusal
from connector.api.v1 import request_key, required


class Collector:
    """Takes events in Splunk's form, and says how it is."""

    def __init__(self, desk: Desk, gate: Gate, probes: Probes) -> None:
        self._desk = desk
        self._gate = gate
        self._probes = probes

    def router(self) -> APIRouter:
        """The routes; those with a version are the same."""
        router = APIRouter(prefix=HEC)
        for path in ("", "/event", "/event/1.0"):
            router.post(path, **described("ingest", "Take events in the form of Splunk's collector"))(self.event)
        for path in ("/health", "/health/1.0"):
            router.get(path, **described(None, "Whether events are taken", open_to_all=True))(self.health)
        router.post("/ack", **described("ingest", "There are no acknowledgements"))(self.ack)
        return router

    async def event(self, request: Request) -> Response:
        """Takes events; success once all of them are in the ledger, on the disk."""
        client = self._gate.client(request, "ingest")
        inlet = required(self._desk.inlets.get(client.inlet or ""), client)
        key = request_key(request)
        limit = self._desk.settings.max_events

        def work(body: bytes) -> Response:
            inlet.take(hec.raw_events(body, inlet, client.name, key, clock=self._desk.clock, limit=limit))
            return answer({"text": "Success", "code": 0})

        return await self._gate.take(request, work)

    async def health(self) -> Response:
        """Healthy while the ledger answers and no target holds an inlet up."""
        state = await self._gate.look(self._probes.state)
        if state.ready and not state.paused:
            return answer({"text": "HEC is healthy", "code": 17})
        return answer({"text": "HEC is unhealthy, queues are full", "code": 18}, 503)

    async def ack(self, request: Request) -> Response:
        """What a collector says whose token has no acknowledgement: an answer of success is one already."""
        self._gate.client(request, "ingest")
        raise Refusal(400, "ACK is disabled", code=14)
