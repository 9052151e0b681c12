"""The text of a search: macros expanded, split into commands at ``|``, and each command into its tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.splunkd.wire import RefusedError

INTERNAL = "\x00"
"""Begins the name of a command that only a macro's expansion may hold."""

_MOST_NESTED = 20
_MACRO = re.compile(r"`([^`]+)`")
_CALL = re.compile(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", re.DOTALL)


class SearchError(RefusedError):
    """The search cannot be understood: the job is refused with a FATAL message."""

    def __init__(self, text: str) -> None:
        super().__init__(400, text, kind="FATAL")


class RunError(SearchError):
    """The search was understood, and fails as it runs: a table that is missing, a command that broke down."""


class Token(NamedTuple):
    """A piece of a command: ``word``, ``quoted`` (its escapes resolved), ``field`` (in single quotes) or ``sign``."""

    kind: str
    text: str

    def is_sign(self, *signs: str) -> bool:
        """Whether it is one of these signs."""
        return self.kind == "sign" and self.text in signs

    def is_word(self, *words: str) -> bool:
        """Whether it is one of these words, which are written in upper case here."""
        return self.kind == "word" and self.text.upper() in words


class Macro(NamedTuple):
    """A macro: its definition with ``$name$`` for each argument."""

    definition: str
    arguments: tuple[str, ...] = ()


def expand(search: str, macros: Mapping[str, Macro]) -> str:
    """The search with each macro in backticks replaced by its definition. Raises :class:`SearchError`."""
    if INTERNAL in search:
        raise SearchError("A search holds no NUL.")
    for _ in range(_MOST_NESTED):
        parts = list(_outside_quotes(search))
        if not any(_MACRO.search(text) for text, quoted in parts if not quoted):
            return search
        search = "".join(
            text if quoted else _MACRO.sub(lambda m: _definition(m[1], macros), text) for text, quoted in parts
        )
    raise SearchError("Macros are nested too deeply.")


def _definition(call: str, macros: Mapping[str, Macro]) -> str:
    match = _CALL.fullmatch(call)
    name = match[1] if match else call
    values = _arguments(match[2]) if match and match[2] is not None else []
    macro = macros.get(f"{name}({len(values)})" if values else name)
    if macro is None:
        raise SearchError(
            f"Error in 'SearchParser': The search specifies a macro '{name}' that cannot be found. Reasons include: the macro "
            'name is misspelled, you do not have "read" permission for the macro, or the macro has not been shared.'
        )
    text = macro.definition
    for argument, value in zip(macro.arguments, values, strict=True):
        text = text.replace(f"${argument}$", value)
    return text


def _arguments(text: str) -> list[str]:
    parts, current = [], ""
    for piece, quoted in _outside_quotes(text):
        if quoted:
            current += piece
            continue
        first, *rest = piece.split(",")
        current += first
        for after in rest:
            parts.append(current)
            current = after
    stripped = [part.strip() for part in [*parts, current]]
    return [part[1:-1] if len(part) > 1 and part[0] == part[-1] == '"' else part for part in stripped]


def _outside_quotes(text: str) -> Iterator[tuple[str, bool]]:
    at = begin = 0
    while at < len(text):
        if text[at] == '"':
            end = _closing(text, at)
            yield text[begin:at], False
            yield text[at : end + 1], True
            at = begin = end + 1
        else:
            at += 2 if text[at] == "\\" else 1
    yield text[begin:], False


def _closing(text: str, at: int) -> int:
    quote, at = text[at], at + 1
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] == quote:
            return at
        else:
            at += 1
    raise SearchError("Unbalanced quotes.")


class Command(NamedTuple):
    """One command of a pipeline: its name in lower case, and the text after it."""

    name: str
    text: str


def commands(search: str) -> list[Command]:
    """The commands of a search; one that does not begin with ``|`` begins with ``search``. Raises :class:`SearchError`."""
    parts = [""]
    for piece, quoted in _outside_quotes(search):
        if not quoted and ("[" in piece or "]" in piece):
            raise SearchError("Subsearches are not known to this stand-in.")
        first, *rest = [piece] if quoted else piece.split("|")
        parts[-1] += first
        parts += rest
    if parts[0].strip():
        parts[0] = parts[0] if _NAME.match(parts[0])[1].lower() == "search" else f"search {parts[0]}"
    else:
        parts.pop(0)
    found = [_NAME.match(part) for part in parts]
    if not found or any(not match[1] for match in found):
        raise SearchError("Search processor: a command is missing between two pipes, or the search is empty.")
    return [Command(match[1].lower(), match[2]) for match in found]


_NAME = re.compile(r"\s*(\x00?\w*)(.*)", re.DOTALL)
_SIGNS = ("!=", "<=", ">=", "==", "||", "&&")
_SINGLE = "(),=<>!"
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"[^\W\d]\w*")


def tokenise(text: str) -> Iterator[Token]:
    """The tokens of a search expression or of options; a word ends at a space, a quote or a sign. Raises :class:`SearchError`."""
    for kind, piece in _scan(text):
        if kind is not None:
            yield Token(kind, piece)
            continue
        at = 0
        while at < len(piece):
            begin = at
            while at < len(piece) and not piece[at].isspace() and piece[at] not in _SINGLE:
                at += 2 if piece[at] == "\\" else 1
            if at > begin:
                yield Token("word", piece[begin:at])
            sign = next((two for two in _SIGNS if piece.startswith(two, at)), piece[at : at + 1])
            if sign.strip():
                yield Token("sign", sign)
            at += len(sign) or 1


def tokenise_eval(text: str) -> Iterator[Token]:
    """The tokens of an eval expression: ``number`` too, and ``a.b`` is three of them. Raises :class:`SearchError`."""
    for kind, piece in _scan(text):
        if kind is not None:
            yield Token(kind, piece)
            continue
        at = 0
        while at < len(piece):
            if piece[at].isspace():
                at += 1
                continue
            if match := _NUMBER.match(piece, at):
                token = Token("number", match[0])
            elif match := _WORD.match(piece, at):
                token = Token("word", match[0])
            else:
                token = Token("sign", next((two for two in _SIGNS if piece.startswith(two, at)), piece[at]))
            yield token
            at += len(token.text)


def _scan(text: str) -> Iterator[tuple[str | None, str]]:
    at = begin = 0
    while at < len(text):
        if text[at] in "\"'":
            if at > begin:
                yield None, text[begin:at]
            end = _closing(text, at)
            inner = text[at + 1 : end]
            yield ("quoted", re.sub(r'\\(["\\])', r"\1", inner)) if text[at] == '"' else ("field", inner)
            at = begin = end + 1
        else:
            at += 2 if text[at] == "\\" else 1
    if begin < len(text):
        yield None, text[begin:]
