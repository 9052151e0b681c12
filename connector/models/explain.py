"""Why an event scored as it did: the fields and words that weighed most, and the labelled examples that it is most like.

By occlusion: a piece weighs what the malicious logit loses where the text is read without it (Zeiler and Fergus, Visualizing
and Understanding Convolutional Networks, arXiv:1311.2901). First each field is left out, then the words of the heaviest field
that has several, in so many stretches that one event never costs more than ``MOST_FIELDS + MOST_WORDS + 2`` runs. While events
are scored this is done from the level ``trigger`` on, for what starts playbooks; below it, from ``suspicious`` on, an event
is told by its examples, for one run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol, runtime_checkable

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.events import render
from connector.models.neighbours import Examples, Like
from connector.types import Event, Pairs

MOST_FIELDS: Final = 6
MOST_WORDS: Final = 8
SHOWN_FIELDS: Final = 3
SHOWN_WORDS: Final = 5
SHOWN_EXAMPLES: Final = 3
LEAST: Final = 0.05
"""What brought less than this to the logit is not worth a line."""

_LONGEST: Final = 80
"""Characters of a word, or a stretch of words, that are shown."""

_INSTEAD: Final = {"process.command_line": ("process.args",)}
"""What ``render`` shows only where a field is missing goes with it, or it would stand in for it."""


@runtime_checkable
class Readable(Protocol):
    """A member that reads texts: what an explanation asks of it."""

    name: str
    needs: tuple[str, ...]

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The raw ``techniques`` (n, labels) and ``malicious`` (n,) logits of texts."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The features (n, d) of texts."""
        ...


class Weight(msgspec.Struct, frozen=True):
    """A piece of an event, and what the malicious logit loses without it."""

    piece: str
    weight: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """Fields by their ECS names and words as they stand in the text, heaviest first; examples, nearest first."""

    fields: tuple[Weight, ...]
    words: tuple[Weight, ...]
    examples: tuple[Like, ...] = ()

    def notes(self, member: str) -> tuple[str, ...]:
        """As lines of a verdict's explanation: one of fields, one of words, one an example."""
        lines = [
            f"{member}: {told} {', '.join(f'{one.piece!r} {one.weight:+.2f}' for one in weights)}"
            for told, weights in (("fields", self.fields), ("words", self.words))
            if weights
        ]
        return (*lines, *(f"{member}: like {_told(like)}" for like in self.examples))


def explain(event: Event, member: Readable, examples: Examples | None = None) -> Explanation:
    """Explains an event by a text member, whatever its score."""
    pairs = event.canonical
    text = render(pairs)
    whole = _malicious(member, [text])[0]
    names = list(dict.fromkeys(field for field, _ in pairs[1:]))[:MOST_FIELDS]
    fields = _weights(member, whole, [(name, render(_without(pairs, name))) for name in names])
    words: tuple[Weight, ...] = ()
    parts = (part for one in fields if " " in (part := _part(pairs, one.piece)) and part in text)
    if part := next(parts, ""):
        words = _weights(member, whole, list(_without_words(text, part)))
    return Explanation(fields=fields[:SHOWN_FIELDS], words=words[:SHOWN_WORDS], examples=like(event, member, examples))


def like(event: Event, member: Readable, examples: Examples | None) -> tuple[Like, ...]:
    """The labelled examples that an event is most like; none where the bundle carries none."""
    return () if examples is None else examples.like(member.embed([render(event.canonical)])[0], SHOWN_EXAMPLES)


def _malicious(member: Readable, texts: Sequence[str]) -> list[float]:
    return member.logits(texts)[1].tolist() if texts else []


def _weights(member: Readable, whole: float, pieces: Sequence[tuple[str, str]]) -> tuple[Weight, ...]:
    """What each piece weighs, heaviest first; ``pieces`` have the text that is left without them."""
    left = _malicious(member, [rest for _, rest in pieces])
    found = (Weight(name[:_LONGEST], round(whole - logit, 2)) for (name, _), logit in zip(pieces, left, strict=True))
    return tuple(sorted((one for one in found if one.weight >= LEAST), key=lambda one: (-one.weight, one.piece)))


def _without(pairs: Pairs, name: str) -> Pairs:
    gone = (name, *_INSTEAD.get(name, ()))
    return tuple(pair for pair in pairs if pair[0] not in gone)


def _part(pairs: Pairs, name: str) -> str:
    """What a field adds to the text."""
    alone = render((pairs[0], *(pair for pair in pairs if pair[0] == name)))
    return alone.removeprefix(render(pairs[:1])).removeprefix(" | ")


def _without_words(text: str, part: str) -> Iterable[tuple[str, str]]:
    """Each stretch of a part's words with the text that is left without it; a short part's stretches are its words."""
    words = part.split(" ")
    step = -(-len(words) // MOST_WORDS)
    before, _, after = text.partition(part)
    for start in range(0, len(words), step):
        stretch = words[start : start + step]
        if any(letter.isalnum() for word in stretch for letter in word):
            rest = [*words[:start], *words[start + step :]]
            yield " ".join(stretch), before + " ".join(rest) + after


def _told(like: Like) -> str:
    example = like.example
    label = ", ".join(example.techniques) or ("attack" if example.malicious else "ordinary")
    return f"{label} ({example.source}, {like.cosine:.2f}): {example.text}"
