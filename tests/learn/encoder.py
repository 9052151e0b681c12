"""A DistilBERT with random weights and a vocabulary of single characters and a few words."""

from __future__ import annotations

import string
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import DistilBertConfig, DistilBertModel

WORDS = "process start command parent user powershell script cmd exe dumper planner eraser tool show steal into"


def write(folder: Path, *masks: str) -> None:
    """Writes model and tokenizer as any Hugging Face folder holds them; ``masks`` are tokens that mask others."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *string.printable.strip(), *WORDS.split()]
    pieces += [f"##{character}" for character in string.ascii_lowercase + string.digits]
    pieces += masks
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = DistilBertConfig(
        vocab_size=len(vocabulary), dim=32, n_layers=3, n_heads=2, hidden_dim=64, max_position_embeddings=128
    )
    DistilBertModel(config).save_pretrained(folder)
