"""The framing of syslog lines: priority, time, host, program, structured data; what is left is the message.

Sources: RFC 3164, RFC 5424, and the lines of ``/var/log`` (RFC 3164 without a priority, or with an ISO 8601 time).
Lines are scanned from left to right once; no regular expression reads them.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_MONTHS: Final = frozenset({"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"})
_NIL: Final = "-"
_MAX_PROGRAM: Final = 96


class Frame(NamedTuple):
    """A line's parts; ``priority`` is -1 where the line names none, texts are empty where it says nothing."""

    priority: int
    version: str
    time: str
    host: str
    program: str
    pid: str
    message_id: str
    data: str
    message: str


def frame(line: str) -> Frame | None:
    """The parts of a syslog line; None where the text is none."""
    priority, rest = _priority(line)
    if priority >= 0 and rest[:2] == "1 ":
        return _rfc5424(priority, rest[2:])
    time, rest = _time(rest)
    if not time:
        return None
    host, _, rest = rest.partition(" ")
    program, pid, message = _tag(rest)
    if not program and host.endswith(":"):
        program, pid, message = _tag(f"{host} {rest}")
        host = ""
    if not host.strip() and not program:
        return None
    if not program and priority < 0:
        return None
    return Frame(priority, "", time, host, program, pid, "", "", message if program else rest)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _priority(line: str) -> tuple[int, str]:
    if line[:1] != "<":
        return -1, line
    number, closed, rest = line[1:5].partition(">")
    if not closed or not _digits(number) or int(number) > 191:
        return -1, line
    return int(number), rest + line[5:]


def _rfc5424(priority: int, text: str) -> Frame | None:
    parts = text.split(" ", 5)
    if len(parts) < 6:
        return None
    time, host, program, pid, message_id, rest = ("" if part == _NIL else part for part in parts)
    data, message = _structured(rest)
    message = message.removeprefix("\ufeff")
    return Frame(priority, "1", time, host, program, pid, message_id, data, message)


def _structured(text: str) -> tuple[str, str]:
    """The structured data elements, as one text, and the message after them. A ``]`` counts outside quotes only."""
    if not text.startswith("["):
        return "", text.removeprefix(_NIL).removeprefix(" ")
    at, quoted = 1, False
    while at < len(text):
        char = text[at]
        if char == "\\" and quoted:
            at += 1
        elif char == '"':
            quoted = not quoted
        elif char == "]" and not quoted and text[at + 1 : at + 2] != "[":
            return text[: at + 1], text[at + 2 :]
        at += 1
    return "", text


def _time(text: str) -> tuple[str, str]:
    """``Mmm dd hh:mm:ss`` (a year may stand after the day) or an ISO 8601 time, and what follows it."""
    if text[:3] in _MONTHS and text[3:4] == " ":
        clock = text[7:15] if text[4:6].strip() else ""
        if _digits(text[4:6].strip()) and clock[2:3] == ":" and clock[5:6] == ":" and text[15:16] == " ":
            return text[:15], text[16:]
        return "", text
    stamp, _, rest = text[:40].partition(" ")
    if len(stamp) >= 19 and _digits(stamp[:4]) and stamp[4] == "-" and stamp[10] == "T" and stamp[13] == ":":
        return stamp, rest + text[40:]
    return "", text


def _tag(text: str) -> tuple[str, str, str]:
    """``program[pid]: message``; an empty program where the text has no such tag."""
    head, colon, message = text[:_MAX_PROGRAM].partition(":")
    if not colon or " " in head.rstrip() or not head:
        return "", "", text
    program, bracket, pid = head.rstrip().partition("[")
    if bracket and not pid.endswith("]"):
        return "", "", text
    return program, pid.removesuffix("]"), (message + text[_MAX_PROGRAM:]).removeprefix(" ")
