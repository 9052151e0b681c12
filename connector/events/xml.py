"""Windows events in XML, read with bare expat: no DTD, no entities, no network.

The result has the shape that the ``evtx`` package gives the same record in JSON, so that one reader serves both.
Schema: https://learn.microsoft.com/windows/win32/wes/eventschema-schema
"""

from __future__ import annotations

from typing import Any, NoReturn
from xml.parsers import expat

from connector.errors import PermanentError
from connector.types import Document

Node = dict[str, Any]


class _Builder:
    """Collects elements into nested dicts; an element's children, attributes and text stand under its name."""

    def __init__(self, max_depth: int) -> None:
        self.root: Node = {}
        self._open: list[tuple[str, Node, list[str]]] = []
        self._max_depth = max_depth

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= self._max_depth:
            raise PermanentError(f"XML nested deeper than {self._max_depth} levels")
        node: Node = {"#attributes": attributes} if attributes else {}
        self._open.append((name.rpartition(":")[2], node, []))

    def text(self, text: str) -> None:
        self._open[-1][2].append(text)

    def end(self, _: str) -> None:
        name, node, texts = self._open.pop()
        text = "".join(texts)
        parent = self._open[-1][1] if self._open else self.root
        attributes = node.get("#attributes", {})
        if name == "Data" and "Name" in attributes and len(node) == 1:
            _add(parent, attributes["Name"], text)
        elif name == "Data" and not (node.keys() - {"#attributes"}):
            parent.setdefault("Data", {"#text": []})
            _append(parent["Data"], text)
        elif not node:
            _add(parent, name, text)
        else:
            if text.strip():
                node["#text"] = text
            _add(parent, name, node)

    @staticmethod
    def refuse(*_: object) -> NoReturn:
        raise PermanentError("XML with a document type or entities is refused")


def _append(data: Any, text: str) -> None:
    if isinstance(data, dict) and isinstance(data.get("#text"), list):
        data["#text"].append(text)


def _add(parent: Node, name: str, value: object) -> None:
    """A repeated name becomes a list."""
    if name not in parent:
        parent[name] = value
    elif isinstance(parent[name], list):
        parent[name].append(value)
    else:
        parent[name] = [parent[name], value]


def event_from_xml(text: str, max_depth: int) -> Document:
    """``{"Event": {"System": …, "EventData": …}}`` of one ``<Event>``.

    Raises:
        PermanentError: malformed XML, a DTD or entity, another root element, nesting too deep.
    """
    builder = _Builder(max_depth)
    parser = expat.ParserCreate("utf-8")  # the text is decoded already: what the record says of its encoding is past
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    parser.EntityDeclHandler = builder.refuse
    parser.ExternalEntityRefHandler = builder.refuse
    try:
        parser.Parse(text.encode("utf-8"), True)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise PermanentError(f"malformed XML: {error}") from error
    event = builder.root.get("Event")
    if not isinstance(event, dict):
        raise PermanentError(f"XML of {', '.join(builder.root)[:100] or 'nothing'} where a Windows <Event> is needed")
    return {"Event": event}
