"""Retries inside one call, and nowhere else: across calls the outbox and the next poll retry.

Only what failed before any byte left is tried again here (``TransientError.sent`` is false), for less time than a lease
holds. A client's own retries are switched off where it has any.
"""

from __future__ import annotations

from collections.abc import Callable

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_random_exponential

from connector.errors import TransientError

SECONDS = 10.0
"""How long a call may go on trying: no try begins later; the shortest lease that makes sense is several times as long."""


def retrying(seconds: float = SECONDS, waits: Callable[[BaseException], None] | None = None) -> Retrying:
    """Tries a call again while nothing was sent, with growing random waits; then the last error is raised as it was.

    ``retrying()(function, *arguments)`` calls, ``@retrying().wraps`` decorates. ``waits`` is told of the first failure, once a
    call, where it is not the last.
    """

    def told(state: RetryCallState) -> None:
        error = state.outcome and state.outcome.exception()
        if waits and error and state.attempt_number == 1:
            waits(error)

    return Retrying(
        retry=retry_if_exception(_unsent),
        wait=wait_random_exponential(multiplier=0.05, max=2),
        stop=stop_before_delay(seconds),
        before_sleep=told,
        reraise=True,
    )


def _unsent(error: BaseException) -> bool:
    return isinstance(error, TransientError) and not error.sent
