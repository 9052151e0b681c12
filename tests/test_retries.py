"""Inside a call only that is tried again which cannot have had an effect."""

from __future__ import annotations

import time

import pytest

from connector.errors import PermanentError, TransientError
from connector.retries import retrying


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def test_what_was_not_sent_is_tried_again():
    call = Flaky(TransientError("down"), TransientError("down"))
    assert retrying()(call) == "done"
    assert call.calls == 3


@pytest.mark.parametrize("error", [TransientError("cut off", sent=True), PermanentError("no"), ValueError("bug")])
def test_what_may_have_arrived_or_can_never_work_is_raised_at_once(error):
    call = Flaky(error)
    with pytest.raises(type(error)):
        retrying()(call)
    assert call.calls == 1


def test_the_first_failure_is_told_once_where_it_is_not_the_last():
    told: list[str] = []
    call = Flaky(TransientError("first"), TransientError("second"))
    assert retrying(waits=lambda error: told.append(str(error)))(call) == "done"
    assert told == ["first"]
    with pytest.raises(TransientError):
        retrying(0, lambda error: told.append(str(error)))(Flaky(TransientError("only")))
    assert told == ["first"]


def test_it_gives_up_in_time_with_the_last_error():
    call = Flaky(*(TransientError(f"try {n}") for n in range(10_000)))
    begun = time.monotonic()
    with pytest.raises(TransientError, match="try"):
        retrying(0.5)(call)
    assert 1 < call.calls < 1000
    assert time.monotonic() - begun < 30
