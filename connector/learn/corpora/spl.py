"""A Splunk search's pattern: the field values that its first stage asks for, one way through its conditions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

import msgspec

from connector.learn.corpora.sigma_pattern import Piece

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(rf"{_QUOTED}|`[^`]*`|!=|<=|>=|[=<>()]|[^\s()=<>!\"`]+|!")
_STAGE = re.compile(rf"(?:{_QUOTED}|[^|\"])*")
_WHERE = re.compile(r"(?is)\bwhere\b(.*?)(?:\bby\b|$)")
_MODEL = re.compile(r"(?i)datamodel\s*=\s*\"?([\w.]+)")
_PROGRAM = re.compile(r"`process_(\w+)`")
_OPERATORS = frozenset({"=", "!=", "<", ">", "<=", ">="})
_PROGRAM_FIELD = "process_name"


class Pattern(msgspec.Struct, frozen=True):
    """Where a search reads (macros, or the data model's node) and the pieces that it wants, by field."""

    reads: str
    wanted: dict[str, list[Piece]]


def pattern(search: str, draw: Random) -> Pattern | None:
    """One way through the first stage of a search; None where it asks for no value."""
    text = " ".join(search.split())
    stage = next(found for found in _STAGE.findall(text.removeprefix("|").strip()) if found)
    model = _MODEL.search(stage)
    if model is not None:
        where = _WHERE.search(stage)
        stage, reads = (where[1] if where else ""), model[1]
    else:
        reads = " ".join(re.findall(r"`(\w+)`", stage))
    chosen = _Reader(_TOKEN.findall(stage), draw).every()
    wanted: dict[str, list[Piece]] = {}
    for field, value in chosen:
        wanted.setdefault(field.rpartition(".")[2] if model else field, []).append(piece(value))
    return Pattern(reads, wanted) if wanted else None


def piece(value: str) -> Piece:
    """A value with its place: wildcards at its ends say that more may stand there."""
    text = value.replace("\\\\", "\\")
    before, after = text.startswith("*"), text.endswith("*")
    place = "contains" if before and after else "endswith" if before else "startswith" if after else "whole"
    return Piece(text.strip("*"), place)


class _Reader:
    """Recursive descent in the precedence of ``search``: NOT, then OR, then AND, which may be left out."""

    def __init__(self, tokens: Sequence[str], draw: Random) -> None:
        self.tokens, self.draw = list(tokens), draw

    def _next(self) -> str:
        return self.tokens.pop(0) if self.tokens else ""

    def _peek(self) -> str:
        return self.tokens[0] if self.tokens else ""

    def every(self) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while self.tokens and self._peek() != ")":
            if self._peek().upper() == "AND":
                self._next()
                continue
            found += self._any()
        return found

    def _any(self) -> list[tuple[str, str]]:
        sides = [self._one()]
        while self._peek().upper() == "OR":
            self._next()
            sides.append(self._one())
        return self.draw.choice([side for side in sides if side] or [[]])

    def _one(self) -> list[tuple[str, str]]:
        word = self._next()
        if word.upper() == "NOT":
            self._one()
            return []
        if word == "(":
            found = self.every()
            self._next()
            return found
        if macro := _PROGRAM.fullmatch(word):
            return [(_PROGRAM_FIELD, f"{macro[1]}.exe")]
        if self._peek() in _OPERATORS:
            operator, value = self._next(), self._next()
            return [(_bare(word), _bare(value))] if operator == "=" and _says(value) else []
        if self._peek().upper() == "IN":
            self._next()
            return self._listed(_bare(word))
        return []

    def _listed(self, field: str) -> list[tuple[str, str]]:
        self._next()
        values: list[str] = []
        while self.tokens and self._peek() != ")":
            word = self._next()
            values += [word] if word.startswith('"') else [part for part in word.split(",") if part]
        self._next()
        values = [_bare(value) for value in values if _says(value)]
        return [(field, self.draw.choice(values))] if values else []


def _bare(word: str) -> str:
    return word[1:-1].replace('\\"', '"') if word.startswith('"') else word


def _says(value: str) -> bool:
    return bool(_bare(value).strip("*, "))
