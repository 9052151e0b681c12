"""Takes names and secrets out of an event and out of what was written about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from connector.events.masks import address
from connector.events.payload import reveal
from connector.learn.export.credentials import REMOVED, secrets_in, without_secrets
from connector.learn.export.identities import Name, is_common, kind_at, names_in, names_of
from connector.learn.export.pseudonyms import Kind
from connector.learn.export.search import Hit, Search
from connector.types import Document, Json

DEEPEST: Final = 32
"""Levels of a document; what lies deeper is left out."""

_SHORTEST: Final = 3

_RAW: Final = frozenset({("event", "original")})
"""Fields that repeat the whole event as it came; the others say the same."""


class Found:
    """The names and secrets that were met, to be taken out wherever they stand."""

    def __init__(self, names: Iterable[Name] = ()) -> None:
        self.names: dict[str, Kind] = {}
        self.secrets: set[str] = set()
        self.add(names)

    def add(self, names: Iterable[Name]) -> None:
        """Takes names in; what is too short to be told from other words stays out."""
        for kind, text in names:
            if len(text) >= _SHORTEST and not text.isdigit():
                self.names[text.lower()] = kind
                self.names.setdefault(text, kind)  # what has no one lower case is looked for as it stands

    def take(self, other: Found) -> None:
        """Takes in what another one found."""
        self.names.update(other.names)
        self.secrets |= other.secrets

    def search(self) -> Search:
        """Looks for all of it."""
        return Search({**self.names, **dict.fromkeys(self.secrets)})

    def look_at(self, text: str, names: Callable[[str], Iterator[Name]] = names_in) -> None:
        """Takes in what running text gives away."""
        self.add(names(text))
        self.secrets.update(secret.lower() for secret in secrets_in(text) if len(secret) > _SHORTEST)

    def look_into(self, value: Json, path: Sequence[str] = ()) -> None:
        """Takes in what a document's fields and texts give away, an encoded command's too."""
        if isinstance(value, Mapping):
            for key, inner in value.items() if len(path) < DEEPEST else ():
                self.look_at(key)
                self.look_into(inner, (*path, key))
        elif isinstance(value, list):
            self.look_at(" ".join(item for item in value if isinstance(item, str)))  # a command's arguments, one by one
            for inner in value:
                self.look_into(inner, path)
        elif isinstance(value, str):
            if kind := kind_at(path, value):
                self.add(names_of(kind, value))
            if not _is_version(path):
                for text in {value, reveal(value)}:
                    self.look_at(text)


def _is_version(path: Sequence[str]) -> bool:
    """Whether a field holds numbers with dots between them that are no address."""
    return bool(path) and "version" in path[-1].lower()


class Redaction:
    """Writes texts and documents anew, without what was found."""

    def __init__(self, found: Found, write: Callable[[Kind, str], str], secret: str = REMOVED) -> None:
        self._names = dict(found.names)
        self._write = write
        self._secret = secret
        self._search = found.search()

    def text(self, text: str) -> str:
        """The text with something else in place of names and secrets."""
        text = without_secrets(text)
        if self._secret != REMOVED:
            text = text.replace(REMOVED, self._secret)
        written: list[str] = []
        end = 0
        for hit in self._search.hits(text):
            written += text[end : hit.start], self._instead(hit, text[hit.start : hit.end].lower())
            end = hit.end
        return "".join((*written, text[end:]))

    def document(self, document: Document) -> dict[str, Json]:
        """The document with pseudonyms in the fields that hold names, and without names and secrets elsewhere."""
        written = self._value(document, ())
        return written if isinstance(written, dict) else {}

    def _value(self, value: Json, path: tuple[str, ...]) -> Json:
        if isinstance(value, Mapping):
            if len(path) >= DEEPEST:
                return None
            inner = {key: (*path, key) for key in value}
            return {self.text(key): self._value(value[key], at) for key, at in inner.items() if at not in _RAW}
        if isinstance(value, list):
            return [self._value(item, path) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and path and kind_at(path, str(value)) == "user":
            return self._write("user", str(value))
        if not isinstance(value, str):
            return value
        kind = kind_at(path, value) if path else None
        return self.text(reveal(value)) if kind is None else self._whole(kind, value)

    def _whole(self, kind: Kind, value: str) -> str:
        """A field that holds a name and nothing else, however short that is."""
        if is_common(value):
            return value
        names = [name.text for name in names_of(kind, value)]
        written = self.text(value) if names and all(name in self._names for name in names) else value
        left = written.lower()
        return (
            self._write(kind, value.strip().lower()) if any(n in left for n in names) or written == value else written
        )

    def _instead(self, hit: Hit, word: str) -> str:
        if hit.kind is None:
            return self._secret
        if hit.name == hit.start:
            return self._write(hit.kind, word)
        short, _, domain = word.partition(".")
        return f"{self._write('host', short)}.{self._write(self._names.get(domain, 'host'), domain)}"


def as_class(kind: Kind, name: str) -> str:
    """What the model reads in place of a name: what kind of thing it names."""
    return address(name) if kind == "ip" else "<host>" if kind == "host" else "<user>"


def as_word(kind: Kind, name: str) -> str:
    """The same in a text that is rendered already."""
    return as_class(kind, name).strip("<>")
