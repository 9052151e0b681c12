"""Three errors, three reactions. Everything that can go wrong is mapped to one of them at the edge where it happens.

::

    TransientError ──► retry        inside the call while that is safe, then across calls by the outbox or next poll
    PermanentError ──► dead letter  with the reason, a counter and `triaged replay`; the rest of the batch goes on
    ConfigError    ──► stop         the daemon does not start, or the command exits 2, and says what to change
"""

from __future__ import annotations


class TriagedError(Exception):
    """The base of the three."""


class TransientError(TriagedError):
    """It may work next time. ``sent`` says whether any byte of a request may have left: if so, only the outbox retries."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class PermanentError(TriagedError):
    """It will never work for this one item."""


class ConfigError(TriagedError):
    """A person must change something; the message says what."""


class LostLeaseError(TransientError):
    """Another worker holds the lease now: whatever this one computed is thrown away."""
