"""Ordinary texts that clients send, from corpora about something else: web addresses taken apart, and sentences of prose.

HttpParamsDataset's ordinary values are words, names and numbers, most shorter than its attacks. These are longer, and hold
the signs that attacks hold: slashes, quotes, brackets, percent signs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
import yaml

from connector.learn.corpora import scripts, texts, tldr
from connector.learn.corpora.source import Corpora

LEARNT: Final = (tldr.NAME,)
"""What training reads; the other sources measure false alarms."""

LEFT_OUT: Final = (scripts.CHOCOLATEY, scripts.RUNNER_IMAGES, "panther", texts.TRAM)

_SUFFIXES: Final = (".md", ".ps1", ".psm1", ".sh", ".yml", ".yaml", ".json")
_ADDRESS: Final = re.compile(r"https?://[^\s\"'<>()`,;{}$\\]{4,512}")
_PROSE: Final = re.compile(r"^(?:> |- |#+ )(.{12,300})$", re.MULTILINE)
_PLACE: Final = re.compile(r"[?&/]")


class Ordinary(msgspec.Struct, frozen=True):
    """``text`` is a web address where ``form`` is ``target``, else a value. ``group`` is the file that it stood in."""

    text: str
    form: str
    source: str
    group: str


def ordinary(corpora: Corpora, source: str) -> Iterator[Ordinary]:
    """The distinct addresses and sentences of one source, in the order of its files."""
    seen: set[str] = set()
    for path, content in corpora.files(source, *_SUFFIXES):
        for form, text in _found(source, path, content.decode("utf-8", "replace")):
            if text not in seen:
                seen.add(text)
                yield Ordinary(text, form, source, path)


def _found(source: str, path: str, content: str) -> Iterator[tuple[str, str]]:
    if source == texts.TRAM:
        if path.endswith(".json"):
            yield from (("value", sentence) for sentence in _sentences(content))
        return
    for address in _ADDRESS.findall(content):
        if _PLACE.search(address, 9):
            yield "target", address.rstrip(".")
    if source == tldr.NAME:
        yield from (("value", line) for line in _PROSE.findall(content))
    if source == "panther" and path.endswith((".yml", ".yaml")):
        yield from (("target", target) for target in _requests(content))


def _sentences(content: str) -> Iterator[str]:
    try:
        rows = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return
    for row in rows if isinstance(rows, list) else ():
        text = row.get("sentence", row.get("text")) if isinstance(row, dict) else None
        if isinstance(text, str) and len(text) < 1024:
            yield text


def _requests(content: str) -> Iterator[str]:
    """Request targets in a rule's own test events that the rule does not match."""
    try:
        rule = yaml.load(content, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        return
    tests = rule.get("Tests") if isinstance(rule, dict) else None
    for test in tests if isinstance(tests, list) else ():
        if isinstance(test, dict) and test.get("ExpectedResult") is False:
            yield from _paths(test.get("Log"))


def _paths(log: object) -> Iterator[str]:
    """Texts of an event that look like a request's target."""
    waiting, left = [log], 2000
    while waiting and left:
        node, left = waiting.pop(), left - 1
        if isinstance(node, dict | list):
            waiting.extend(node.values() if isinstance(node, dict) else node)
        elif isinstance(node, str) and len(node) < 1024 and re.match(r"/[\w./%\-]*(?:\?\S+)?\Z", node):
            yield node
