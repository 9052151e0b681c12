import io
import time
from pathlib import Path

import pytest

from connector.siem.files import open_paths
from connector.siem.formats import mail, sniff

MAIL = b"""From: =?utf-8?q?B=C3=B6b?= <bob@sender.example>\r
Subject: =?utf-8?B?WW91ciBhY2NvdW50?= is\r
 locked\r
Content-Type: multipart/mixed; boundary="b1"\r
\r
--b1\r
Content-Type: text/html; charset=utf-8\r
Content-Transfer-Encoding: quoted-printable\r
\r
<style>p {}</style><p>Click <a href=3D"https://evil.example/x">here</a>, caf=C3=A9</p><script>run()</script>\r
--b1\r
Content-Type: application/pdf\r
Content-Disposition: attachment; filename="Invoice.PDF"\r
Content-Transfer-Encoding: base64\r
\r
AAAA\r
--b1--\r
"""
MAILBOX = (
    b"From ann@a.example Thu Aug 22 12:36:23 2002\nSubject: one\n\nfirst\nFrom here on it is still one\n\n"
    b"From ann@a.example Thu Aug 22 12:36:24 2002\nSubject: two\n\nsecond\n"
)


def read(content: bytes) -> list[mail.Mail]:
    return list(mail.messages(io.BufferedReader(io.BytesIO(content)), 1 << 20))


def test_a_mail_is_its_subject_its_text_its_first_link_and_what_is_attached() -> None:
    ((_, found, error),) = read(MAIL)

    assert error is None
    assert found == {
        "event": {"kind": "event", "category": ["email"]},
        "email": {
            "subject": "Your account is locked",
            "message_id": "",
            "attachments": [{"file": {"extension": "pdf"}}],
        },
        "message": "Click here, café",
        "url": {"full": "https://evil.example/x"},
    }


def test_a_mailbox_is_cut_where_a_new_mail_starts_and_nowhere_else() -> None:
    assert [found["message"] for _, found, _ in read(MAILBOX)] == ["first\nFrom here on it is still one", "second"]


def test_files_of_mail_are_events_by_name_and_by_their_first_lines(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(MAIL)
    (tmp_path / "inbox").write_bytes(MAILBOX)

    subjects = [raw.data["email"]["subject"] for raw in open_paths([tmp_path / "a.eml", tmp_path / "inbox"])]

    assert subjects == ["Your account is locked", "one", "two"]
    assert sniff(b"From the log: 2002\nall went well\n", "a.log") == "text"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (b"Content-Type: text/plain; charset=punycode", b"caf\xe9-"),
        (b"Content-Type: text/plain; charset=iso-8859-77", b"caf\xe9-"),
        (b"Content-Type: text/plain; charset*=x'y'%ff", b"caf\xe9-"),
    ],
)
def test_a_charset_that_is_none_is_read_as_latin_1(header: bytes, text: bytes) -> None:
    ((_, found, error),) = read(header + b"\n\n" + text)

    assert (found["message"], error) == ("café-", None)


@pytest.mark.parametrize(
    "content",
    [
        b"Content-Type: text/plain" + b';"' * 100_000 + b"\n\nx",
        b"Content-Type: multipart/mixed; boundary=a\n\n" + b"--a\n\n" * 50_000,
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(12))
        + b"\n" * 99_999,
        b"Content-Type: message/delivery-status\n\n" + b"a: b\n\n" * 50_000,
        b"Subject: " + b"=?utf-8?q?" * 9_000 + b"\n\n",
        b"Content-Type: text/html\n\n" + b"<a href=" * 30_000 + b"<!--" * 9_000,
    ],
    ids=["parameters", "parts", "nested", "status", "words", "html"],
)
def test_a_hostile_mail_costs_no_more_than_a_moment(content: bytes) -> None:
    start = time.process_time()

    assert len(read(content)) == 1
    assert time.process_time() - start < 6


def test_a_mail_that_nests_without_end_is_an_error_and_the_next_one_is_read() -> None:
    nested = b"From a@b.c Thu Aug 22 12:36:23 2002\n" + b"Content-Type: message/rfc822\n\n" * 2_000
    first, second = read(nested + b"\n" + MAILBOX.partition(b"\n\nFrom ann")[0])

    assert first[2] == "the mail has more than 12 parts that hold parts"
    assert second[1]["email"]["subject"] == "one"


def test_the_number_of_a_character_that_cannot_be_is_left_out() -> None:
    ((_, found, _),) = read(b"Content-Type: text/html\n\n<p>a&#" + b"9" * 6_000 + b";b&#65;")

    assert found["message"].startswith("a")
    assert found["message"].endswith("bA")


@pytest.mark.parametrize(
    "parameter",
    [
        "filename*=idna''x",
        "filename*=undefined''x",
        "filename*=a\0b''x",
        "filename*=x; filename*0*=us-ascii''y",
        "charset*=a\0b''x",
    ],
)
@pytest.mark.parametrize("header", ["Content-Disposition: attachment", "Content-Type: text/plain"])
def test_a_mail_whose_parameters_cannot_be_decoded_is_told_and_the_next_one_is_read(
    header: str, parameter: str
) -> None:
    damaged = f"From a@b.example Mon Jan  1 00:00:00 2024\nSubject: one\n{header}; {parameter}\n\ntext\n\n"
    (_, _, error), (_, found, fine) = read(damaged.encode() + MAILBOX.split(b"\n\n", 1)[0] + b"\n\ntext\n")

    assert error is None or error.startswith("the mail cannot be parsed")
    assert (found["email"]["subject"], fine) == ("one", None)


def test_what_the_parser_raises_becomes_the_mail_s_own_error() -> None:
    ((_, head, error),) = read(b"Subject: one\nContent-Type: text/plain; charset*=a\0b''x\n\ntext\n")

    assert error is not None
    assert error.startswith("the mail cannot be parsed: ValueError")
    assert head.startswith(b"Subject: one")
