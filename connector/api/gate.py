"""The way from a connection to a thread: who may pass, how much a body may hold, and how many may work at once.

Everything that takes longer than a header happens in threads of the API's own; the event loop only reads and writes. What
would have to wait too long is refused at once, so that memory is bounded and the daemon's loops keep their share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

import anyio
import anyio.to_thread
from fastapi import Request
from starlette.requests import ClientDisconnect

from connector.api.bodies import unpacked
from connector.api.refusal import BUSY_SECONDS, Refusal
from connector.api.tokens import Client, Guard
from connector.settings import ApiSettings, Scope

T = TypeVar("T")

BODY_SECONDS: Final = 60.0
"""How long a client may take to send a body."""

WAITING_A_WORKER: Final = 8
"""Requests whose bodies are held for each thread that works on them."""

LOOKERS: Final = 4
"""Threads for what is short."""

DECIDERS: Final = 1
"""Threads for what a person decides: no other work may stand before it."""


class Lane:
    """Threads for one kind of work, how many more requests of that kind may wait for them, and how many more bytes be held.

    A request has a place once its body is there: one that is slow to come takes nobody's.
    """

    def __init__(self, threads: int, max_body: int) -> None:
        self.threads = anyio.CapacityLimiter(threads)
        self.free = threads * WAITING_A_WORKER
        self.room = self.free * max_body


class Gate:
    """One for all requests; used by the thread of the event loop alone."""

    def __init__(self, settings: ApiSettings, guard: Guard) -> None:
        self._settings = settings
        self._guard = guard
        self._scoring = Lane(settings.workers, settings.max_body)
        self._taking = Lane(max(1, len(settings.inlets)), settings.max_body)
        self._looking = Lane(LOOKERS, settings.max_body)
        self._deciding = Lane(DECIDERS, settings.max_body)

    def client(self, request: Request, scope: Scope | None) -> Client:
        """Who asks. Raises ``Refusal`` where they may not."""
        return self._guard.allowed(request.headers.get("authorization"), scope)

    async def score(self, request: Request, work: Callable[[bytes], T]) -> T:
        """Does this with the body in a thread, when one of those that score is free."""
        return await self._with_body(request, work, self._scoring)

    async def take(self, request: Request, work: Callable[[bytes], T]) -> T:
        """Does this with the body in a thread, when an inlet's turn comes."""
        return await self._with_body(request, work, self._taking)

    async def look(self, work: Callable[[], T]) -> T:
        """Does something short in a thread, beside those that score."""
        return await anyio.to_thread.run_sync(work, limiter=self._looking.threads)

    async def look_with_body(self, request: Request, work: Callable[[bytes], T]) -> T:
        """The same, with the body."""
        return await self._with_body(request, work, self._looking)

    async def decide(self, request: Request, work: Callable[[bytes], T]) -> T:
        """Does what a person decided, with the body, in a thread that nothing else has."""
        return await self._with_body(request, work, self._deciding)

    async def _with_body(self, request: Request, work: Callable[[bytes], T], lane: Lane) -> T:
        _refuse_if_full(lane)  # a body that nobody would wait for is not read
        body = await self._body(request, lane)
        try:
            _refuse_if_full(lane)
            lane.free -= 1
            try:
                encoding = request.headers.get("content-encoding", "").strip().lower()
                limit = self._settings.max_body
                return await anyio.to_thread.run_sync(
                    lambda: work(unpacked(body, encoding, limit)), limiter=lane.threads
                )
            finally:
                lane.free += 1
        finally:
            lane.room += len(body)

    async def _body(self, request: Request, lane: Lane) -> bytes:
        """The body, up to the limit; the lane's room is less by it until the caller gives it back."""
        limit = self._settings.max_body
        declared = request.headers.get("content-length", "")
        too_large = Refusal(413, f"a body may have {limit} bytes", code=27)
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise too_large
        chunks: list[bytes] = []
        size = 0
        whole = False
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    if size + len(chunk) > limit:
                        raise too_large
                    if len(chunk) > lane.room:
                        raise _busy()
                    size += len(chunk)
                    lane.room -= len(chunk)
                    chunks.append(chunk)
            whole = True
        except TimeoutError:
            raise Refusal(408, f"the body took longer than {BODY_SECONDS:g} s") from None
        except ClientDisconnect:
            raise Refusal(400, "the client has gone") from None
        finally:
            if not whole:
                lane.room += size
        return b"".join(chunks)


def _refuse_if_full(lane: Lane) -> None:
    if not lane.free:
        raise _busy()


def _busy() -> Refusal:
    return Refusal(503, "too many requests wait already", code=9, retry_after=BUSY_SECONDS)
