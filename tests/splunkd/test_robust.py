"""Whatever is asked, the stand-in answers or refuses; where it fails itself, no test passes over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given, settings, strategies as st

from tests.splunkd import Splunkd
from tests.splunkd.asking import Client, Hec, ask
from tests.splunkd.spl import pipeline
from tests.splunkd.spl.context import Job
from tests.splunkd.spl.text import SearchError
from tests.splunkd.timerange import TimeRange
from tests.splunkd.wire import MistakeError

_WORDS = [
    "search",
    "index=main",
    "|",
    "where",
    "eval",
    "stats",
    "count",
    "by",
    "fields",
    "table",
    "sort",
    "dedup",
    "head",
    "rename",
    "as",
    "rex",
    "lookup",
    "mvexpand",
    "fillnull",
    "tail",
    "reverse",
    "spath",
    "addinfo",
    "user",
    "host",
    "_time",
    "NOT",
    "AND",
    "OR",
    "IN",
    "(",
    ")",
    ",",
    "=",
    "!=",
    "<",
    ">",
    '"',
    "'",
    "*",
    "+",
    "-",
    ".",
    "/",
    "1",
    "0",
    "2.5",
    "if(",
    "case(",
    "mvindex(",
    "replace(",
    "round(",
    "count(x)",
    "dc(user)",
    '"text"',
    "'field'",
    "user=bob",
    '"("',
    "`notable`",
    "x=1",
    "outputlookup",
    "inputlookup",
    "makeresults",
    "tstats",
    "\\",
    "[",
    "]",
    "%",
]


@pytest.fixture(scope="module")
def filled() -> Iterator[Splunkd]:
    with Splunkd() as server:
        server.put({"user": "bob", "n": 1, "tags": ["a", "b"]}, "user=alice n=x", "plain", time=1)
        yield server


@settings(max_examples=150, deadline=None)
@given(words=st.lists(st.sampled_from(_WORDS), max_size=14), glue=st.sampled_from(["", " "]), first=st.booleans())
def test_every_search_is_answered_or_refused(filled: Splunkd, words: list[str], glue: str, first: bool) -> None:
    search = ("search index=main | " if first else "") + glue.join(words)
    with suppress(SearchError):
        rows = pipeline.run(search, Job(filled.site, TimeRange(0, 100), 100.0))
        assert all(isinstance(value, str | list) for row in rows for value in row.values() if value is not None)


@pytest.mark.parametrize(
    "search",
    [
        'search index=main | rex "("',
        'search index=main | eval x=replace(user, "(", "")',
        "search index=main | eval x=if(1)",
        "search index=main | mvexpand a b",
        "search index=main | stats count(",
        "search index=main | lookup",
        "search index=main | sort",
        "search index=main | eval x=case(1)",
        "search index=main | eval x=" + "(" * 5000,
    ],
)
def test_a_command_that_makes_no_sense_is_refused(client: Client, splunkd: Splunkd, search: str) -> None:
    splunkd.put("user=bob", time=1)
    assert client.refused(search)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/services/search/v2/jobs/nosuch/results", {"count": "many"}),
        ("/servicesNS/nobody/missioncontrol/public/v2/findings", {"limit": "x"}),
        ("/servicesNS/nobody/missioncontrol/public/v2/findings", {"earliest": "x"}),
        ("/services/nosuch", {}),
        ("/servicesNS/a", {}),
        ("/", {}),
        ("/services/storage/collections/data/nosuch", {}),
    ],
)
def test_a_request_that_makes_no_sense_is_the_clients_fault(client: Client, path: str, query: dict[str, str]) -> None:
    assert 400 <= client.get(path, **query).status < 500


@pytest.mark.parametrize("body", [b'{"acks":["x"]}', b'{"acks":5}', b"[]", b"\xff", b""])
def test_a_question_for_acknowledgements_that_makes_no_sense_is_refused(acked: Hec, body: bytes) -> None:
    assert acked.post("/services/collector/ack", body).json()["code"] == 6


def test_what_is_said_to_be_packed_and_is_not_is_invalid_data(hec: Hec) -> None:
    assert (
        hec.post("/services/collector/event", b"\x1f\x8bnonsense", **{"Content-Encoding": "gzip"}).json()["code"] == 6
    )


@pytest.mark.parametrize(("token", "code"), [("unknown", 4), (None, 16)])
def test_a_token_in_the_query_string_is_refused_after_it_is_looked_up(
    splunkd: Splunkd, token: str | None, code: int
) -> None:
    reply = ask(
        splunkd.hec_url, "POST", f"/services/collector/event?token={token or splunkd.hec_token}", body=b'{"event":"a"}'
    )
    assert reply.json()["code"] == code


def test_a_mistake_of_the_stand_in_is_answered_with_500_and_raised_at_its_end() -> None:
    splunkd = Splunkd()
    splunkd.guid = object()  # type: ignore[assignment]
    with pytest.raises(MistakeError, match="server/info"), splunkd:
        assert Client(splunkd).get("/services/server/info", output_mode="json").status == 500
