"""Recordings as windows to train on and to be measured by: made by the code that serves, from scores that know no better.

The text member's scores come from a fold's network that never saw the recording's site: those of the text member that
ships would be better than any that it will give on a new site, and the sequence member would lean on them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.attack import migrate
from connector.errors import ConfigError
from connector.learn.training.labels import parent_of
from connector.learn.training.sequence.recorded import ATTACK, BACKGROUND, NOWHERE, UNCLEAR, Part, Recorded, sides
from connector.models.sequence.arrays import Arrays, arrays
from connector.models.sequence.tokens import Tokens, Told
from connector.models.sequence.vocabulary import IMAGE, PARENT, Places, Vocabulary, base
from connector.models.sequence.window import UNSCORED, Three, Token, Window, three

GROUPS: Final = 3
"""A program's name is kept where it is ordinary in so many recordings."""

LABEL_GROUPS: Final = 2
"""A technique becomes a label where so many recordings or campaigns show it."""

Said: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
Speak: TypeAlias = Callable[[Sequence[str]], Said]
"""Texts to probabilities of techniques (n, labels) and of malice (n,), by a network that saw none of them."""


class Most(msgspec.Struct, frozen=True):
    """How many events of a recording become windows, spread evenly over it."""

    attack: int = 80
    background: int = 160


class Rows(msgspec.Struct, frozen=True, eq=False):
    """n windows with what they are.

    ``part`` is the number of the recording; ``told`` the text member's own logit of the event, nan where it has none, and
    ``named`` (n, labels) what it gives each technique. ``techniques`` (n, labels) is what the recording shows, all false where the event is background. ``share`` is how many
    events of the recording each window stands for.
    """

    windows: Arrays
    attack: NDArray[np.bool_]
    techniques: NDArray[np.float32]
    part: NDArray[np.int32]
    told: NDArray[np.float32]
    named: NDArray[np.float32]
    share: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.attack)


def vocabulary(recorded: Recorded, text: Sequence[str], shared: Collection[str], chosen: Sequence[int]) -> Vocabulary:
    """The kinds of event and the ordinary programs of several of the chosen recordings, and the text member's techniques.

    An attack's own events name no program: what a tool is called says nothing of the next one.
    """
    kinds: dict[str, set[str]] = defaultdict(set)
    images: dict[str, set[str]] = defaultdict(set)
    for part in (recorded.parts[number] for number in chosen):
        ordinary = sides(recorded, part) == BACKGROUND
        for number in np.unique(recorded.mark[part.start : part.stop][ordinary]).tolist():
            mark = recorded.marks[number]
            kinds[mark.kind].add(part.group)
            for path in (mark.image, mark.parent):
                images[base(path)].add(part.group)
    return Vocabulary(
        kinds=tuple(sorted(kind for kind, groups in kinds.items() if len(groups) >= LABEL_GROUPS)),
        images=tuple(sorted(name for name, groups in images.items() if name and len(groups) >= GROUPS)),
        text=tuple(text),
        techniques=tuple(label for label in text if "." not in label and label in shared),
    )


def vocabularies(
    recorded: Recorded, text: Sequence[str], shared: Collection[str], folds: Sequence[Sequence[int]]
) -> list[Vocabulary]:
    """For each fold the vocabulary of what the others leave out: it says nothing of the recordings that it is measured on."""
    others = (
        [part for other, parts in enumerate(folds) if other != fold for part in parts] for fold in range(len(folds))
    )
    return [vocabulary(recorded, text, shared, chosen) for chosen in others]


def once(speak: Speak) -> Speak:
    """The same, where the same texts are asked again and again: the answer to the last ones is remembered."""
    last = lru_cache(1)(speak)
    return lambda texts: last(tuple(texts))


def parents_of(part: Part) -> frozenset[str]:
    """The parent techniques that a recording's authors name, in the catalogue's own ids."""
    found: set[str] = set()
    for technique in part.techniques:
        found.update(parent_of(new) for new in migrate(technique).ids)
    return frozenset(found)


def labels(recorded: Recorded, known: Sequence[str], chosen: Sequence[int]) -> tuple[str, ...]:
    """The techniques that several of the chosen recordings show, of those that the text member knows."""
    groups: dict[str, set[str]] = defaultdict(set)
    for part in (recorded.parts[number] for number in chosen):
        for technique in parents_of(part):
            groups[technique].add(part.group)
    return tuple(sorted(name for name, found in groups.items() if len(found) >= LABEL_GROUPS and name in set(known)))


