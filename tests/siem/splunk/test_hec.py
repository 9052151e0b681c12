"""The event collector: every fault of it, and what becomes of each record."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from connector import telemetry
from connector.errors import ConfigError, TransientError
from connector.siem.splunk.hec import collector_address
from connector.siem.splunk.records import event_of
from connector.siem.splunk.writer import SplunkWriterConfig
from connector.testing import ManualClock
from tests.siem.splunk.writing import DELIVERED, arrived, channels, once, outcomes, table, verdicts, writing
from tests.splunkd import HecToken, Splunkd
from tests.splunkd.tls import context
from tests.splunkd.wire import CutOffError

LOST = timedelta(minutes=5)
SIZE = len(event_of(verdicts(1)[0], index="triaged", risk_index="risk").body)


@pytest.fixture
def splunkd() -> Iterator[Splunkd]:
    with Splunkd() as server:
        yield server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def missing() -> float:
    return telemetry.SIGNALS.labels(event="deliver.acks_missing", subject="splunk")._value.get()


# what is well


def test_what_the_indexers_acknowledge_is_delivered_and_stands_once(splunkd: Splunkd) -> None:
    records = verdicts(50)
    with writing(splunkd) as writer:
        assert writer.write(records) == [DELIVERED] * 50
    assert arrived(splunkd) == once(records)


def test_acknowledgements_that_take_a_while_are_waited_for(splunkd: Splunkd) -> None:
    splunkd.faults.ack_polls = 2
    with writing(splunkd, ack_wait="PT5S") as writer:
        assert writer.write(verdicts(3)) == [DELIVERED] * 3
    assert len(splunkd.asked("collector/ack")) == 3


def test_a_record_that_is_given_twice_in_one_call_is_sent_once(splunkd: Splunkd) -> None:
    records = verdicts(3)
    with writing(splunkd) as writer:
        assert writer.write([*records, records[0]]) == [DELIVERED] * 4
    assert arrived(splunkd) == once(records)


def test_requests_are_packed_by_bytes_and_compressed(splunkd: Splunkd) -> None:
    with writing(splunkd, max_bytes=10 * SIZE) as writer:
        assert writer.write(verdicts(95)) == [DELIVERED] * 95
    posts = splunkd.asked("collector/event")
    assert len(posts) in {10, 11}
    assert all(len(post.body) <= 10 * SIZE for post in posts)
    assert all(post.headers["content-encoding"] == "gzip" for post in posts)
    assert all(int(post.headers["content-length"]) < len(post.body) / 3 for post in posts)


def test_compression_can_be_switched_off(splunkd: Splunkd) -> None:
    with writing(splunkd, compress=False) as writer:
        assert writer.write(verdicts(2)) == [DELIVERED] * 2
    assert "content-encoding" not in splunkd.asked("collector/event")[0].headers


# acknowledgement


def test_without_acknowledgement_it_is_delivered_when_taken_and_the_lack_is_told_once(splunkd: Splunkd) -> None:
    before = missing()
    with writing(splunkd, hec_token=splunkd.hec_token) as writer:
        assert writer.write(verdicts(3)) == [DELIVERED] * 3
        assert writer.write(verdicts(3, first=3)) == [DELIVERED] * 3
    assert missing() == before + 1
    assert splunkd.asked("collector/ack") == []


def test_where_acknowledgement_is_required_a_token_without_it_is_refused_before_anything_is_sent(
    splunkd: Splunkd,
) -> None:
    without = {"hec_token": splunkd.hec_token, "ack": "required"}
    with writing(splunkd, **without) as writer, pytest.raises(ConfigError, match="acknowledgement"):
        writer.write(verdicts(3))
    assert splunkd.events == []
    with writing(splunkd, ack="required") as writer:
        assert writer.write(verdicts(3)) == [DELIVERED] * 3


def test_what_is_not_acknowledged_yet_is_unknown_and_is_not_sent_again_while_it_may_be(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    splunkd.faults.acks = "pending"
    records = verdicts(4)
    with writing(splunkd, clock=clock) as writer:
        assert set(outcomes(writer.write(records))) == {"unknown"}
        clock.advance(LOST - timedelta(seconds=1))
        assert set(outcomes(writer.write(records))) == {"unknown"}
        splunkd.faults.acks = "told"
        assert writer.write(records) == [DELIVERED] * 4
    assert arrived(splunkd) == once(records)


def test_an_acknowledgement_that_came_for_others_to_ask_settles_the_record_without_a_send(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    splunkd.faults.acks = "pending"
    early, late = verdicts(2), verdicts(2, first=2)
    with writing(splunkd, clock=clock) as writer:
        writer.write(early)
        splunkd.faults.acks = "told"
        assert writer.write(late) == [DELIVERED] * 2
        asked = len(splunkd.asked("collector"))
        assert writer.write(early) == [DELIVERED] * 2
        assert len(splunkd.asked("collector")) == asked
    assert arrived(splunkd) == once(early + late)


def test_what_was_lost_before_it_was_indexed_is_sent_again(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.acks = "lost"
    records = verdicts(4)
    with writing(splunkd, clock=clock) as writer:
        assert set(outcomes(writer.write(records))) == {"unknown"}
        assert splunkd.events == []
        splunkd.faults.acks = "told"
        clock.advance(LOST)
        assert writer.write(records) == [DELIVERED] * 4
    assert arrived(splunkd) == once(records)


def test_what_is_never_acknowledged_is_sent_so_often_and_then_rejected(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.acks = "never"
    records = verdicts(2)
    with writing(splunkd, clock=clock, ack_sends=3, ack_wait="PT0.01S") as writer:
        for _ in range(3):
            assert set(outcomes(writer.write(records))) == {"unknown"}
            clock.advance(LOST)
        last = writer.write(records)
        assert set(outcomes(last)) == {"rejected"}
        assert "sent 3 times" in last[0].reason
        assert set(arrived(splunkd).values()) == {3}
        splunkd.faults.acks = "told"
        assert writer.write(records) == [DELIVERED] * 2, "replayed, it starts anew"


def test_an_acknowledgement_that_is_given_twice_is_counted_once(splunkd: Splunkd) -> None:
    splunkd.faults.acks = "twice"
    with writing(splunkd) as writer:
        for start in (0, 3, 6):
            records = verdicts(3, first=start)
            assert writer.write(records) == [DELIVERED] * 3
    assert arrived(splunkd) == once(verdicts(9))


def test_a_reset_channel_loses_what_waits_and_what_has_its_number_now_does_not_stand_for_it(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    splunkd.faults.acks = "lost"
    old, new = verdicts(2), verdicts(2, first=2)
    with writing(splunkd, clock=clock) as writer:
        writer.write(old)
        splunkd.reset_channels()
        splunkd.faults.acks = "told"
        assert writer.write(new) == [DELIVERED] * 2
        assert writer.write(old) == [DELIVERED] * 2, "sent again at once: the reset was seen"
    assert arrived(splunkd) == once(old + new)


def test_a_lost_answer_gives_the_channel_up_and_the_record_comes_again(splunkd: Splunkd) -> None:
    splunkd.faults.hec_no_answer = 1
    records = verdicts(3)
    with writing(splunkd) as writer:
        with pytest.raises(TransientError) as broken:
            writer.write(records)
        assert broken.value.sent
        assert writer.write(records) == [DELIVERED] * 3
    assert set(arrived(splunkd).values()) == {2}, "at least once: the ids are the same"
    assert len(set(channels(splunkd))) == 2


def test_a_lost_answer_after_an_unseen_reset_confirms_nothing_that_was_not_indexed(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    """The number 0 of the lost answer must not stand for the number 0 that is waited for."""
    splunkd.faults.acks = "lost"
    old, other = verdicts(1), verdicts(1, first=1)
    with writing(splunkd, clock=clock) as writer:
        writer.write(old)
        splunkd.reset_channels()
        splunkd.faults.acks = "told"
        splunkd.faults.hec_no_answer = 1
        with pytest.raises(TransientError):
            writer.write(other)
        assert writer.write(old) == [DELIVERED]
    assert arrived(splunkd)[old[0].record_id] == 1


def test_a_question_that_fails_loses_nothing(splunkd: Splunkd) -> None:
    splunkd.faults.ack_busy = 2
    with writing(splunkd, ack_wait="PT5S") as writer:
        assert writer.write(verdicts(3)) == [DELIVERED] * 3
    assert arrived(splunkd) == once(verdicts(3))


def test_a_confirmation_whose_answer_was_lost_is_never_told_again_and_the_record_comes_twice(
    splunkd: Splunkd, clock: ManualClock
) -> None:
    real = splunkd.collector._acks

    def acks(request, name, token):
        splunkd.collector._acks = real
        real(request, name, token)
        raise CutOffError

    splunkd.collector._acks = acks
    records = verdicts(2)
    with writing(splunkd, clock=clock) as writer:
        assert set(outcomes(writer.write(records))) == {"unknown"}
        clock.advance(LOST)
        assert writer.write(records) == [DELIVERED] * 2
    assert set(arrived(splunkd).values()) == {2}


def test_a_token_that_loses_acknowledgement_meanwhile_is_done_without(splunkd: Splunkd, clock: ManualClock) -> None:
    splunkd.faults.acks = "pending"
    records = verdicts(2)
    with writing(splunkd, clock=clock) as writer:
        assert set(outcomes(writer.write(records))) == {"unknown"}
        splunkd.collector._tokens = {splunkd.hec_ack_token: HecToken()}
        assert set(outcomes(writer.write(records))) == {"unknown"}
        assert writer.write(records) == [DELIVERED] * 2


def test_each_process_has_a_channel_of_its_own(splunkd: Splunkd) -> None:
    records = verdicts(3)
    splunkd.faults.acks = "pending"
    with writing(splunkd) as writer:
        writer.write(records)
    splunkd.faults.acks = "told"
    with writing(splunkd) as other:
        assert other.write(records) == [DELIVERED] * 3
    assert len(set(channels(splunkd))) == 2


def test_a_call_that_waits_ends_when_the_writer_is_closed(splunkd: Splunkd) -> None:
    splunkd.faults.acks = "pending"
    with writing(splunkd, ack_wait="PT60S") as writer:
        thread = threading.Thread(target=writer.write, args=(verdicts(1),))
        thread.start()
        while not splunkd.asked("collector/ack"):
            pass
        writer.close()
        thread.join(5)
        assert not thread.is_alive()


def test_threads_that_write_at_once_deliver_each_record_once(splunkd: Splunkd) -> None:
    splunkd.faults.ack_polls = 1
    found: dict[int, list[str]] = {}
    with writing(splunkd, ack_wait="PT5S") as writer:

        def write(number: int) -> None:
            found[number] = outcomes(writer.write(verdicts(10, first=10 * number)))

        threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert found == {number: ["delivered"] * 10 for number in range(6)}
    assert arrived(splunkd) == once(verdicts(60))


# refusals


def test_a_busy_collector_is_an_outage_and_nothing_of_it_counts_as_sent(splunkd: Splunkd) -> None:
    splunkd.faults.hec_busy = 1
    with writing(splunkd) as writer:
        with pytest.raises(TransientError, match="busy"):
            writer.write(verdicts(3))
        assert writer.write(verdicts(3)) == [DELIVERED] * 3
    assert arrived(splunkd) == once(verdicts(3))


def test_where_a_later_request_meets_a_busy_collector_what_was_taken_stays_delivered(splunkd: Splunkd) -> None:
    records = verdicts(30)
    with writing(splunkd, max_bytes=10 * SIZE + 60) as writer:
        busy_after(splunkd, posts=1)
        found = outcomes(writer.write(records))
    assert found[:10] == ["delivered"] * 10
    assert set(found[10:]) == {"retry"}


def busy_after(splunkd: Splunkd, *, posts: int) -> None:
    """The collector becomes busy once it has taken so many posts."""
    real = splunkd.collector.answer

    def answer(request):
        if request.path == "collector/event" and len(splunkd.asked("collector/event")) > posts:
            splunkd.faults.hec_busy = 1
        return real(request)

    splunkd.collector.answer = answer


@pytest.mark.parametrize(
    ("token", "said"), [("33333333-3333-4333-8333-333333333333", "Invalid token"), ("disabled", "Token disabled")]
)
def test_a_token_that_is_refused_is_told_to_a_person_without_the_token(token: str, said: str) -> None:
    tokens = {"disabled": HecToken(disabled=True)}
    with (
        Splunkd(hec_tokens=tokens) as splunkd,
        writing(splunkd, hec_token=token) as writer,
        pytest.raises(ConfigError, match=said) as refused,
    ):
        writer.write(verdicts(1))
    assert "hec_token" in str(refused.value)
    assert token not in str(refused.value).replace("Token disabled", "")


def bad_middle(splunkd: Splunkd, records, bad: set[str], code: int = 6, *, numbered: bool = True) -> None:
    """The collector refuses requests with these records, as it does for what it cannot read; those before are indexed."""
    real = splunkd.collector._index

    def index(request, token, *, raw, lost):
        events = request.body.split(b'{"source":')[1:]
        for number, event in enumerate(events):
            if any(record.encode() in event for record in bad):
                from tests.splunkd.hec import RejectedError

                raise RejectedError(400, code, "Invalid data format", number if numbered else None)
        real(request, token, raw=raw, lost=lost)

    splunkd.collector._index = index


@pytest.mark.parametrize("numbered", [True, False])
@pytest.mark.parametrize("places", [{0}, {7}, {19}, {3, 4, 11}])
def test_one_bad_event_is_rejected_alone_and_the_others_are_delivered(
    splunkd: Splunkd, places: set[int], numbered: bool
) -> None:
    records = verdicts(20)
    bad = {records[place].record_id for place in places}
    bad_middle(splunkd, records, bad, numbered=numbered)
    with writing(splunkd) as writer:
        found = writer.write(records)
    assert {place for place, one in enumerate(found) if one.outcome == "rejected"} == places
    assert {one.outcome for place, one in enumerate(found) if place not in places} == {"delivered"}
    assert all("code 6" in found[place].reason for place in places)
    assert set(arrived(splunkd)) == {record.record_id for record in records} - bad


def test_a_real_bad_event_in_a_batch_is_found_by_the_number_that_the_collector_gives(splunkd: Splunkd) -> None:
    """The stand-in itself refuses the post for its third event, and has indexed those before it, as Splunk does."""
    records = verdicts(6)
    with writing(splunkd) as writer:
        collectors = writer._collectors
        events = [event_of(record, index="triaged", risk_index="risk") for record in records]
        events[2] = msgspec.structs.replace(events[2], body=b'{"index":"triaged","event":""}')
        found = collectors.deliver(events)
    assert outcomes(found) == ["delivered"] * 2 + ["rejected"] + ["delivered"] * 3
    assert "code 13" in found[2].reason


def test_a_request_that_is_too_large_is_halved_until_one_stands_alone(splunkd: Splunkd) -> None:
    splunkd.faults.hec_max_bytes = 3 * SIZE
    records = verdicts(10)
    records[4] = msgspec.structs.replace(records[4], explanation=("x" * 4 * SIZE,))
    with writing(splunkd) as writer:
        found = outcomes(writer.write(records))
    assert found == ["delivered"] * 4 + ["rejected"] + ["delivered"] * 5


def test_an_index_that_the_token_may_not_write_holds_up_its_own_records_alone() -> None:
    from connector.testing import examples
    from connector.types import RiskEvent

    tokens = {"t": HecToken(indexes=("triaged",), use_ack=True)}
    with Splunkd(hec_tokens=tokens) as splunkd, writing(splunkd, hec_token="t") as writer:
        risk = examples.records()[RiskEvent]
        found = writer.write([risk, *verdicts(3)])
        assert outcomes(found) == ["retry", "delivered", "delivered", "delivered"]
        assert "allow it for the token" in found[0].reason
        with pytest.raises(ConfigError, match="Incorrect index"):
            writer.write([risk])


# addresses


def test_a_collector_whose_certificate_nobody_vouches_for_gets_no_token(tmp_path: Path) -> None:
    tls, authority = context(tmp_path)
    with Splunkd(tls=tls) as splunkd:
        with writing(splunkd) as writer, pytest.raises(ConfigError, match="ca_certs"):
            writer.write(verdicts(1))
        assert splunkd.requests == []
        with writing(splunkd, ca_certs=str(authority)) as writer:
            assert writer.write(verdicts(1)) == [DELIVERED]


def test_a_collector_that_is_down_is_passed_over(splunkd: Splunkd) -> None:
    with Splunkd() as gone:
        dead = gone.hec_url
    with writing(splunkd, hec=[dead, splunkd.hec_url]) as writer:
        assert writer.write(verdicts(3)) == [DELIVERED] * 3
        assert writer.write(verdicts(3, first=3)) == [DELIVERED] * 3


def test_a_collector_that_is_busy_is_passed_over(splunkd: Splunkd) -> None:
    with Splunkd() as other:
        other.faults.hec_busy = 100
        with writing(splunkd, hec=[other.hec_url, splunkd.hec_url]) as writer:
            assert writer.write(verdicts(3)) == [DELIVERED] * 3
    assert arrived(splunkd) == once(verdicts(3))


def test_where_no_collector_answers_nothing_was_sent(splunkd: Splunkd, monkeypatch) -> None:
    monkeypatch.setattr("connector.siem.splunk.collectors.retrying", lambda: lambda call, *args: call(*args))
    with Splunkd() as gone:
        dead = gone.hec_url
    with writing(splunkd, hec=[dead]) as writer, pytest.raises(TransientError) as failed:
        writer.write(verdicts(1))
    assert not failed.value.sent


def test_a_server_that_is_killed_between_send_and_acknowledgement_gets_the_records_again(clock: ManualClock) -> None:
    records, later = verdicts(4), verdicts(1, first=4)
    with ExitStack() as stack:
        with Splunkd() as first:
            port = int(first.hec_url.rpartition(":")[2])
            first.faults.acks = "lost"
            writer = stack.enter_context(writing(first, clock=clock))
            assert set(outcomes(writer.write(records))) == {"unknown"}
        clock.advance(10)
        assert set(outcomes(writer.write(records))) == {"unknown"}, "nobody answers, and it may have been indexed"
        second = stack.enter_context(Splunkd(hec_port=port))
        assert writer.write(later) == [DELIVERED]
        assert writer.write(records) == [DELIVERED] * 4, "the numbers began again: what waited is lost"
        assert arrived(second) == once(records + later)


def test_a_load_balancer_finds_our_collector_by_its_cookie(splunkd: Splunkd) -> None:
    real = splunkd.collector.answer

    def answer(request):
        reply = real(request)
        reply.headers["Set-Cookie"] = "node=idx2; Path=/; HttpOnly"
        return reply

    splunkd.collector.answer = answer
    with writing(splunkd) as writer:
        assert writer.write(verdicts(1)) == [DELIVERED]
    assert splunkd.asked("collector/ack")[0].headers["cookie"] == "node=idx2"


@pytest.mark.parametrize(
    "url", ["ftp://c:8088", "c:8088", "https://", "https://c:8088/services", "https://u:p@c", "http://c.example:8088"]
)
def test_an_address_that_would_send_the_token_elsewhere_or_in_the_open_is_refused(url: str, splunkd: Splunkd) -> None:
    with pytest.raises(ValueError, match=r"address|open") as refused:
        SplunkWriterConfig.model_validate(table(splunkd, hec=[url]))
    assert "u:p" not in str(refused.value).partition("[type=")[0]


def test_an_address_has_the_collectors_port_unless_it_says_another() -> None:
    assert collector_address("https://collector.example") == "https://collector.example:8088"
    assert collector_address("https://collector.example:443/") == "https://collector.example:443"
    assert collector_address("http://[::1]:1") == "http://[::1]:1"
