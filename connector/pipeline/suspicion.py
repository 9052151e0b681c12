"""How a poison event is found: failed attempts at a batch make the next ones smaller, until the culprit is alone.

All are functions of the batch size of a source and of the failed attempts that a reader carries.
"""

from __future__ import annotations

QUARANTINE_ATTEMPTS = 3
"""An event that ended this many attempts at itself alone is quarantined."""


def limit(batch: int, attempts: int) -> int:
    """Events to read: a quarter as many after each failed attempt."""
    return max(1, batch >> 2 * attempts)


def is_poison(batch: int, attempts: int) -> bool:
    """Whether one event alone, at one place, has failed too often. A page may hold it more than once."""
    return attempts >= _alone(batch) + QUARANTINE_ATTEMPTS


def after_success(batch: int, attempts: int) -> int:
    """Attempts to go on with once a batch is in: they only make the next batches small, and soon end.

    What failed alone at this place says nothing of the next one, and after a quarantine the culprit is gone.
    """
    return 0 if is_poison(batch, attempts) else max(0, min(attempts, _alone(batch)) - 1)


def _alone(batch: int) -> int:
    """After how many failed attempts events are read one by one."""
    return batch.bit_length() // 2
