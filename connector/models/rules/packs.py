"""A pack: rule files, their licence and their authors in one JSON file, the same bytes for the same rules.

The Detection Rule License 1.1 asks that the authors be named wherever rules are passed on: a pack lists them, and every
match names its rule's author. It is JSON because a bundle loads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError

SUFFIXES: Final = frozenset({".yml", ".yaml"})

_LICENCES: Final = ("LICENSE", "LICENSE.md", "LICENSE.txt", "LICENCE", "COPYING")

Files = list[tuple[str, bytes]]


class Pack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a pack's file holds; ``rules`` are rule files by their paths."""

    licence: str
    authors: Sequence[str]
    rules: Mapping[str, str]


def files_of(place: Path) -> Files:
    """The rule files of a folder (with its folders) or of a pack, by their paths in it, sorted. Raises ``ConfigError``."""
    try:
        if place.is_dir():
            paths = sorted(path for path in place.rglob("*") if path.suffix in SUFFIXES and path.is_file())
            return [(path.relative_to(place).as_posix(), path.read_bytes()) for path in paths]
        if place.is_file():
            pack = msgspec.json.decode(place.read_bytes(), type=Pack)
            return [(path, body.encode()) for path, body in sorted(pack.rules.items())]
    except (OSError, UnicodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"the rules in {place} cannot be read: {error}") from error
    raise ConfigError(f"there is no folder of rules, and no pack, at {place}")


def licence_of(folder: Path) -> str:
    """The licence that lies in a folder or above it. Raises ``ConfigError`` where there is none: a pack is passed on."""
    for place in (folder, *folder.absolute().parents):
        for name in _LICENCES:
            if (place / name).is_file():
                return (place / name).read_text(encoding="utf-8", errors="replace")
    raise ConfigError(f"no {_LICENCES[0]} lies in {folder} or above it: a pack must say on what terms it is passed on")


def packed(rules: Files, licence: str, authors: Sequence[str]) -> bytes:
    """A pack's bytes. What is no text in UTF-8 is no rule: its bad bytes are replaced."""
    texts = {path: body.decode("utf-8", "replace") for path, body in sorted(rules)}
    return msgspec.json.encode(Pack(licence=licence, authors=sorted(set(authors)), rules=texts), order="sorted") + b"\n"
