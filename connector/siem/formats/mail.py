"""Mails, one by one: a mailbox (mbox, RFC 4155) or a single message (``.eml``, RFC 5322 with MIME).

A mail becomes an ECS document: subject, text, and the extensions of its attachments, which are never opened. Mail is
written by attackers, so only the first lines of each are parsed, headers are cut, and nesting is counted beforehand:
what a mail costs is bounded, whatever it says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import Compat32
from io import BufferedReader
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias

from connector.events.prose import plain
from connector.types import Document

Mail: TypeAlias = tuple[int, Document | bytes, str | None]
"""(number from 1, the document or what it was made of, error)."""

PARSED: Final = 256 << 10
LINES: Final = 8_192
"""Bytes and lines of one mail that are parsed; its text comes before its attachments."""

MOST_CONTAINERS: Final = 12
HEADER: Final = 4_096
MOST_ATTACHMENTS: Final = 16
MOST_TEXT: Final = 64_000
SHOWN: Final = 4_096

MAILBOX = re.compile(
    rb"From \S{1,320} [^\r\n]{0,80}\d{4}\r?\n(?:>From [^\r\n]{0,400}\r?\n)?[A-Za-z][A-Za-z0-9-]{0,80}:"
)
_SEPARATOR = re.compile(rb"From \S{1,320} [^\r\n]{0,80}\d")
_CONTAINER = re.compile(rb"boundary[\s*0-9]{0,9}=|content-type:\s{0,9}message/", re.IGNORECASE)
_CHARSET = re.compile(
    r"us-ascii|ascii|utf-?(?:7|8|16|16-?le|16-?be)|latin-?1|iso-?8859-\d{1,2}|iso-2022-(?:jp|kr)|(?:windows|cp)-?\d{3,4}"
    r"|koi8-[ru]|gb2312|gbk|gb18030|big5|euc-(?:jp|kr)|shift[_-]?jis|sjis|tis-620",
    re.IGNORECASE,
)
"""Charsets that are decoded by name; Python knows more, some of which are no charsets or take quadratic time."""


class _Cut(Compat32):
    """The lenient policy with headers cut: their parameters are parsed in quadratic time."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:HEADER]


_POLICY: Final = _Cut()


def messages(stream: BufferedReader, limit: int) -> Iterator[Mail]:
    """The mails of a mailbox, or the one mail that the stream is. One that is longer than ``limit`` bytes is cut there."""
    kept: list[bytes] = []
    number, size, blank = 1, 0, True
    while line := stream.readline(limit + 1):
        if blank and _SEPARATOR.match(line):
            if kept:
                yield _mail(number, b"".join(kept))
                number += 1
            kept, size = [], 0
        elif size < PARSED and len(kept) < LINES:
            kept.append(line)
            size += len(line)
        blank = not line.strip()
    if kept:
        yield _mail(number, b"".join(kept))


def _mail(number: int, content: bytes) -> Mail:
    head = content[:PARSED]
    if len(_CONTAINER.findall(head)) > MOST_CONTAINERS:
        return number, head[:SHOWN], f"the mail has more than {MOST_CONTAINERS} parts that hold parts"
    try:
        return number, document(message_from_bytes(head, policy=_POLICY)), None
    except (LookupError, RecursionError, TypeError, ValueError) as error:
        # the standard library decodes parameters (RFC 2231) by whatever charset they claim, and raises what that raises
        return number, head[:SHOWN], f"the mail cannot be parsed: {type(error).__name__}: {error}"


def document(mail: Message) -> Document:
    """The mail in ECS: ``email.subject``, ``message``, ``email.attachments``, and the first link to the web in ``url.full``."""
    texts: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    attached: list[str] = []
    for part in mail.walk():
        if part.is_multipart():
            continue
        kind = part.get_content_type()
        name = _words(part.get_filename() or "")
        if name or part.get_content_disposition() == "attachment" or kind not in texts:
            attached.append(PurePosixPath(name.replace("\\", "/")).suffix[1:17].lower())
        else:
            texts[kind].append(_text(part))
    page, link = plain("\n".join(texts["text/html"])[:MOST_TEXT])
    told = "\n".join(texts["text/plain"]).strip()[:MOST_TEXT]
    found: dict[str, Any] = {
        "event": {"kind": "event", "category": ["email"]},
        "email": {"subject": _words(str(mail.get("subject") or "")), "message_id": str(mail.get("message-id") or "")},
        "message": told or page.strip(),
    }
    if attached:
        files = [{"file": {"extension": extension}} for extension in attached[:MOST_ATTACHMENTS]]
        found["email"]["attachments"] = files
    if link:
        found["url"] = {"full": link}
    return found


def _text(part: Message) -> str:
    if str(part.get("content-transfer-encoding") or "").strip().lower() in {"x-uuencode", "uuencode", "uue", "x-uue"}:
        return ""
    payload = part.get_payload(decode=True)
    return _decoded(payload, part.get_content_charset()) if isinstance(payload, bytes) else ""


def _decoded(content: bytes, charset: str | None) -> str:
    """Text in the charset that it claims, if it is one that is known; else as UTF-8, else as Latin-1."""
    if charset is not None and _CHARSET.fullmatch(charset):
        try:
            return content.decode(charset, "replace")
        except LookupError:
            pass  # a name of the right form that no codec has
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _words(header: str) -> str:
    """A header's text, with encoded words (RFC 2047) decoded; as it stands where they are broken."""
    try:
        pieces = decode_header(header)
    except (HeaderParseError, ValueError):
        pieces = [(header, None)]
    told = "".join(piece if isinstance(piece, str) else _decoded(piece, charset) for piece, charset in pieces)
    return " ".join(told.split())
