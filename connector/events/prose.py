"""Prose as events: text out of HTML, a report cut into sentences, and a sentence as the event that a model reads.

A sentence goes through normalise, canonical form and render like any other event, in training and in serving.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Final

from connector.types import Document

MOST_CHARACTERS: Final = 1_000
"""Of one sentence; a longer one is cut at white space. The text member reads about half as much."""

LEAST_LETTERS: Final = 12
"""A heading's number, a rule or an address alone says no behaviour."""

_HIDDEN: Final = ("script", "style", "head", "title", "template", "noscript", "svg")
_CLOSING: Final = {
    "!--": re.compile("-->"),
    **{name: re.compile(rf"</{name}\b[^<>]{{0,64}}>|(?=<body\b)", re.IGNORECASE) for name in _HIDDEN},
}
_TAG = re.compile(r"<(!--|[!?]|/?[a-zA-Z][a-zA-Z0-9:-]{0,30})")
_BRACKET = re.compile(">")
_WEB = re.compile(r"\bhref\s{0,9}=\s{0,9}[\"']?\s{0,9}(https?:[^\s\"'<>]{1,500})", re.IGNORECASE)
_REACH_OF_TAG: Final = 2_000
_HUGE = re.compile(r"&#[xX]?[0-9a-fA-F]{8,}")
"""No character has such a number, and reading it takes time beyond measure."""

_BLOCKS: Final = frozenset(
    {"p", "div", "br", "li", "tr", "td", "th", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "section"}
    | {"article", "blockquote", "pre", "hr", "dt", "dd"}
)
_PARAGRAPH = re.compile(r"\n[ \t]*\n|\n[ \t]*(?=[-*•‣·][ \t]|#|\d{1,3}[.)][ \t])|\x0b")
_BULLET = re.compile(r"\A(?:[-*•‣·#>]{1,6}|\d{1,3}[.)])[ \t]+")
_END = re.compile(r"[.!?][\"'”’)\]]{0,3}[ \t\n]+(?=[\"'“‘(\[]{0,3}[A-Z0-9])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|al|fig|no|nos|inc|ltd|corp|co|dr|mr|mrs|ms|st|ver|approx|dept|jan|feb|mar|apr|jun|jul"
    r"|aug|sep|sept|oct|nov|dec)|\b[A-Za-z])\.\Z",
    re.IGNORECASE,
)
_REACH: Final = 8
"""Characters before a full stop that can make it an abbreviation's."""


def plain(html: str) -> tuple[str, str]:
    """The text of an HTML page, block by block, and the first link to the web in it.

    Scripts, styles and comments are left out; broken markup is text. One pass: every look ahead moves on or ends it.
    """
    pieces: list[str] = []
    link, at = "", 0
    while (start := html.find("<", at)) >= 0:
        pieces.append(html[at:start])
        tag = _TAG.match(html, start)
        if tag is None:
            pieces.append("<")
            at = start + 1
            continue
        name = tag[1].lower()
        closing = _CLOSING.get(name)
        end = closing.search(html, tag.end()) if closing else _BRACKET.search(html, tag.end())
        if end is None:
            at = len(html)
            break
        if (
            name == "a"
            and not link
            and (web := _WEB.search(html, tag.end(), min(end.end(), tag.end() + _REACH_OF_TAG)))
        ):
            link = unescape(_HUGE.sub("", web[1]))
        pieces.append("\n\n" if name.lstrip("/") in _BLOCKS else "")
        at = end.end()
    pieces.append(html[at:])
    return unescape(_HUGE.sub("", "".join(pieces))), link


def sentences(text: str) -> Iterator[str]:
    """The sentences of a report in order, white space folded; what holds hardly a letter is left out."""
    for paragraph in _PARAGRAPH.split(text.replace("\r\n", "\n")):
        rest = _BULLET.sub("", paragraph.strip())
        start = 0
        for end in _END.finditer(rest):
            if _ABBREVIATION.search(rest, max(start, end.start() + 1 - _REACH), end.start() + 1):
                continue
            yield from _pieces(rest[start : end.end()])
            start = end.end()
        yield from _pieces(rest[start:])


def _pieces(sentence: str) -> Iterator[str]:
    words = " ".join(sentence.split())
    while words:
        cut = len(words) if len(words) <= MOST_CHARACTERS else words.rfind(" ", 0, MOST_CHARACTERS)
        cut = cut if cut > 0 else MOST_CHARACTERS
        piece, words = words[:cut].strip(), words[cut:].strip()
        if sum(map(str.isalpha, piece)) >= LEAST_LETTERS:
            yield piece


def sentence_event(sentence: str) -> Document:
    """A sentence of a report as an event document, of kind ``generic``: the one form for training and for serving."""
    return {"message": sentence}
