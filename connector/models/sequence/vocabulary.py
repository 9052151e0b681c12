"""What a token of a window may name: kinds of event, families of programs, and techniques of the text member. No identities.

A program's family is its file name where ordinary processes of several recordings bear it, else the kind of folder that it
lies in: what a user or an attacker calls a file never becomes a feature.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.types import Pairs

FILE: Final = "vocabulary.json"

NONE, OTHER = 0, 1
"""The places of what is absent, and of what is none of the known."""

IMAGE, PARENT = "process.executable", "process.parent.executable"

FOLDERS: Final = (
    ("\\windows\\system32\\", "<system32>"),
    ("\\windows\\syswow64\\", "<system32>"),
    ("\\windows\\temp\\", "<temp>"),
    ("\\appdata\\local\\temp\\", "<temp>"),
    ("\\windows\\", "<windows>"),
    ("\\program files", "<program files>"),
    ("\\programdata\\", "<program data>"),
    ("\\users\\", "<users>"),
    ("/usr/", "<usr>"),
    ("/tmp/", "<temp>"),  # noqa: S108 (a name to look for)
    ("/home/", "<users>"),
)
"""Kinds of folders, the first that a path holds counts. Source: Windows' own layout, and the Filesystem Hierarchy Standard."""

CLASSES: Final = tuple(dict.fromkeys(name for _, name in FOLDERS))


class Vocabulary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The names that have a place; the place of the first is 2, after absent and other.

    ``text`` are the columns of the text member that trained this one, ``techniques`` those among them that it reads.
    """

    kinds: tuple[str, ...]
    images: tuple[str, ...]
    text: tuple[str, ...]
    techniques: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """Four bytes that change when any place does."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()[:4]


class Places:
    """A vocabulary, looked up."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._kinds = {name: place for place, name in enumerate(vocabulary.kinds, 2)}
        self._images = {name: place for place, name in enumerate((*CLASSES, *vocabulary.images), 2)}
        self.names: Mapping[int, str] = {place: name for name, place in self._images.items()}
        self.kinds: Mapping[int, str] = {place: name for name, place in self._kinds.items()}

    def of(self, kind: str, canonical: Pairs) -> tuple[int, int, int]:
        """The places of an event's kind, of its program's family, and of its parent's."""
        image = parent = NONE
        for field, value in canonical:
            if field == IMAGE:
                image = self._family(value)
            elif field == PARENT:
                parent = self._family(value)
        return self._kinds.get(kind, OTHER), image, parent

    def _family(self, path: str) -> int:
        known = self._images.get(base(path))
        return self._images.get(folder(path), OTHER) if known is None else known


def images_of(vocabulary: Vocabulary) -> int:
    """How many places families of programs take."""
    return 2 + len(CLASSES) + len(vocabulary.images)


def base(path: str) -> str:
    """A path's file name, in lower case."""
    return path.replace("/", "\\").rpartition("\\")[2].lower()


def folder(path: str) -> str:
    """The kind of folder that a path lies in; empty where it is none of the known."""
    lowered = path.lower()
    return next((name for part, name in FOLDERS if part in lowered), "")


def read(directory: Path) -> Vocabulary:
    """The vocabulary of a member's directory. Raises ``ConfigError`` where there is none."""
    path = directory / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Vocabulary)
    except (OSError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path} is no vocabulary: {error}") from error
    if strangers := set(found.techniques) - set(found.text):
        raise ConfigError(f"{path}: techniques {', '.join(sorted(strangers))} are no columns of the text member")
    return found
