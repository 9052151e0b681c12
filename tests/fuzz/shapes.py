"""Values made of bytes, so that a fuzzer that changes bytes changes structure: every input is a valid recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from tests.fuzz import vocabulary

T = TypeVar("T")

_NUMBERS = (
    0,
    1,
    -1,
    4,
    1 << 31,
    1 << 53,
    1 << 63,
    -(1 << 63) - 1,
    1 << 64,
    10**400,
    1.5,
    -0.0,
    1e308,
    4624,
    1700000000000,
)
_CONSTANTS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": ""}, [{}], "x" * 20_000, [0] * 300)
_MOST_EDITS = 6
_DEEPEST = 4


class Draw:
    """Choices read from bytes. Where the bytes are used up, every choice is the first one."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def below(self, count: int) -> int:
        """A number from 0 to ``count`` - 1."""
        width = 1 if count <= 256 else 2
        part = self._data[self._at : self._at + width]
        self._at += width
        return int.from_bytes(part, "little") % count if part else 0

    def one(self, of: Sequence[T]) -> T:
        """One of these."""
        return of[self.below(len(of))]

    def rest(self) -> bytes:
        """All bytes that are left."""
        part, self._at = self._data[self._at :], len(self._data)
        return part

    def some(self) -> bytes:
        """A few bytes as they are."""
        count = self.below(24)
        part = self._data[self._at : self._at + count]
        self._at += count
        return part


def text(draw: Draw) -> str:
    """Pieces that break things, words that readers know, and bytes as they come."""
    pieces = []
    for _ in range(draw.below(6) + 1):
        which = draw.below(4)
        if which == 0:
            pieces.append(draw.one(vocabulary.words()))
        elif which == 1:
            pieces.append(draw.one(vocabulary.PIECES))
        elif which == 2:
            pieces.append(draw.some().decode("latin-1"))
        else:
            break
    return "".join(pieces)


def value(draw: Draw, depth: int = 0) -> Any:
    """Any JSON value."""
    which = draw.below(12 if depth < _DEEPEST else 8)
    if which < 4:
        return text(draw)
    if which < 6:
        return draw.one(_NUMBERS)
    if which == 6:
        return _copy(draw.one(_CONSTANTS))
    if which == 7:
        return draw.one(vocabulary.words())
    if which < 10:
        return [value(draw, depth + 1) for _ in range(draw.below(4))]
    return {key(draw): value(draw, depth + 1) for _ in range(draw.below(5))}


def key(draw: Draw) -> str:
    """A name, mostly one that some reader knows."""
    return text(draw) if draw.below(8) == 7 else draw.one(vocabulary.words())


def record(draw: Draw) -> dict[str, Any]:
    """A golden record with a few edits, or an object made of known names."""
    goldens = [raw for raw in vocabulary.golden("raw").values() if isinstance(raw, dict)]
    which = draw.below(len(goldens) + 20)
    if which >= len(goldens):
        return {key(draw): value(draw) for _ in range(draw.below(12))}
    return edited(draw, goldens[which])


def document(draw: Draw) -> dict[str, Any]:
    """A golden ECS document with a few edits at the paths that canonical forms read."""
    found = edited(draw, draw.one(list(vocabulary.golden("ecs").values())))
    for _ in range(draw.below(_MOST_EDITS)):
        path = draw.one(vocabulary.paths())
        if draw.below(4) == 0:
            found[path] = value(draw)
            continue
        *folders, leaf = (
            path.split(".") if not path.startswith("winlog.event_data.") else ("winlog", "event_data", path[18:])
        )
        node = found
        for folder in folders:
            if not isinstance(node.get(folder), dict):
                node[folder] = {}
            node = node[folder]
        node[leaf] = value(draw)
    return found


def line(draw: Draw) -> str:
    """A golden line of text with a few edits, or a text of pieces."""
    lines = [raw for raw in vocabulary.golden("raw").values() if isinstance(raw, str)]
    which = draw.below(len(lines) + 4)
    if which >= len(lines):
        return " ".join(text(draw) for _ in range(draw.below(8)))
    found = lines[which]
    for _ in range(draw.below(_MOST_EDITS)):
        at = draw.below(len(found) + 1)
        found = found[:at] + text(draw) + found[at + draw.below(16) :]
    return found


def edited(draw: Draw, source: dict[str, Any]) -> dict[str, Any]:
    """A copy with up to six edits at places of the draw's choice."""
    found: dict[str, Any] = _copy(source)
    for _ in range(draw.below(_MOST_EDITS + 1)):
        _edit(draw, found)
    return found


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _copy(inner) for name, inner in node.items()}
    return [_copy(inner) for inner in node] if isinstance(node, list) else node


def _edit(draw: Draw, node: Any) -> None:
    """Goes down some levels and changes one child there."""
    while True:
        names: Any = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not names:
            break
        name = draw.one(names)
        inner = node[name]
        if not isinstance(inner, dict | list) or draw.below(4) == 3:
            return _change(draw, node, name)
        node = inner
    if isinstance(node, dict):
        node[key(draw)] = value(draw)
    else:
        node.append(value(draw))
    return None


def _change(draw: Draw, node: Any, name: Any) -> None:
    which = draw.below(8)
    if which == 0:
        del node[name]
    elif which == 1:
        node[name] = [node[name]]
    elif which == 2:
        node[name] = [node[name], value(draw)]
    elif which == 3 and isinstance(node, dict):
        node[key(draw)] = node[name]
    elif which == 4 and isinstance(node[name], str):
        at = draw.below(len(node[name]) + 1)
        node[name] = node[name][:at] + text(draw) + node[name][at + draw.below(4) :]
    elif which == 5 and isinstance(node, dict):
        node[key(draw)] = value(draw)
    else:
        node[name] = value(draw)
