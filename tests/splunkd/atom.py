"""Answers in the two shapes that splunkd gives them: Atom feeds with typed dictionaries, and the same as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from tests.splunkd.wire import Answer, RefusedError, Request, json_answer

_NAMESPACES = (
    'xmlns="http://www.w3.org/2005/Atom" xmlns:s="http://dev.splunk.com/ns/rest" '
    'xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/"'
)
_UPDATED = "2026-01-05T12:00:00+00:00"
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Entry(NamedTuple):
    """One thing: its name, the path below the namespace, and what it holds."""

    name: str
    path: str
    content: Mapping[str, Any]
    owner: str = "nobody"
    app: str = "system"


def feed(
    request: Request, title: str, entries: Sequence[Entry], status: int = 200, *, total: int | None = None
) -> Answer:
    """Several things."""
    if request.wants_json:
        return json_answer(
            {
                "links": {},
                "origin": request.url.partition("?")[0],
                "updated": _UPDATED,
                "generator": {"build": "stand-in", "version": "stand-in"},
                "entry": [_as_json(entry) for entry in entries],
                "paging": {"total": len(entries) if total is None else total, "perPage": 30, "offset": 0},
                "messages": [],
            },
            status,
        )
    inner = "".join(_as_xml(entry) for entry in entries)
    head = (
        f"<title>{escape(title)}</title><id>{escape(request.url)}</id><updated>{_UPDATED}</updated>"
        '<generator build="stand-in" version="stand-in"/><author><name>Splunk</name></author>'
        f"<opensearch:totalResults>{len(entries) if total is None else total}</opensearch:totalResults>"
        "<opensearch:itemsPerPage>30</opensearch:itemsPerPage><opensearch:startIndex>0</opensearch:startIndex><s:messages/>"
    )
    return Answer(f"{_HEAD}<feed {_NAMESPACES}>{head}{inner}</feed>".encode(), status)


def bare(request: Request, entry: Entry, status: int = 200) -> Answer:
    """One thing without a feed around it, as a search job is given."""
    if request.wants_json:
        return feed(request, entry.name, [entry], status)
    return Answer((_HEAD + _as_xml(entry, f" {_NAMESPACES}")).encode(), status)


def _links(entry: Entry) -> dict[str, str]:
    path = f"/servicesNS/{entry.owner}/{entry.app}/{entry.path}"
    return {"alternate": path, "list": path, "edit": path, "remove": path}


def _as_json(entry: Entry) -> dict[str, Any]:
    links = _links(entry)
    return {
        "name": entry.name,
        "id": links["alternate"],
        "updated": _UPDATED,
        "links": links,
        "author": entry.owner,
        "acl": _acl(entry),
        "content": dict(entry.content),
    }


def _acl(entry: Entry) -> dict[str, Any]:
    return {
        "app": entry.app,
        "owner": entry.owner,
        "sharing": "app",
        "can_write": True,
        "modifiable": True,
        "removable": True,
        "perms": {"read": ["*"], "write": ["admin"]},
    }


def _as_xml(entry: Entry, namespaces: str = "") -> str:
    links = _links(entry)
    drawn = "".join(f'<link href={quoteattr(path)} rel="{rel}"/>' for rel, path in links.items())
    content = typed({**entry.content, "eai:acl": _acl(entry)})
    return (
        f"<entry{namespaces}><title>{escape(entry.name)}</title><id>{escape(links['alternate'])}</id><updated>{_UPDATED}</updated>"
        f'{drawn}<author><name>{escape(entry.owner)}</name></author><content type="text/xml">{content}</content></entry>'
    )


def typed(value: Any) -> str:
    """A value in splunkd's own XML: dictionaries, lists and text."""
    if isinstance(value, Mapping):
        inner = "".join(f"<s:key name={quoteattr(name)}>{typed(one)}</s:key>" for name, one in value.items())
        return f"<s:dict>{inner}</s:dict>"
    if isinstance(value, list | tuple):
        return f"<s:list>{''.join(f'<s:item>{typed(one)}</s:item>' for one in value)}</s:list>"
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else clean(str(value))


def clean(text: str) -> str:
    """Text that XML can hold: what it cannot becomes a question mark."""
    return escape(
        "".join(
            char if char in "\t\n\r" or (ord(char) >= 0x20 and not 0xD800 <= ord(char) < 0xE000) else "?"
            for char in text
        )
    )


def messages(request: Request, told: Sequence[tuple[str, str]], status: int = 200) -> Answer:
    """Nothing but messages: (type, text)."""
    if request.wants_json:
        return json_answer({"messages": [{"type": kind, "text": text} for kind, text in told]}, status)
    inner = "".join(f'<msg type="{kind}">{clean(text)}</msg>' for kind, text in told)
    return Answer(f"{_HEAD}<response><messages>{inner}</messages></response>".encode(), status)


def refusal(request: Request, refused: RefusedError) -> Answer:
    """What a client sees of an error."""
    answer = messages(request, [(refused.kind, refused.text)], refused.status)
    answer.headers |= refused.headers
    return answer
