"""Answers of platforms: as documented, or what another one means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from connector.errors import TransientError
from connector.soar.answers import Reader
from connector.soar.rest import LONGEST_ANSWER


class Told(msgspec.Struct):
    id: str


READ: Reader[Told] = Reader(Told)


def test_what_is_documented_is_read_and_more_may_stand_beside_it() -> None:
    assert READ(b'{"id": "7", "more": {"x": 1}}', "GET /x").id == "7"


@pytest.mark.parametrize("text", [b"", b"<html>", b'{"id": 7}', b"{}", b"[]", b'"\xff"', b"[" * 100_000], ids=range(7))
def test_any_other_answer_leaves_open_whether_it_was_done(text: Any) -> None:
    with pytest.raises(TransientError, match="GET /x: not an answer as it is documented") as caught:
        READ(text, "GET /x")
    assert caught.value.sent


def test_an_answer_that_is_too_long_leaves_open_whether_it_was_done() -> None:
    with pytest.raises(TransientError, match="more than") as caught:
        READ(b" " * (LONGEST_ANSWER + 1), "GET /x")
    assert caught.value.sent
