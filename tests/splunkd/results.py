"""Rows as the search endpoints give them: whole answers in JSON, XML or CSV, and the export's stream of lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec

from tests.splunkd.atom import clean
from tests.splunkd.faults import Cut, Faults
from tests.splunkd.spl.context import Job, Row
from tests.splunkd.wire import Answer, CutOffError, RefusedError

_LINES = 200
_encode = msgspec.json.Encoder().encode

Messages = Sequence[tuple[str, str]]


def columns(rows: Sequence[Row], job: Job) -> list[str]:
    """The names of the fields, in the order of the search where it gives one."""
    if job.columns is not None and not any("*" in name for name in job.columns):
        return job.columns
    return sorted({name for row in rows for name in row})


def whole(rows: Sequence[Row], job: Job, mode: str, *, offset: int = 0, preview: bool = False) -> Answer:
    """A page of results in one answer. Raises :class:`RefusedError` for a format that is not known."""
    named = columns(rows, job)
    told = [{"type": kind, "text": text} for kind, text in job.messages]
    head: dict[str, Any] = {"preview": preview, "init_offset": offset, "messages": told}
    kind = "application/json; charset=UTF-8"
    if mode == "json":
        body = {**head, "fields": [{"name": name} for name in named], "results": rows, "highlighted": {}}
        return Answer(_encode(body), kind=kind)
    if mode == "json_rows":
        return Answer(
            _encode({**head, "fields": named, "rows": [[row.get(name) for name in named] for row in rows]}), kind=kind
        )
    if mode == "json_cols":
        return Answer(
            _encode({**head, "fields": named, "columns": [[row.get(name) for row in rows] for name in named]}),
            kind=kind,
        )
    if mode == "csv":
        return Answer(_csv(rows, named).encode(), kind="text/csv; charset=UTF-8")
    if mode in {"", "xml"}:
        return Answer(_xml(rows, named, job.messages, preview=preview).encode())
    raise RefusedError(400, f"Invalid output_mode '{mode}'.")


def _csv(rows: Sequence[Row], named: Sequence[str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(named)
    for row in rows:
        writer.writerow(
            "\n".join(value) if isinstance(value, list) else value for value in (row.get(name, "") for name in named)
        )
    return out.getvalue()


def _xml(rows: Sequence[Row], named: Sequence[str], told: Messages, *, preview: bool) -> str:
    order = "".join(f"<field>{escape(name)}</field>" for name in named)
    messages = "".join(f'<msg type="{kind}">{clean(text)}</msg>' for kind, text in told)
    found = "".join(f"<result offset='{at}'>{_xml_row(row)}</result>" for at, row in enumerate(rows))
    return (
        f"<?xml version='1.0' encoding='UTF-8'?>\n<results preview='{int(preview)}'><meta><fieldOrder>{order}</fieldOrder></meta>"
        f"<messages>{messages}</messages>{found}</results>"
    )


def _xml_row(row: Row) -> str:
    return "".join(
        f"<field k={quoteattr(name)}>{''.join(f'<value><text>{clean(one)}</text></value>' for one in values)}</field>"
        for name, value in row.items()
        for values in [value if isinstance(value, list) else [str(value)]]
    )


def stream(rows: Sequence[Row], job: Job, faults: Faults, cut: Cut | None) -> Iterator[bytes]:
    """An export: messages in one line, previews, then every row, the last one marked; as ``cut`` has it, not to its end."""
    if job.messages:
        yield _line({"preview": False, "messages": [{"type": kind, "text": text} for kind, text in job.messages]})
    for at, row in enumerate(rows[: faults.previews]):
        yield _line(
            {"preview": True, "offset": at, "lastrow": at + 1 == min(faults.previews, len(rows)), "result": row}
        )
    last = len(rows) - 1
    lines: list[bytes] = []
    for at, row in enumerate(rows):
        line = _line({"preview": False, "offset": at} | ({"lastrow": True} if at == last else {}) | {"result": row})
        if cut is not None and at >= cut.rows:
            if cut.how in {"broken", "reset"}:
                yield b"".join([*lines, line[: len(line) // 2]])
                raise CutOffError(cut.how)
            break
        lines.append(line)
        if len(lines) == _LINES:
            yield b"".join(lines)
            lines = []
    if lines:
        yield b"".join(lines)
    if cut is not None and cut.how in {"broken", "reset"}:
        raise CutOffError(cut.how)
    if cut is not None and cut.how == "told":
        yield _line({"preview": False, "messages": [{"type": "WARN", "text": "Search results were truncated."}]})
    if not rows and cut is None:
        yield _line({"preview": False, "lastrow": True})


def _line(value: dict[str, Any]) -> bytes:
    return _encode(value) + b"\n"
