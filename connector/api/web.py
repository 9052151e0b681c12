"""The application: all routes, what counts them, and how errors are told."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector import __version__
from connector.api.answers import on_outage, on_refusal, refused
from connector.api.collector import Collector
from connector.api.desk import Desk
from connector.api.gate import Gate
from connector.api.openapi import complete
from connector.api.probes import Probes
from connector.api.refusal import Refusal
from connector.api.reviews import Reviews
from connector.api.tokens import Guard
from connector.api.v1 import V1
from connector.errors import TransientError
from connector.telemetry import API_REQUESTS, API_SECONDS

NO_ROUTE = "none"


def application(desk: Desk, monotonic: Callable[[], float] = time.monotonic) -> FastAPI:
    """The API over these parts."""
    gate = Gate(desk.settings, Guard(desk.settings, monotonic))
    probes = Probes(desk, gate, monotonic)
    app = FastAPI(title="Triaged", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    for routes in (V1(desk, gate), Reviews(desk, gate), Collector(desk, gate, probes), probes):
        app.include_router(routes.router())
    app.add_exception_handler(Refusal, on_refusal)
    app.add_exception_handler(TransientError, on_outage)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_parameter)
    app.add_exception_handler(Exception, _on_fault)
    app.add_middleware(Counted)
    complete(app)
    return app


async def _on_http(request: Request, error: Exception) -> Response:
    """A path or a method that does not exist."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    reason = "no such path" if status == 404 else "no such method here" if status == 405 else "refused"
    return refused(request, Refusal(status, reason))


async def _on_parameter(request: Request, _: Exception) -> Response:
    return refused(request, Refusal(400, "a parameter in the address is of the wrong kind"))


async def _on_fault(request: Request, _: Exception) -> Response:
    """A bug of ours; the server logs it with its traceback."""
    return refused(request, Refusal(500, "internal error", code=8))


class Counted:
    """Counts and times requests by route, and says that answers are nobody's to keep."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI hands it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        status = 500

        async def told(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"cache-control", b"no-store")]
            await send(message)

        try:
            await self._app(scope, receive, told)
        finally:
            route = getattr(scope.get("route"), "path", NO_ROUTE)
            API_REQUESTS.labels(route=route, status=str(status)).inc()
            API_SECONDS.labels(route=route).observe(time.perf_counter() - begun)
