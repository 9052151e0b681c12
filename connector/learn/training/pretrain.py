"""Pre-training on events: the encoder guesses masked tokens of event text, no label read, before it is fine-tuned upon the bags.

As BERT learnt: of 15% of the tokens four in five are masked, one in ten is another token, and one in ten stays. The head that
guesses is the base's own where it has one, else a new one over its word embeddings, and is left behind. Source: Gururangan et
al., Don't Stop Pretraining, arXiv:2004.10964.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset as Rows
from transformers import (
    AutoModelForMaskedLM,
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerFast,
    PrinterCallback,
    Trainer,
)
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import logging

from connector.errors import ConfigError, PermanentError
from connector.events import normalise, render
from connector.learn import held_out
from connector.learn.dataset import Dataset
from connector.learn.event_files import Corpus
from connector.learn.training.phases import Passes, Phase, Progress, arguments
from connector.learn.training.rows import padded

if TYPE_CHECKING:
    from connector.learn.training.fit import Recipe

MASKED, UNLABELLED = "masked", "unlabelled"
"""The phase's name, and under what a history tells which texts it had beside the training rows."""

MASKS: Final = ("[MASK]", "<mask>")
NOT_ASKED: Final = -100
"""The target of a token that is not guessed, as PyTorch's cross-entropy leaves it out."""

HELD_OUT, MOST_HELD_OUT = 20, 1000
"""One text in so many is not learnt from, and at most so many: the loss on them is told before and after."""


def unlabelled(files: Sequence[Path], dataset: Dataset) -> tuple[str, ...]:
    """The distinct texts of event files, as the product renders them, sorted; events that cannot be read are left out.

    So is every event of the demo's scenario, and every one that a row outside the training split holds, by fingerprint or by
    text. A left-out group's events that are no row are not known here. Raises ``ConfigError`` for a path that names no file, and
    where no event is left.
    """
    if not files:
        return ()
    left_out = [row for row in dataset.rows if row.split != "train"]
    closed = held_out.scenario() | {row.fingerprint for row in left_out}
    texts = {text for path in files for text in _texts(path, closed)} - {"", *(row.text for row in left_out)}
    if not texts:
        raise ConfigError(f"no event to learn from in {', '.join(map(str, files))}")
    return tuple(sorted(texts))


def digest_of(texts: Iterable[str]) -> str:
    """SHA-256 of texts in their order."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def described(texts: Sequence[str]) -> Mapping[str, Any]:
    """Texts as a history tells of them."""
    return {"texts": len(texts), "sha256": digest_of(texts)}


def _texts(path: Path, closed: frozenset[str]) -> Iterator[str]:
    for raw in Corpus(str(path)).events():
        if raw.error is None:
            try:
                event = normalise(raw)
            except PermanentError:
                continue
            if event.fingerprint not in closed:
                yield render(event.canonical)


class MaskedRows(Rows[Mapping[str, Any]]):  # type: ignore[misc]
    """Texts with some tokens masked: others each pass, drawn from seed, pass and row, so that a resumed run draws the same."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, seed: int) -> None:
        self.texts, self.tokenizer, self.seed, self.epoch = texts, tokenizer, seed, 0
        mask = next((name for name in MASKS if tokenizer.token_to_id(name) is not None), None)
        if mask is None:
            raise ConfigError("the tokenizer of the base has no token that masks others: it cannot be pre-trained")
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, mask_token=mask)
        self.masks = DataCollatorForLanguageModeling(fast)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: int) -> Mapping[str, Tensor]:
        encoding = self.tokenizer.encode(self.texts[index])
        drawn = hashlib.sha256(f"{self.seed} {self.epoch} {index}".encode()).digest()
        self.masks.generator = torch.Generator().manual_seed(int.from_bytes(drawn[:4]))
        ids, special = torch.tensor([encoding.ids]), torch.tensor([encoding.special_tokens_mask])
        ids, labels = self.masks.torch_mask_tokens(ids, special_tokens_mask=special)
        return {"input_ids": ids[0], "labels": labels[0]}


def collate(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A batch padded to its longest text."""
    ids, mask = padded([item["input_ids"] for item in items])
    labels = pad_sequence([item["labels"] for item in items], batch_first=True, padding_value=NOT_ASKED)
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def guessing(base: Path, encoder: Any) -> Any:
    """The encoder with a head over its word embeddings that guesses tokens. Raises ``ConfigError`` where the base can have none."""
    told = logging.get_verbosity()
    logging.set_verbosity_error()  # that a head is new, and that layers are left out, is meant
    try:
        model = AutoModelForMaskedLM.from_pretrained(base, config=encoder.config, local_files_only=True)
    except ValueError as error:
        raise ConfigError(f"a {encoder.config.model_type} cannot be pre-trained on masked tokens") from error
    finally:
        logging.set_verbosity(told)
    setattr(model, model.base_model_prefix, encoder)
    model.tie_weights()
    return model


def pretrain(  # noqa: PLR0917  (one caller)
    base: Path, encoder: Any, tokenizer: Tokenizer, texts: Sequence[str], recipe: Recipe, work: Path
) -> list[Mapping[str, Any]]:
    """Changes the encoder of ``base`` for ``recipe.pretrain`` passes over the texts, and returns the losses on those held out.

    The first loss is that before. A run that was broken off goes on from its last evaluation in ``work``. Each text counts
    once; held out is one in :data:`HELD_OUT`. Of one recording's near copies some may be held out, so the loss flatters.
    """
    distinct = sorted(set(texts))
    kept = distinct[:: max(HELD_OUT, -(-len(distinct) // MOST_HELD_OUT))]
    learnt = sorted(set(distinct).difference(kept))
    if not learnt:
        raise ConfigError(f"{len(distinct)} texts are too few to pre-train on")
    phase = Phase(
        name=MASKED,
        epochs=recipe.pretrain,
        rate=recipe.learning_rate,
        length=recipe.train_length,
        evaluations=recipe.evaluations,
        longest_step=1.0,
    )
    tokenizer.enable_truncation(phase.length)
    rows, folder = MaskedRows(learnt, tokenizer, recipe.seed), work / MASKED
    folder.mkdir(parents=True, exist_ok=True)
    last = get_last_checkpoint(str(folder))
    own = {"label_names": ["labels"], "load_best_model_at_end": False, "eval_on_start": last is None}
    own |= {"metric_for_best_model": None, "train_sampling_strategy": "group_by_length"}
    own["per_device_eval_batch_size"] = recipe.batch_size  # each token has a logit for every other of the vocabulary
    trainer = Trainer(
        model=guessing(base, encoder),
        args=arguments(recipe, phase, folder, len(rows), **own),
        train_dataset=rows,
        eval_dataset=MaskedRows(kept, tokenizer, recipe.seed),
        data_collator=collate,
        callbacks=[Passes(rows), Progress(MASKED)],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=last)
    tokenizer.no_truncation()
    return [entry for entry in trainer.state.log_history if "eval_loss" in entry]