class Maker:
    """Makes the windows of recordings by one vocabulary."""

    def __init__(self, recorded: Recorded, vocabulary: Vocabulary, labelled: Sequence[str], most: Most) -> None:
        self._recorded = recorded
        self._most = most
        self._labels = tuple(labelled)
        self._tokens = Tokens(vocabulary)
        self._places = Places(vocabulary)
        self._techniques = len(vocabulary.techniques)
        columns = {name: number for number, name in enumerate(vocabulary.techniques, 1)}
        self._columns = [columns[name] for name in labelled]

    def rows(self, chosen: Sequence[int], speak: Speak) -> Rows:
        """The windows of some recordings, whose texts ``speak`` never saw."""
        marks = np.unique(np.concatenate([self._slice(number) for number in chosen]))
        said = speak([self._recorded.marks[mark].text for mark in marks.tolist()])
        told = _Told(marks, self._tokens.told(*said))
        return joined([part for part in (self._rows(number, told) for number in chosen) if len(part)])

    def _slice(self, number: int) -> NDArray[np.int32]:
        part = self._recorded.parts[number]
        return self._recorded.mark[part.start : part.stop]

    def _rows(self, number: int, told: _Told) -> Rows:
        part = self._recorded.parts[number]
        label = sides(self._recorded, part)
        wanted = np.zeros(len(label), np.float64)
        for side, limit in ((ATTACK, self._most.attack), (BACKGROUND, self._most.background)):
            places = np.flatnonzero(label == side)
            if len(places):
                kept = places[np.linspace(0, len(places) - 1, min(limit, len(places))).astype(np.intp)]
                wanted[kept] = len(places) / len(kept)
        chosen = [context for place, context in enumerate(self._contexts(part, told)) if wanted[place] > 0]
        places = np.flatnonzero(wanted)
        attack = label[places] == ATTACK
        shown = np.array([name in parents_of(part) for name in self._labels], np.float32)
        return Rows(
            windows=_narrow(arrays(chosen)),
            attack=attack,
            techniques=attack[:, None] * shown,
            part=np.full(len(places), number, np.int32),
            told=np.array([_told(context[-1].score) for context in chosen], np.float32),
            named=self._named(chosen),
            share=wanted[places],
        )

    def _named(self, chosen: Sequence[Sequence[Token]]) -> NDArray[np.float32]:
        named = np.zeros((len(chosen), self._techniques + 1), np.float32)
        for row, context in enumerate(chosen):
            named[row, list(context[-1].top)] = context[-1].weights
        return named[:, self._columns] / 255.0

    def _contexts(self, part: Part, told: _Told) -> Iterator[list[Token]]:
        """Every event's window, in the recording's order; empty where it names no host."""
        found, span = self._recorded, slice(part.start, part.stop)
        columns = (found.mark, found.window, found.at, found.process, found.above)
        windows: dict[int, Window] = defaultdict(Window)
        known: dict[int, Three] = {}
        events = zip(*told.of(found.mark[span]), *(column[span].tolist() for column in columns), strict=True)
        for tag, (score, top, weight, mark, window, at, process, above) in enumerate(events):
            if window == NOWHERE:
                yield []
                continue
            if mark not in known:
                seen = found.marks[mark]
                known[mark] = self._places.of(seen.kind, ((IMAGE, seen.image), (PARENT, seen.parent)))
            token = Token(max(at, 0), tag, *known[mark], score, three(top), three(weight), process, above)
            before, own = windows[window].enter(token, timed=at >= 0)
            yield [*before, own]


def _told(score: int) -> float:
    return float("nan") if score == UNSCORED else score / 8.0


class _Told(msgspec.Struct, frozen=True, eq=False):
    marks: NDArray[np.int32]
    told: Told

    def of(self, marks: NDArray[np.int32]) -> tuple[list[int], list[list[int]], list[list[int]]]:
        at = np.searchsorted(self.marks, marks)
        return self.told.score[at].tolist(), self.told.top[at].tolist(), self.told.weights[at].tolist()


def _narrow(windows: Arrays) -> Arrays:
    """The same numbers in fewer bytes: a recording's windows are kept until all were read."""
    return Arrays(
        windows.names.astype(np.int16),
        windows.flags.astype(np.float16),
        windows.top.astype(np.int16),
        windows.weights.astype(np.float16),
    )


def wide(windows: Arrays) -> Arrays:
    """Narrowed windows as networks and graphs take them."""
    return Arrays(
        windows.names.astype(np.int64),
        windows.flags.astype(np.float32),
        windows.top.astype(np.int64),
        windows.weights.astype(np.float32),
    )


def taken(rows: Rows, places: NDArray[np.intp]) -> Rows:
    """Some of the windows."""
    return Rows(rows.windows.part(places), *(getattr(rows, name)[places] for name in Rows.__struct_fields__[1:]))


def joined(parts: Sequence[Rows]) -> Rows:
    """Several recordings' windows as one. Raises ``ConfigError`` where there are none."""
    if not parts:
        raise ConfigError("no recording has an event whose side is known: there is nothing to train on")
    windows = [part.windows for part in parts]
    return Rows(
        Arrays(*(np.concatenate([getattr(one, name) for one in windows]) for name in Arrays.__struct_fields__)),
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__struct_fields__[1:]),
    )


def counted(recorded: Recorded) -> Mapping[str, int]:
    """How many events there are of each side."""
    names = {BACKGROUND: "background", ATTACK: "attack", UNCLEAR: "unclear"}
    return {names[side]: count for side, count in sorted(Counter(recorded.label.tolist()).items())}
