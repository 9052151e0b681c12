"""The routes under ``/v1/reviews``: questions to analysts, and their answers."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from connector.api import bodies
from connector.api.answers import answer
from connector.api.desk import Desk
from connector.api.gate import Gate
from connector.api.openapi import described
from connector.api.refusal import Refusal
from connector.learn import review as queue
from connector.ledger import Review


class Reviews:
    """Questions, for clients with the scope ``review``."""

    def __init__(self, desk: Desk, gate: Gate) -> None:
        self._ledger = desk.ledger
        self._machines = desk.machines
        self._gate = gate

    def router(self) -> APIRouter:
        """The routes, described for OpenAPI."""
        router = APIRouter(prefix="/v1/reviews")
        router.get("", **described("review", "Questions that wait for an analyst"))(self.waiting)
        router.get("/{review_id}", **described("review", "One question, with its event"))(self.one)
        router.post("/{review_id}/answer", **described("review", "Answer it", body="Answer"))(self.answer)
        return router

    async def waiting(self, request: Request) -> Response:
        """The open questions with their verdicts, oldest first."""
        self._gate.client(request, "review")
        return answer({"reviews": await self._gate.look(lambda: queue.listed(self._ledger, only_open=True))})

    async def one(self, request: Request, review_id: str) -> Response:
        """A question with its verdict and its event, whether or not it is open."""
        self._gate.client(request, "review")
        found = await self._gate.look(lambda: queue.whole(self._ledger, self._asked(review_id)))
        return answer(found)

    async def answer(self, request: Request, review_id: str) -> Response:
        """Takes an answer. Who is not named in it answers as the token does."""
        client = self._gate.client(request, "review")

        def work(body: bytes) -> Response:
            said = bodies.review_answer(body)
            analyst = said.analyst or client.name
            try:
                held = queue.answer(
                    self._ledger,
                    self._asked(review_id),
                    said,
                    analyst=analyst,
                    actor=f"api:{client.name}",
                    machines=self._machines,
                )
            except ValueError as error:
                raise Refusal(400, str(error)) from error
            found = required(held, review_id)
            return answer(queue.plain(found), 409 if found.state == "withdrawn" else 200)

        return await self._gate.decide(request, work)

    def _asked(self, review_id: str) -> Review:
        known = bodies.event_id(review_id)
        return required(self._ledger.review(known) if known else None, review_id)


def required(found: Review | None, review_id: str) -> Review:
    """The question. Raises ``Refusal`` where there is none."""
    if found is None:
        raise Refusal(404, f"no question has the id {review_id[:64]}")
    return found
