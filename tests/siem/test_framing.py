"""Records that a header, a quotation mark or their neighbours explain."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from connector.siem.formats import Limits, records
from connector.siem.formats.archives import holds_events
from connector.siem.formats.reader import Item
from connector.siem.formats.streams import PIECE
from tests.siem.packing import zipped

TABLE = (
    b'\xef\xbb\xbf"_time","host","__mv_host","_raw"\r\n"1","a,b","$a$;$b$","one\r\ntwo ""q"""\r\n2,x,,\r\n3,x,,a,b\r\n'
)
ZEEK = (
    b"#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
    b"#fields\tts\tid.orig_h\tport\tanswers\tAA\n#types\ttime\taddr\tport\tvector[string]\tbool\n"
    b"1.5\t192.0.2.1\t53\ta\\x2c,b\tT\n#fields\tts\n#types\ttime\n2.5\n2.5\tmore\n"
)
AUDIT = b"".join(
    b"type=%s msg=audit(1700000000.1:%d): x=1\n" % (kind, serial)
    for kind, serial in [
        (b"SYSCALL", 1),
        (b"CWD", 1),
        (b"PROCTITLE", 1),
        (b"USER_LOGIN", 2),
        (b"SYSCALL", 3),
        (b"CWD", 4),
    ]
)


def read(data: bytes, name: str) -> list[Item]:
    return list(records(io.BufferedReader(io.BytesIO(data), PIECE), name, Limits()))


@pytest.mark.parametrize(
    ("data", "name"), [(TABLE, "t.csv"), (gzip.compress(TABLE, mtime=0), "t.csv.gz"), (TABLE, "t.csv.1")]
)
def test_a_row_of_a_table_is_an_event_by_its_header_and_a_row_that_is_too_long_is_an_error(
    data: bytes, name: str
) -> None:
    first, second, third = read(data, name)
    assert first[0] == {"_time": "1", "host": ["a", "b"], "_raw": 'one\ntwo "q"'}
    assert second[0] == {"_time": "2", "host": "x"}
    assert third[2] == "the row has 5 cells, and its header 4"
    assert [place.rpartition(":")[2] for _, place, _ in (first, second, third)] == ["2", "4", "5"]


def test_a_file_of_numbers_is_no_table_whatever_its_name() -> None:
    assert [data for data, _, _ in read(b"1,2\n3,4\n", "a.csv")] == [{"message": "1,2"}, {"message": "3,4"}]


def test_a_zeek_row_is_read_by_the_header_above_it() -> None:
    first, second, third = read(zipped({"dns.log": ZEEK}), "z.zip")
    assert first[0] == {
        "_path": "dns",
        "ts": 1.5,
        "id.orig_h": "192.0.2.1",
        "port": 53,
        "answers": ["a,", "b"],
        "AA": True,
    }
    assert second[0] == {"_path": "dns", "ts": 2.5}
    assert third[2] == "the row has 2 values, and its header 1 fields"


def test_the_records_of_an_audit_event_are_one_event_at_its_first_line() -> None:
    items = read(AUDIT, "audit.log")
    assert [data["message"].count("msg=") for data, _, _ in items if isinstance(data, dict)] == [3, 1, 1, 1]
    assert [place for _, place, _ in items] == [f"audit.log:{line}" for line in (1, 4, 5, 6)]


@pytest.mark.parametrize(
    "document",
    [
        '{"Records":[{"n":1},{"n":{"Records":[2]}}]}',
        '{"took":1,"_shards":{"a":[1]},"hits":{"total":{"value":2},"hits":[{"n":1},{"n":{"Records":[2]}}]},"x":[{}]}',
        '{"@odata.context":"c","value":[\n{"n":1},\n{"n":{"Records":[2]}}],"@odata.nextLink":"u"}',
        '{"Records":[{"n":1}]}\n{"Records":[{"n":{"Records":[2]}}]}',
        '{"results":[{"n":1}]}\n{"n":{"Records":[2]}}',
    ],
)
def test_a_list_that_a_document_wraps_gives_its_elements_and_an_unwrapped_document_is_an_event(document: str) -> None:
    found = [json.loads(data) for data, _, error in read(document.encode(), "a.json") if not error]
    assert found == [{"n": 1}, {"n": {"Records": [2]}}]


def test_an_event_with_a_field_that_is_called_like_a_list_stays_whole() -> None:
    event = b'{"eventName":"x","items":[{"a":1}]}'
    assert [data for data, _, _ in read(event, "a.json")] == [event]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_line_feed_inside_a_wide_character_ends_no_line(encoding: str) -> None:
    text = '{"a":"x"}\n{"b":"\u010a\u0a00"}\n'
    assert [data for data, _, _ in read(text.encode(encoding), "a.json")] == text.encode().splitlines()


@pytest.mark.parametrize("name", ["LICENSE", "LICENSE-APACHE", "x/LICENSE-MIT", "README.txt", "notice.txt"])
def test_papers_are_no_event_files(name: str) -> None:
    assert not holds_events(name)
