"""OTRF's packet captures as payloads: what each side of a connection sent, labelled by the capture's metadata.

A capture's techniques are told of the whole recording, so they are a weak label of each payload in it. What recurs under
several techniques is the traffic that any session has, whatever it shows. A tool's channel to its server over HTTP is in nearly
every capture, and the metadata does not speak of it: it is left out.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
import yaml

from connector.attack import catalogue
from connector.learn.corpora import otrf
from connector.learn.corpora.captures import packets
from connector.learn.corpora.connections import Connection, Side, connections
from connector.learn.corpora.packed import zipped
from connector.learn.corpora.source import Corpora

NAME: Final = "otrf_network"
RECURS: Final = 3
"""Under so many techniques a payload is ordinary."""

_SUFFIXES: Final = (".zip", ".cap", ".pcap", ".pcapng")
_CAPTURES: Final = (".cap", ".pcap", ".pcapng")
_LEFT_OUT: Final = frozenset({53, 80, 137, 138, 443, 5353, 5355, 8080, 8443})
"""Names are resolved in every session; the others are where the tools' own channels and HTTPS are."""

_SHORTEST, _LONGEST = 24, 384
_NO_LETTERS: Final = re.compile(rb"[^a-z]+")
_MOST: Final = 60
"""Payloads of one connection."""


class Sent(msgspec.Struct, frozen=True):
    """A packet's payload. ``techniques`` and ``tool`` are its capture's; ``ordinary`` where it recurs under many techniques."""

    data: bytes
    capture: str
    techniques: tuple[str, ...]
    tool: str
    ordinary: bool


def sent(corpora: Corpora) -> list[Sent]:
    """The payloads that differ by more than digits and ids, of captures whose metadata names a technique."""
    techniques = labels(corpora)
    found: dict[str, dict[bytes, bytes]] = {}
    for name, capture in _files(corpora):
        if name in techniques:
            kept = found.setdefault(name, {})
            for data in _payloads(connections(packets(capture))):
                kept.setdefault(shape(data), data)
    places: dict[bytes, set[tuple[str, ...]]] = defaultdict(set)
    for name, kept in found.items():
        for each in kept:
            places[each].add(techniques[name])
    return [
        Sent(data, name, techniques[name], name.partition("_")[0], len(places[each]) >= RECURS)
        for name, kept in found.items()
        for each, data in kept.items()
    ]


def labels(corpora: Corpora) -> Mapping[str, tuple[str, ...]]:
    """The techniques of each capture by its archive's name, without suffix, as the host recordings' metadata has them."""
    known = catalogue()
    found: dict[str, tuple[str, ...]] = {}
    for _, content in corpora.files(otrf.NAME, ".yaml"):
        document = yaml.load(content, Loader=yaml.CSafeLoader)
        shown = tuple(
            sorted(
                technique
                for mapping in document.get("attack_mappings") or ()
                if (technique := _technique(mapping)) in known.techniques
            )
        )
        for file in document.get("files") or ():
            link = str(file.get("link", ""))
            if "/network/" in link and shown:
                found[link.rsplit("/", 1)[-1].partition(".")[0]] = shown
    return found


def _technique(mapping: Mapping[str, object]) -> str:
    below = mapping.get("sub-technique")
    return f"{mapping.get('technique')}.{below}" if below else str(mapping.get("technique"))


def _files(corpora: Corpora) -> Iterator[tuple[str, bytes]]:
    """(name of the archive without suffix, capture) of each."""
    for path, content in corpora.files(NAME, *_SUFFIXES):
        if "/network/" not in path:
            continue
        name = path.rsplit("/", 1)[-1].partition(".")[0]
        captures = zipped(path, content, *_CAPTURES) if path.endswith(".zip") else (content,)
        yield from ((name, capture) for capture in captures)


def _payloads(found: list[Connection]) -> Iterator[bytes]:
    """The first bytes of what both sides sent, packet by packet as a sensor logs it."""
    for connection in found:
        if connection.transport == "icmp" or connection.responder.port in _LEFT_OUT:
            continue
        for side in (connection.originator, connection.responder):
            yield from _of_side(side)


def _of_side(side: Side) -> Iterator[bytes]:
    for _, data in sorted(side.segments.items())[:_MOST]:
        if len(data) >= _SHORTEST:
            yield data[:_LONGEST]


def shape(data: bytes) -> bytes:
    """A payload by its letters alone, the rest in one sign: equal but for lengths, ids, keys and times."""
    return _NO_LETTERS.sub(b"\0", data[:_LONGEST].lower())[:96]
