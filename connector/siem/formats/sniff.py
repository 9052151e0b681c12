"""Telling a format by a file's first bytes. A file that grows by whole lines keeps its format."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import Literal, TypeAlias

from connector.siem.formats import auditd, mail, table, zeek
from connector.siem.formats.lines import BOM
from connector.siem.formats.wrapped import is_wrapped

Format: TypeAlias = Literal[
    "records", "text", "json", "xml", "evtx", "zip", "tar", "gzip", "bzip2", "xz", "utf-16-le", "utf-16-be",
    "binary", "nothing", "table", "zeek", "auditd", "wrapped",
    "mail",
]  # fmt: skip
"""``records``: each line is a JSON document or an XML event; ``text``: each line is a message; ``json``, ``xml``: one
large document with events inside; ``wrapped``: an object with a list of events in it; ``table``, ``zeek``, ``auditd``: lines
that a header or their neighbours explain; ``mail``: a mailbox or a message; ``nothing``: no content, or a Finder's resource fork."""

_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"ElfFile\x00", "evtx"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x00\x05\x16\x07", "nothing"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"{\x00", "utf-16-le"),
    (b"[\x00", "utf-16-le"),
    (b"<\x00", "utf-16-le"),
    (b"\x00{", "utf-16-be"),
    (b"\x00[", "utf-16-be"),
    (b"\x00<", "utf-16-be"),
)
_JSON_NAMES = frozenset({".json", ".jsonl", ".ndjson"})
_TABLE_NAMES = frozenset({".csv", ".tsv"})
_MAIL_NAMES = frozenset({".eml", ".mbox"})
_ARRAY = re.compile(rb"\[\s*(?:\{|\]?\s*\Z)")
_XML = re.compile(rb"<(?:\?xml|!--|Events?[\s>/])")
_XML_LINE = re.compile(rb"<Event[\s>](?:(?!</Event>).)*</Event>\s*\Z", re.DOTALL)
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, strict=True)


def sniff(head: bytes, name: str) -> Format:
    """The format of a file that starts with ``head`` (64 KiB of it say enough) and is called ``name``."""
    suffix = PurePosixPath(name).suffix.lower()
    by_magic = next((found for magic, found in _MAGIC if head.startswith(magic)), None)
    if by_magic is None and (head[257:262] == b"ustar" or (suffix == ".tar" and len(head) >= 512)):
        return "tar"
    return by_magic or _of_text(head, suffix)


def _of_text(head: bytes, suffix: str) -> Format:
    text = head.lstrip(b"\x00").removeprefix(BOM).lstrip()
    if not text:
        return "nothing"
    line = text.partition(b"\n")[0].rstrip()
    if b"\x00" in line[:1024]:
        return "binary"
    if found := _of_document(text, line):
        return found
    if suffix in _JSON_NAMES:
        return "records"
    if suffix in _MAIL_NAMES or mail.MAILBOX.match(text):
        return "mail"
    return _of_lines(text, line, suffix)


def _of_document(text: bytes, line: bytes) -> Format | None:
    """JSON and XML say by their first bytes what they are."""
    if _ARRAY.match(text):
        return "json"
    if text.startswith(b"{"):
        if is_wrapped(text):
            return "wrapped"
        return "json" if _spans_lines(text, line) else "records"
    if _XML.match(text):
        return "records" if _XML_LINE.match(line) else "xml"
    return None


def _of_lines(text: bytes, line: bytes, suffix: str) -> Format:
    if zeek.is_header(line):
        return "zeek"
    if auditd.is_record(line):
        return "auditd"
    # a header's own line end may lie beyond what was seen: it is one only when whole
    whole = b"\n" in text
    return "table" if whole and table.header_of(line, named=suffix in _TABLE_NAMES) else "text"


def _spans_lines(text: bytes, line: bytes) -> bool:
    """Whether the first JSON object goes on behind its line, or another one follows in the same line."""
    if line == b"{":
        return True
    decoded = text.decode("utf-8", "replace")
    first = len(line.decode("utf-8", "replace"))
    try:
        _, end = _DECODER.raw_decode(decoded)
    except json.JSONDecodeError as error:
        behind = decoded[first:]
        next_token = first + len(behind) - len(behind.lstrip())
        return error.pos > next_token
    except RecursionError:
        return False
    return end > first or decoded[end:first].lstrip(" \t,\r").startswith("{")
