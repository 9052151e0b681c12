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
from connector.learn.training.model import Shape, TextModel, load_encoder
from connector.learn.training.rows import TextRows, collate

LONG = 500
"""Characters from which a text fills the training length anyway."""

HEAD_RATE, WARMUP = 5.0, 0.06


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a text member is trained; every number that a result depends on."""

    layers: tuple[int, ...] | None = (0, 2, 5)
    shape: Shape = Shape()
    wide_epochs: float = 4
    wide_rate: float = 5e-3
    epochs: float = 3
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 1.5e-4
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
            rate, network = self.args.learning_rate, self.model
            encoder = list(network.encoder.parameters()) if network.deep else []
            inside = {id(weight) for weight in network.encoder.parameters()}
            rest = [weight for weight in network.parameters() if id(weight) not in inside]
            groups = [{"params": rest, "lr": rate * HEAD_RATE if network.deep else rate}]
            if encoder:
                groups.append({"params": encoder, "lr": rate})
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
        return self.optimizer


def fit(
    train: Sequence[Row], dev: Sequence[Row], labels: Sequence[str], base: Path, recipe: Recipe
) -> tuple[TextModel, Mapping[str, Any]]:
    """The best model by dev score, and the Trainer's logs: first the bag alone, then both halves together."""
    set_seed(recipe.seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    goal = targets(train, labels)
    weights = torch.from_numpy(positive_weights(goal.techniques, recipe.most_weight))
    model = TextModel(load_encoder(base, recipe.layers), len(labels), weights, recipe.shape)
    seen = TextRows([row.text for row in train], goal, tokenizer, Random(recipe.seed))  # noqa: S311
    unseen = TextRows([row.text for row in dev], targets(dev, labels), tokenizer, None)

    def phase(epochs: float, rate: float, length: int) -> list[Mapping[str, Any]]:
        tokenizer.enable_truncation(length)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = _TextTrainer(
                model=model,
                args=_arguments(
                    recipe, Path(scratch), epochs, rate, int(WARMUP * epochs * len(train) / recipe.batch_size)
                ),
                train_dataset=seen,
                eval_dataset=unseen,
                data_collator=collate,
                compute_metrics=lambda found: selection_score(found.predictions, dev, labels),
                callbacks=[EarlyStoppingCallback(early_stopping_patience=recipe.patience)],
            )
            trainer.train()
            return [entry for entry in trainer.state.log_history if "eval_score" in entry]

    model.deep = False
    wide = phase(recipe.wide_epochs, recipe.wide_rate, recipe.max_length)
    model.deep = True
    both = phase(recipe.epochs, recipe.learning_rate, recipe.train_length) if recipe.epochs > 0 else []
    return model.eval().cpu(), {"wide": wide, "wide and deep": both}


def _arguments(recipe: Recipe, scratch: Path, epochs: float, rate: float, warmup: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=epochs,
        learning_rate=rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=2 * recipe.batch_size,
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
