"""A tokenizer fitted to events: byte pairs of commands, paths and scripts, so that no word is unknown.

Word pieces of general English cut ``-urlcache`` and ``comsvcs.dll`` into crumbs. Source of the method: Sennrich, Haddow,
Birch, Neural machine translation of rare words with subword units, arXiv:1508.07909, over bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

LEAST = 3
"""A pair is joined where it occurs so often."""

_PARTS = r"\s+|[^\w\s]|_|\d+"
"""What stands alone: space, every sign, and every number whole."""


def fit_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """A byte-level BPE tokenizer of at most ``size`` tokens. Space is a token, so that n-grams tell a word from a part."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PARTS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=LEAST,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer
