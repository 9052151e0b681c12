"""The catalogue: every live technique and tactic of one ATT&CK version, looked up by id or name.

It is the packaged one, or the one in the folder that the environment variable :data:`FOLDER` names.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

import msgspec

from connector.errors import ConfigError, PermanentError

FACTS = Path(__file__).with_name("catalogue.json")
FOLDER = "TRIAGED_ATTACK"
"""The variable. What learns, serves and is asked must read the same catalogue: a bundle of another one is refused."""

SITE = "https://attack.mitre.org"
SPLIT_TACTICS = {"stealth": "defense-evasion", "defense-impairment": "defense-evasion"}
"""v19 split one tactic in two; both read as the one that v18.1 has, where the catalogue has that one."""


class Tactic(msgspec.Struct, frozen=True, kw_only=True):
    """A tactic: ``TA0002``, ``Execution``, ``execution``."""

    id: str
    name: str
    shortname: str

    @property
    def url(self) -> str:
        """The page that describes it."""
        return f"{SITE}/tactics/{self.id}/"


class Technique(msgspec.Struct, frozen=True, kw_only=True):
    """A live technique or sub-technique. ``tactics`` are tactic ids; ``parent`` is set for a sub-technique."""

    id: str
    name: str
    tactics: tuple[str, ...]
    parent: str | None = None

    @property
    def url(self) -> str:
        """The page that describes it."""
        return f"{SITE}/techniques/{self.id.replace('.', '/')}/"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What ``catalogue.json`` holds. ``revoked``: id → its live successors; ``deprecated``: ids without one."""

    version: str
    modified: str
    notice: str
    tactics: tuple[Tactic, ...]
    techniques: tuple[Technique, ...]
    revoked: Mapping[str, tuple[str, ...]]
    deprecated: tuple[str, ...]


class Catalogue:
    """Look-ups over the facts. Ids are matched without regard to case."""

    def __init__(self, facts: Facts) -> None:
        self.version = facts.version
        self.revoked = facts.revoked
        self.deprecated = frozenset(facts.deprecated)
        self.techniques: Mapping[str, Technique] = {technique.id: technique for technique in facts.techniques}
        self.tactics: Mapping[str, Tactic] = {tactic.id: tactic for tactic in facts.tactics}

    def technique(self, technique_id: str) -> Technique | None:
        """The live technique with this id, or None."""
        return self.techniques.get(technique_id) or self.techniques.get(technique_id.strip().upper())

    def tactic(self, text: str) -> Tactic | None:
        """The tactic with this id, short name or name; v19's stealth and defense-impairment are defense-evasion."""
        return self._tactics_by_text.get(_folded(text))

    def by_name(self, name: str) -> tuple[Technique, ...]:
        """All techniques of this name; sub-techniques also answer to ``Parent: Name``. Some names occur twice."""
        return self._techniques_by_name.get(_folded(name), ())

    def subtechniques(self, parent: str) -> tuple[Technique, ...]:
        """The sub-techniques of a technique, in order of id."""
        return self._children.get(parent.strip().upper(), ())

    @cached_property
    def parents(self) -> tuple[Technique, ...]:
        """All techniques that are not sub-techniques, in order of id."""
        return tuple(technique for technique in self.techniques.values() if technique.parent is None)

    def find(self, text: str) -> Technique:
        """The one technique that a person means by an id or a name. Raises ``PermanentError`` that names the nearest."""
        found = self.technique(text)
        if found is not None:
            return found
        named = self.by_name(text)
        if len(named) == 1:
            return named[0]
        if named:
            raise PermanentError(f"{text!r} names several techniques: {_listed(named)}")
        raise PermanentError(self._unknown(text))

    def _unknown(self, text: str) -> str:
        wanted = text.strip().upper()
        if wanted in self.revoked:
            return f"{wanted} is revoked in ATT&CK {self.version}; it lives on as {', '.join(self.revoked[wanted])}"
        if wanted in self.deprecated:
            return f"{wanted} is deprecated in ATT&CK {self.version} and has no successor"
        ids = [wanted.partition(".")[0]] if "." in wanted else []
        ids += difflib.get_close_matches(wanted, self.techniques, n=3, cutoff=0.7)
        nearest = [self.techniques[i] for i in ids if i in self.techniques]
        names = difflib.get_close_matches(_folded(text), self._techniques_by_name, n=3, cutoff=0.7)
        nearest += [technique for name in names for technique in self._techniques_by_name[name]]
        hint = f"; nearest: {_listed(dict.fromkeys(nearest))}" if nearest else ""
        return f"ATT&CK {self.version} has no technique {text!r}{hint}"

    @cached_property
    def _children(self) -> Mapping[str, tuple[Technique, ...]]:
        children: dict[str, tuple[Technique, ...]] = {}
        for technique in self.techniques.values():
            if technique.parent is not None:
                children[technique.parent] = (*children.get(technique.parent, ()), technique)
        return children

    @cached_property
    def _techniques_by_name(self) -> Mapping[str, tuple[Technique, ...]]:
        named: dict[str, tuple[Technique, ...]] = {}
        for technique in self.techniques.values():
            names = [technique.name]
            if technique.parent is not None:
                names.append(f"{self.techniques[technique.parent].name}: {technique.name}")
            for name in map(_folded, names):
                named[name] = (*named.get(name, ()), technique)
        return named

    @cached_property
    def _tactics_by_text(self) -> Mapping[str, Tactic]:
        texts = {
            _folded(text): tactic
            for tactic in self.tactics.values()
            for text in (tactic.id, tactic.name, tactic.shortname)
        }
        split = {_folded(new): texts[_folded(old)] for new, old in SPLIT_TACTICS.items() if _folded(old) in texts}
        return split | texts


@cache
def catalogue() -> Catalogue:
    """The catalogue that the product speaks: its version is the ``attack_version`` of every verdict.

    Raises ``ConfigError`` where the folder that :data:`FOLDER` names holds none.
    """
    own = os.environ.get(FOLDER)
    path = Path(own) / FACTS.name if own else FACTS
    try:
        return Catalogue(msgspec.json.decode(path.read_bytes(), type=Facts))
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{FOLDER}={own}: {path} is no catalogue of ATT&CK: {error}") from error


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("-", " ").replace("_", " ").split())


def _listed(techniques: Mapping[Technique, None] | tuple[Technique, ...]) -> str:
    return ", ".join(f"{technique.id} ({technique.name})" for technique in techniques)
