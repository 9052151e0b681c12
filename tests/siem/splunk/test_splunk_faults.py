"""The error table: each line of it, and each thing that can be raised."""

from __future__ import annotations

import http.client
import io
import ssl
from typing import Any
from xml.etree.ElementTree import ParseError

import msgspec
import pytest
from splunklib.binding import AuthenticationError, HTTPError
from splunklib.data import record

from connector.errors import ConfigError, PermanentError, TransientError
from connector.siem.splunk.faults import BREAKS, RAISED, STATUSES, TEXTS, CutError, GoneError, fault, told
from connector.transport import UnsentError

THREE = (TransientError, PermanentError, ConfigError)


def answered(status: int, body: bytes) -> HTTPError:
    return HTTPError(record({"status": status, "reason": "r", "headers": [], "body": io.BytesIO(body)}))


def xml(text: str) -> bytes:
    return f'<response><messages><msg type="ERROR">{text}</msg></messages></response>'.encode()


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_has_the_reaction_that_the_table_gives_it(status: int) -> None:
    error = fault(answered(status, xml("some text")), "searching")
    assert type(error) is STATUSES[status].kind
    assert STATUSES[status].advice in str(error)
    for part in ("searching", str(status), "some text"):
        assert part in str(error)


SAID = [
    ("The maximum number of concurrent historical searches on this instance has been reached.", TransientError),
    ("This search could not be dispatched because the role-based disk usage quota has been reached", TransientError),
    ("The minimum free disk space (5000MB) reached", TransientError),
    ("Search not executed: something", TransientError),
    ("Unknown sid.", GoneError),
    ("KV Store is initializing. Please try again later.", TransientError),
    ("Splunkd is shutting down", TransientError),
    ("Search is disabled: license violation", ConfigError),
    ("call not properly authenticated", ConfigError),
    ("insufficient permission to access this resource", ConfigError),
    ("Error in 'search' command: Unable to parse the search: Comparator '=' is missing a term.", ConfigError),
]


@pytest.mark.parametrize(("text", "kind"), SAID)
@pytest.mark.parametrize("status", [400, 500, 503])
def test_what_splunk_says_goes_before_its_status(text: str, kind: type[Exception], status: int) -> None:
    assert type(fault(answered(status, xml(text)), "searching")) is kind


def test_each_line_of_texts_is_met_by_what_splunk_says() -> None:
    import re

    for pattern, _ in TEXTS:
        assert any(re.search(pattern, text, re.IGNORECASE) for text, _ in SAID), pattern


@pytest.mark.parametrize("line", BREAKS, ids=lambda line: f"{line.error.__name__}-{line.cause and line.cause.__name__}")
def test_each_broken_exchange_has_the_reaction_that_the_table_gives_it(line: Any) -> None:
    error = line.error(b"m") if line.error is http.client.IncompleteRead else line.error("m")
    if line.cause is not None:
        error.__cause__ = line.cause("c")
    ours = fault(error, "searching")
    assert type(ours) is line.kind
    if isinstance(ours, TransientError):
        assert ours.sent is line.sent


def subclasses(kind: type) -> set[type]:
    return {kind, *(deeper for one in kind.__subclasses__() for deeper in subclasses(one))}


def test_whatever_splunklib_or_the_wire_raises_is_one_of_the_three() -> None:
    assert subclasses(HTTPError) == {HTTPError, AuthenticationError}
    for status in (302, *range(400, 600)):
        assert isinstance(fault(answered(status, b""), "x"), THREE)
    ours = {kind for kind in subclasses(http.client.HTTPException) if kind.__module__ == "http.client"}
    for kind in (*ours, ssl.SSLError, TimeoutError, ConnectionResetError, ParseError):
        arguments = (b"",) if kind is http.client.IncompleteRead else ("m",)
        error = kind(*arguments)
        assert isinstance(error, RAISED)
        assert isinstance(fault(error, "x"), THREE)
    assert isinstance(fault(msgspec.DecodeError("m"), "x"), TransientError)


def test_a_refused_login_is_a_persons_to_mend_whatever_it_says() -> None:
    cause = answered(401, xml("Splunkd is shutting down"))
    error = fault(AuthenticationError("Login failed.", cause), "searching")
    assert type(error) is ConfigError
    assert "credentials" in str(error)


def test_what_never_left_says_so_with_what_kept_it() -> None:
    error = UnsentError("x")
    error.__cause__ = ConnectionRefusedError("nobody listens")
    ours = fault(error, "searching")
    assert isinstance(ours, TransientError)
    assert not ours.sent
    assert "nobody listens" in str(ours)


def test_a_silent_server_is_a_cut_answer_and_no_other_network_error_is() -> None:
    assert type(fault(TimeoutError("t"), "x")) is CutError
    assert type(fault(ConnectionResetError("t"), "x")) is TransientError


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        (xml("a &lt;b&gt; &amp;amp; &quot;c&quot;"), ('a <b> &amp; "c"',)),
        (b'{"messages":[{"type":"ERROR","text":"a"},{"type":"WARN","text":"b"}]}', ("a", "b")),
        (b'{"text":"Server is busy","code":9}', ("Server is busy",)),
        (b'{"message":"no","success":false}', ("no",)),
        (b"", ()),
        (b"[1]", ()),
        (b"\xff<html>", ("\ufffd<html>",)),
        (b'{"messages":7}', ()),
    ],
)
def test_a_body_of_any_shape_is_told(body: bytes, texts: tuple[str, ...]) -> None:
    assert told(body) == texts


def test_a_long_reason_is_cut() -> None:
    assert len(str(fault(answered(400, xml("x" * 10**6)), "x"))) < 2000
