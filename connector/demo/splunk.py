"""Entries as rows of a Splunk search over ``XmlWinEventLog``, exported as JSON."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from connector.demo.logs import HEADERS, LOGS
from connector.demo.nouns import Entry

_BUCKET = "wineventlog~118~6C1B7F0E-52D4-4B0B-9C7A-3D9E1A40F2B5"
_NAMESPACE = "http://schemas.microsoft.com/win/2004/08/events/event"
_USER_DATA = "http://manifests.microsoft.com/win/2004/08/windows/eventlog"


def splunk_row(entry: Entry, computer: str, record: int, offset: int) -> dict[str, Any]:
    """One row. ``offset`` is the event's address in its bucket, ``record`` its number in its channel."""
    log = LOGS[entry.log]
    at = entry.at.timestamp()
    source = f"XmlWinEventLog:{log.channel}"
    return {
        "_bkt": _BUCKET,
        "_cd": f"118:{offset}",
        "_indextime": str(int(at) + 3),
        "_raw": xml(entry, computer, record),
        "_serial": str(record),
        "_sourcetype": "XmlWinEventLog",
        "_time": entry.at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+00:00",
        "EventCode": str(entry.code),
        "host": computer.partition(".")[0],
        "index": "wineventlog",
        "linecount": "1",
        "source": source,
        "sourcetype": "XmlWinEventLog",
        "splunk_server": "idx-01",
    }


def xml(entry: Entry, computer: str, record: int) -> str:
    """The event as Windows renders it and Splunk's forwarder sends it: one element, single quotes."""
    log, header = LOGS[entry.log], HEADERS[entry.log, entry.code]
    created = entry.at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "100Z"
    correlation = f"<Correlation ActivityID='{entry.activity}'/>" if entry.activity else "<Correlation/>"
    security = f"<Security UserID='{entry.sid}'/>" if entry.sid else "<Security/>"
    qualifiers = " Qualifiers='16384'" if entry.log == "system" else ""
    return (
        f"<Event xmlns='{_NAMESPACE}'><System>"
        f"<Provider Name='{log.provider}' Guid='{log.guid}'/>"
        f"<EventID{qualifiers}>{entry.code}</EventID><Version>{header.version}</Version><Level>{header.level}</Level>"
        f"<Task>{header.task}</Task><Opcode>{header.opcode}</Opcode><Keywords>{header.keywords}</Keywords>"
        f"<TimeCreated SystemTime='{created}'/><EventRecordID>{record}</EventRecordID>{correlation}"
        f"<Execution ProcessID='{entry.pid}' ThreadID='{entry.thread}'/><Channel>{log.channel}</Channel>"
        f"<Computer>{computer}</Computer>{security}</System>{_body(entry)}</Event>"
    )


def _body(entry: Entry) -> str:
    if entry.section == "EventData":
        fields = "".join(f"<Data Name='{name}'>{_text(value)}</Data>" for name, value in entry.data.items())
        return f"<EventData>{fields}</EventData>"
    fields = "".join(f"<{name}>{_text(value)}</{name}>" for name, value in entry.data.items())
    return f"<UserData><{entry.section} xmlns='{_USER_DATA}'>{fields}</{entry.section}></UserData>"


def _text(value: str) -> str:
    return escape(value, {"\r": "&#13;"})
