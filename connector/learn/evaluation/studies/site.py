"""A site that trained nothing: three hosts of one domain in OTRF's compound recordings, each with one campaign, as arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.events import render
from connector.learn.export.snapshot import group_of
from connector.learn.site_study import ARCHIVE, Stream, compound

Whole = NDArray[np.intp]


class Host(msgspec.Struct, frozen=True, eq=False):
    """A host's events in time order: ``places`` (n,) among the site's distinct events, and whether the attack's tree made each."""

    places: Whole
    attack: NDArray[np.bool_]

    def part(self, number: int, of: int) -> Host:
        """One of so many parts of like length, in time."""
        start, end = (len(self.places) * edge // of for edge in (number, number + 1))
        return Host(self.places[start:end], self.attack[start:end])


class Site(msgspec.Struct, frozen=True, eq=False):
    """Hosts by name, in its order, and the distinct events of all: text, fingerprint, group of near copies."""

    hosts: Mapping[str, Host]
    texts: Sequence[str]
    fingerprints: Sequence[str]
    groups: Sequence[str]


def read(corpora: Path) -> Site:
    """The recordings. Raises ``ConfigError`` where they are not in the folder."""
    if not (corpora / ARCHIVE).is_file():
        raise ConfigError(f"{corpora} holds no {ARCHIVE}: the compound recordings of OTRF's Security-Datasets")
    return of_streams(compound(corpora))


def of_streams(streams: Mapping[str, Stream]) -> Site:
    """The same of streams by name, in the order of their names."""
    numbers: dict[str, int] = {}
    texts: list[str] = []
    groups: list[str] = []
    hosts = {}
    for name, stream in sorted(streams.items()):
        for seen in stream:
            if numbers.setdefault(seen.event.fingerprint, len(texts)) == len(texts):
                texts.append(render(seen.event.canonical))
                groups.append(group_of(seen.event.kind, texts[-1]))
        hosts[name] = Host(
            np.array([numbers[seen.event.fingerprint] for seen in stream], np.intp),
            np.array([seen.attack for seen in stream], bool),
        )
    return Site(hosts, texts, list(numbers), groups)
