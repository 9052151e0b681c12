"""Which words of a text weighed most, told from what each token brought to the malicious logit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding

SHOWN = 5
"""How many words an explanation names."""

LEAST = 0.05
"""Words that brought less than this to the logit are not worth a line."""


def telling_words(text: str, encoding: Encoding, relevance: NDArray[np.floating]) -> tuple[str, ...]:
    """The words that spoke most for malice, most telling first: ``'sekurlsa' +1.20``, in logits.

    ``encoding`` is the full encoding of the text, with offsets, and ``relevance`` has one value a token. A word that
    stands in several places counts with its sum.
    """
    weights: dict[str, float] = {}
    for span in _words(encoding):
        start, stop = span[0], span[-1]
        said = text[encoding.offsets[start][0] : encoding.offsets[stop][1]]
        if any(character.isalnum() for character in said):
            weights[said] = weights.get(said, 0.0) + sum(float(relevance[place]) for place in range(start, stop + 1))
    best = sorted(weights.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    return tuple(f"{word!r} {weight:+.2f}" for word, weight in best if weight >= LEAST)


def _words(encoding: Encoding) -> Iterable[list[int]]:
    """The places of the tokens of each word."""
    places: dict[int, list[int]] = {}
    for place, word in enumerate(encoding.word_ids):
        if word is not None:
            places.setdefault(word, []).append(place)
    return places.values()
