"""The Linux audit log: the records of one event stand in consecutive lines with one ``audit(time:serial)``.

They become one message, its lines as they stand. An event is whole when another serial comes, at its ``EOE`` or
``PROCTITLE`` record, or at once where its type stands alone: messages of programs and of the daemon itself (Linux,
``include/uapi/linux/audit.h``: 1100 to 1299, and 2000 on).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO, ClassVar, TypeAlias

from connector.siem.formats.lines import Encoding, lines
from connector.types import Document

Row: TypeAlias = tuple[int, int, int, Document | bytes, str | None]

_RECORD = re.compile(rb"(?:node=[^ ]{1,255} )?type=([A-Z0-9_\[\]]{1,40}) msg=(audit\([0-9.]{1,32}:[0-9]{1,20}\)):")
_UNKNOWN = re.compile(rb"UNKNOWN\[1[12][0-9][0-9]\]")
_LAST = frozenset({b"EOE", b"PROCTITLE"})
_ALONE_STARTS = (
    b"USER_",
    b"CRED_",
    b"DAEMON_",
    b"SERVICE_",
    b"CRYPTO_",
    b"ADD_",
    b"DEL_",
    b"GRP_",
    b"CHGRP_",
    b"VIRT_",
)
_ALONE = frozenset({
    b"USER", b"TRUSTED_APP", b"ROLE_ASSIGN", b"ROLE_REMOVE", b"LABEL_OVERRIDE", b"SYSTEM_BOOT",
    b"SYSTEM_SHUTDOWN", b"SYSTEM_RUNLEVEL", b"CHUSER_ID", b"ACCT_LOCK", b"ACCT_UNLOCK", b"DEV_ALLOC", b"DEV_DEALLOC",
    b"FS_RELABEL", b"MAC_CHECK", b"SOFTWARE_UPDATE", b"TEST",
})  # fmt: skip
_MOST_LINES = 1000
"""Records that one event may have; the kernel's own are a few dozen. More are another message."""


def is_record(line: bytes) -> bool:
    """Whether a file that starts with this line is such a log."""
    return _RECORD.match(line) is not None


class AuditRecords:
    """The lines of an audit log, those of an event together."""

    remembers: ClassVar[bool] = True

    def __init__(self) -> None:
        self.line = 0

    def rows(
        self,
        stream: BinaryIO,
        limit: int,
        *,
        offset: int = 0,
        number: int = 0,
        whole: bool = False,
        encoding: Encoding = "utf-8",
    ) -> Iterator[Row]:
        """Each event as a message; a line that is none of the kind is one by itself."""
        held: list[bytes] = []
        serial, size, start, behind, first, last = b"", 0, 0, 0, 0, number
        for at, end, line_number, line, error in lines(
            stream, limit, offset=offset, number=number, whole=whole, encoding=encoding
        ):
            found = _RECORD.match(line) if error is None else None
            mine = found[2] if found else b""
            if held and (mine != serial or size + len(line) > limit or len(held) == _MOST_LINES):
                self.line = last
                yield start, at, first, _joined(held), None
                held = []
            if not held:
                start, first, size, serial = at, line_number, 0, mine
            behind, last = end, line_number
            if error is not None:
                self.line = last
                yield at, end, line_number, line, error
                continue
            held.append(line)
            size += len(line)
            if found is None or _completes(found[1]):
                self.line = last
                yield start, end, first, _joined(held), None
                held = []
        if held and not whole:
            self.line = last
            yield start, behind, first, _joined(held), None


def _completes(kind: bytes) -> bool:
    alone = kind in _ALONE or kind.startswith(_ALONE_STARTS) or _UNKNOWN.fullmatch(kind)
    return kind in _LAST or bool(alone)


def _joined(held: list[bytes]) -> Document:
    return {"message": b"\n".join(held).decode("utf-8", "replace")}
