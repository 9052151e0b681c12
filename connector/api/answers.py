"""Answers: JSON by msgspec, and refusals in the form that the client of that path reads."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import Request, Response

from connector.api.refusal import BUSY_SECONDS, UNKNOWN, Refusal
from connector.errors import TransientError
from connector.telemetry import Signal, emit

HEC: Final = "/services/collector"
JSON: Final = "application/json"


def answer(value: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type=JSON)


def refused(request: Request, refusal: Refusal) -> Response:
    """A refusal: ``{"error": …}``, or the HTTP Event Collector's ``{"text": …, "code": …}``."""
    if not request.url.path.startswith(HEC):
        found = answer({"error": refusal.reason}, refusal.status)
    else:
        body: dict[str, Any] = {"text": refusal.reason, "code": refusal.code}
        if refusal.at is not None:
            body["invalid-event-number"] = refusal.at
        found = answer(body, 403 if refusal.code == UNKNOWN else refusal.status)
    found.headers.update(refusal.headers)
    return found


async def on_refusal(request: Request, error: Exception) -> Response:
    """FastAPI's handler of :class:`Refusal`."""
    if not isinstance(error, Refusal):
        raise error
    return refused(request, error)


async def on_outage(request: Request, error: Exception) -> Response:
    """FastAPI's handler of what may work next time."""
    if not isinstance(error, TransientError):
        raise error
    emit(Signal.API_BUSY, reason=str(error))
    return refused(request, Refusal(503, "not now: try again", code=9, retry_after=BUSY_SECONDS))
