"""What the answers of Splunk's event collector (HEC) mean: tables of its codes and statuses, and nothing else.

The ``code`` in the answer's body decides; where it is not listed, or where a proxy answered in the collector's place,
the HTTP status does.

Source: Splunk's *Getting Data In*, "Troubleshoot HTTP Event Collector" (codes) and "About HTTP Event Collector Indexer
Acknowledgment".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from connector.errors import ConfigError, PermanentError, TransientError, TriagedError

LONGEST_REASON: Final = 500
"""Characters of a server's words that are kept."""


class BusyError(TransientError):
    """The collector took nothing for want of room; another one may."""


class BadEventError(PermanentError):
    """The request was refused for one of its events: the one of that ``number``, from zero, where it was told."""

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.number = number


class TooLargeError(PermanentError):
    """The request is larger than the collector takes."""


class IndexRefusedError(ConfigError):
    """The token may not write to the index that the events name, or there is no such index."""


class NoAcksError(ConfigError):
    """The token has no indexer acknowledgement."""


class Fault(NamedTuple):
    """The reaction to one kind of answer, and what a person can do."""

    kind: type[TriagedError]
    advice: str = ""


_ADMISSION: Final = "Check `hec_token`, and that the token is enabled"
_CHANNEL_LOST: Final = "Something between here and the collector drops or changes the header X-Splunk-Request-Channel"

CODES: Final[Mapping[int, Fault]] = {
    1: Fault(ConfigError, _ADMISSION),  # token disabled
    2: Fault(ConfigError, _ADMISSION),  # token is required
    3: Fault(ConfigError, _ADMISSION),  # invalid authorization
    4: Fault(ConfigError, _ADMISSION),  # invalid token
    5: Fault(BadEventError),  # no data
    6: Fault(BadEventError),  # invalid data format
    7: Fault(IndexRefusedError, "Create the index, and allow it for the token"),
    8: Fault(TransientError),  # internal server error
    9: Fault(BusyError),  # server is busy
    10: Fault(ConfigError, _CHANNEL_LOST),  # data channel is missing
    11: Fault(ConfigError, _CHANNEL_LOST),  # invalid data channel
    12: Fault(BadEventError),  # event field is required
    13: Fault(BadEventError),  # event field cannot be blank
    14: Fault(NoAcksError, "Switch indexer acknowledgement on for the token"),
    15: Fault(BadEventError),  # error in handling indexed fields
    16: Fault(ConfigError, _ADMISSION),  # query string authorization is not enabled
    18: Fault(BusyError),  # unhealthy: queues are full
    19: Fault(BusyError),  # unhealthy: the ack service is unavailable
    20: Fault(BusyError),  # both
}

STATUSES: Final[Mapping[int, Fault]] = {
    400: Fault(BadEventError),
    401: Fault(ConfigError, _ADMISSION),
    403: Fault(ConfigError, _ADMISSION),
    404: Fault(ConfigError, "Check that `hec` is the collector's address (port 8088 as a rule), without a path"),
    405: Fault(ConfigError, "Check that `hec` is the collector's address (port 8088 as a rule), without a path"),
    408: Fault(TransientError),
    413: Fault(TooLargeError),
    429: Fault(BusyError),
    500: Fault(TransientError),
    502: Fault(TransientError),
    503: Fault(BusyError),
    504: Fault(TransientError),
}

_ANOTHER: Final = Fault(ConfigError, "Something else than an event collector answers there: check `hec`")


def fault(status: int, body: Any, what: str) -> TriagedError:
    """Our error for an answer that is no success. ``body`` is decoded; ``what`` says what was tried, and on what."""
    told = body if isinstance(body, Mapping) else {}
    code = told.get("code")
    found = CODES.get(code) if isinstance(code, int) else None
    found = found or STATUSES.get(status) or (Fault(TransientError) if status >= 500 else _ANOTHER)
    words = " ".join(str(told.get("text") or "").split())[:LONGEST_REASON]
    message = (
        f"{what}: HTTP {status}" + (f", code {code}" if code is not None else "") + (f": {words}" if words else "")
    )
    if found.advice:
        message += f". {found.advice}"
    if issubclass(found.kind, BadEventError):
        number = told.get("invalid-event-number")
        return found.kind(message, number if isinstance(number, int) else None)
    return found.kind(message, sent=True) if issubclass(found.kind, TransientError) else found.kind(message)
