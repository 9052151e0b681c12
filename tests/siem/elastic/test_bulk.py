"""Bulk requests: packed by bytes, answered item by item, and what a lost answer means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from connector.errors import PermanentError, TransientError
from connector.siem.elastic import bulk
from connector.siem.elastic.outcomes import BY_STATUS, BY_TYPE, delivery_of, fate_of, reason_of

CREATED = {"create": {"status": 201}}


def operations(count: int) -> list[bulk.Operation]:
    return [bulk.create("index", f"{number:03d}", {"text": "x" * 50}) for number in range(count)]


class Wire:
    """What left, and what is answered to it: ``fails`` decides by the number of the request and its size."""

    def __init__(self, fails: Callable[[int, int], Exception | None] = lambda _, __: None) -> None:
        self.bodies: list[bytes] = []
        self._fails = fails

    def __call__(self, body: bytes) -> Sequence[dict[str, Any]]:
        rows = body.count(b"\n") // 2
        if error := self._fails(len(self.bodies), rows):
            self.bodies.append(b"")
            raise error
        self.bodies.append(body)
        return [CREATED] * rows


def test_a_request_stays_below_its_size_and_nothing_is_left_out_or_sent_twice() -> None:
    rows, wire = operations(100), Wire()
    limit = 7 * len(rows[0].lines) + 5
    assert bulk.run(rows, wire, limit) == [{"status": 201}] * 100
    assert b"".join(wire.bodies) == b"".join(row.lines for row in rows)
    assert max(map(len, wire.bodies)) <= limit
    assert len(wire.bodies) == 15


def test_a_document_larger_than_a_request_stands_alone() -> None:
    wire = Wire()
    assert len(bulk.run(operations(3), wire, 10)) == 3
    assert len(wire.bodies) == 3


def test_what_is_refused_as_a_whole_is_halved_until_the_culprit_stands_alone() -> None:
    most = 3
    wire = Wire(lambda _, rows: PermanentError("HTTP 413") if rows > most else None)
    assert bulk.run(operations(20), wire, 1 << 20) == [{"status": 201}] * 20
    wire = Wire(lambda _, __: PermanentError("HTTP 413"))
    items = bulk.run(operations(2), wire, 1 << 20)
    assert [delivery_of(item).outcome for item in items] == ["rejected"] * 2
    assert "413" in delivery_of(items[0]).reason


@pytest.mark.parametrize(("sent", "outcome"), [(True, "unknown"), (False, "retry")])
def test_after_a_partial_send_each_part_has_its_own_outcome(sent: bool, outcome: str) -> None:
    rows = operations(9)
    wire = Wire(lambda number, _: TransientError("lost", sent=sent) if number == 1 else None)
    items = bulk.run(rows, wire, 3 * len(rows[0].lines))
    assert [delivery_of(item).outcome for item in items] == ["delivered"] * 3 + [outcome] * 3 + ["retry"] * 3
    assert len(wire.bodies) == 2


def test_a_first_request_that_fails_is_an_outage_of_the_target_as_a_whole() -> None:
    with pytest.raises(TransientError):
        bulk.run(operations(3), Wire(lambda _, __: TransientError("lost", sent=True)), 1 << 20)


def test_an_answer_that_lacks_items_leaves_all_of_them_unknown() -> None:
    rows = operations(4)
    answers = iter(([CREATED, CREATED], [CREATED]))
    items = bulk.run(rows, lambda _: next(answers), 2 * len(rows[0].lines))
    assert [delivery_of(item).outcome for item in items] == ["delivered"] * 2 + ["unknown"] * 2


@pytest.mark.parametrize("kind", BY_TYPE)
def test_every_error_type_of_the_table_has_its_outcome_whatever_the_status(kind: str) -> None:
    for status in (200, 400, 403, 429, 500, None):
        assert fate_of({"status": status, "error": {"type": kind, "reason": "why"}}) == BY_TYPE[kind]


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504])
def test_an_error_type_that_is_not_listed_means_what_its_status_says(status: int) -> None:
    expected = BY_STATUS.get(status) or ("retry" if status >= 500 else "rejected")
    assert fate_of({"status": status, "error": {"type": "brand_new_exception"}}) == expected


@pytest.mark.parametrize("item", [{}, {"status": "201"}, {"error": "text"}, {"error": ["x"]}, {"error": {"type": 5}}])
def test_an_item_that_nobody_documented_is_never_taken_for_delivered(item: dict[str, Any]) -> None:
    assert delivery_of(item).outcome == "retry"


def test_a_reason_has_the_servers_words_and_is_short() -> None:
    error = {"type": "document_parsing_exception", "reason": "[1:2] failed", "caused_by": {"reason": "y" * 5000}}
    reason = reason_of({"status": 400, "error": error})
    assert reason.startswith("document_parsing_exception: [1:2] failed: yyy")
    assert len(reason) <= 500
