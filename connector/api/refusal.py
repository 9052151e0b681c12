"""Why a request gets nothing: one exception, written as ours or as Splunk's HTTP Event Collector would say it."""

from __future__ import annotations

import math
from collections.abc import Mapping

UNKNOWN = 4
"""The collector's code for a token that is not known, which it calls forbidden where others say unauthorised."""

BUSY_SECONDS = 1.0
"""When to ask again, where nothing better is known."""


class Refusal(Exception):  # noqa: N818 - a word of this room, and no error of ours
    """An answer other than the one asked for.

    ``code`` is what the HTTP Event Collector would call it; ``at`` is the number of the event that it is about.
    """

    def __init__(
        self, status: int, reason: str, *, code: int = 6, retry_after: float | None = None, at: int | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.code = code
        self.retry_after = retry_after
        self.at = at

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds, and how to authenticate."""
        found: dict[str, str] = {}
        if self.retry_after is not None:
            found["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found
