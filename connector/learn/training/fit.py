"""Fine-tuning with the Hugging Face Trainer: early stopping on groups and sources that training never saw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import torch
from tokenizers import Tokenizer
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler

from connector.learn.dataset import Row
from connector.learn.training.labels import positive_weights, targets
from connector.learn.training.measure import selection_score
from connector.learn.training.model import TextModel, load_encoder
from connector.learn.training.rows import TextRows, collate

LONG = 500
"""Characters from which a text fills the training length anyway."""

HEAD_RATE, WARMUP = 5.0, 0.06


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a text member is trained; every number that a result depends on."""

    layers: tuple[int, ...] | None = (0, 2, 5)
    epochs: float = 4
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 2e-4
    dropout: float = 0.1
    max_length: int = 128
    train_length: int = 96
    parent_groups: int = 3
    sub_groups: int = 6
    most_weight: float = 6.0
    seed: int = 1


class _TextTrainer(Trainer):  # type: ignore[misc]
    """A Trainer whose new heads learn faster than the encoder below them, over batches of rows of like length."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        return LengthGroupedSampler(self.args.train_batch_size, lengths=[min(len(text), LONG) for text in rows.texts])

    def create_optimizer(self, *_: Any) -> Any:
        if getattr(self, "optimizer", None) is None:
            rate = self.args.learning_rate
            heads = [weight for name, weight in self.model.named_parameters() if not name.startswith("encoder.")]
            encoder = [weight for name, weight in self.model.named_parameters() if name.startswith("encoder.")]
            groups = [{"params": encoder, "lr": rate}, {"params": heads, "lr": rate * HEAD_RATE}]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
        return self.optimizer


def fit(
    train: Sequence[Row], dev: Sequence[Row], labels: Sequence[str], base: Path, recipe: Recipe
) -> tuple[TextModel, Mapping[str, Any]]:
    """The best model by dev score, and the Trainer's log."""
    set_seed(recipe.seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(recipe.train_length)
    goal = targets(train, labels)
    model = TextModel(
        load_encoder(base, recipe.layers),
        len(labels),
        torch.from_numpy(positive_weights(goal.techniques, recipe.most_weight)),
        recipe.dropout,
    )
    seen = TextRows([row.text for row in train], goal, tokenizer, Random(recipe.seed))  # noqa: S311
    unseen = TextRows([row.text for row in dev], targets(dev, labels), tokenizer, None)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = _TextTrainer(
            model=model,
            args=_arguments(recipe, Path(scratch), warmup=int(WARMUP * recipe.epochs * len(train) / recipe.batch_size)),
            train_dataset=seen,
            eval_dataset=unseen,
            data_collator=collate,
            compute_metrics=lambda found: selection_score(found.predictions, dev, labels),
            callbacks=[EarlyStoppingCallback(early_stopping_patience=recipe.patience)],
        )
        trainer.train()
        history = [entry for entry in trainer.state.log_history if "eval_score" in entry or "loss" in entry]
    return model.eval().cpu(), {"epochs": history, "best": trainer.state.best_metric}


def _arguments(recipe: Recipe, scratch: Path, warmup: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=2 * recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup_steps=warmup,
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model="score",
        greater_is_better=True,
        label_names=["techniques", "malicious", "weight"],
        remove_unused_columns=False,
        logging_steps=50,
        disable_tqdm=True,
        report_to=[],
        dataloader_num_workers=0,
        use_cpu=not torch.cuda.is_available(),
        seed=recipe.seed,
        data_seed=recipe.seed,
    )
