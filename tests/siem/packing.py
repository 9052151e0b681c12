"""Event files of every format, made from the same events."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Mapping

EVENTS = [
    {"n": n, "text": f'quote " and {{bracket}} [{n}]', "nested": {"list": [1, {"deep": "\\"}]}} for n in range(25)
]
JSONL = b"".join(json.dumps(event).encode() + b"\n" for event in EVENTS)
XML_EVENTS = [
    f'<Event xmlns="urn:e"><System><EventID>{n}</EventID></System></Event>'.encode() for n in range(len(EVENTS))
]


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def tarred(members: Mapping[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


LONG = "folder/" * 30 + "events.json"
FORMS: dict[str, bytes] = {
    "events.jsonl": JSONL,
    "crlf.jsonl": JSONL.replace(b"\n", b"\r\n"),
    "blank-lines.json": b"\n" + JSONL.replace(b"\n", b"\n\n  \n"),
    "no-last-newline.jsonl": JSONL.rstrip(),
    "bom.json": b"\xef\xbb\xbf" + JSONL,
    "utf-16.json": JSONL.decode().encode("utf-16"),
    "utf-16-be-no-bom.json": JSONL.decode().encode("utf-16-be"),
    "events.jsonl.gz": gzip.compress(JSONL),
    "two-members.jsonl.gz": gzip.compress(JSONL[:1000]) + gzip.compress(JSONL[1000:]) + bytes(512),
    "events.jsonl.bz2": bz2.compress(JSONL),
    "events.jsonl.xz": lzma.compress(JSONL),
    "array.json": json.dumps(EVENTS).encode(),
    "pretty-array.json": json.dumps(EVENTS, indent=2).encode(),
    "concatenated.json": JSONL.replace(b"\n", b""),
    "pretty.json": b"\n".join(json.dumps(event, indent=4).encode() for event in EVENTS),
    "events.zip": zipped({"a.json": JSONL}),
    "stored.zip": zipped({"a.json": JSONL[:0], "b.json": JSONL}, zipfile.ZIP_STORED),
    "lzma.zip": zipped({"a.json": JSONL}, zipfile.ZIP_LZMA),
    "events.tar": tarred({"a.json": JSONL}),
    "long-pax.tar": tarred({LONG: JSONL}),
    "long-gnu.tar": tarred({LONG: JSONL}, tarfile.GNU_FORMAT),
    "long-ustar.tar": tarred({"folder/" * 18 + "events.json": JSONL}, tarfile.USTAR_FORMAT),
    "events.tar.gz": gzip.compress(tarred({"a.json": JSONL})),
    "events.tar.xz": lzma.compress(tarred({"a.json": JSONL})),
    "zips-in.tar": tarred({"a.zip": zipped({"a.json": JSONL}), "LICENSE": b"MIT", "meta.yaml": b"a: b"}),
    "tars-in.zip": zipped({"a.tar.gz": gzip.compress(tarred({"a.json": JSONL})), "README.md": b"# Read"}),
    "finder.zip": zipped({"a.json": JSONL, "__MACOSX/._a.json": b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"}),
}
