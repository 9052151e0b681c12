"""Fine-tuning with the Hugging Face Trainer: early stopping on groups and sources that training never saw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import msgspec
import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler

from connector.learn.dataset import Row
from connector.learn.training.labels import positive_weights, targets
from connector.learn.training.measure import selection_score
from connector.learn.training.model import Shape, TextModel, load_encoder, load_tokenizer
from connector.learn.training.rows import TextRows, collate

LONG = 500
"""Characters from which a text fills the training length anyway."""

HEAD_RATE, WARMUP = 5.0, 0.06


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a text member is trained; every number that a result depends on. The defaults made the shipped bundle.

    ``layers`` are those of the packaged base; None keeps all. Each phase is evaluated as often as its
    ``…evaluations`` say, and stops after ``patience`` of them without a better score.
    """

    layers: tuple[int, ...] | None = (0, 2, 5)
    shape: Shape = Shape()
    wide_epochs: float = 4
    wide_rate: float = 5e-3
    wide_evaluations: int = 8
    epochs: float = 0.15
    evaluations: int = 2
    patience: int = 2
    batch_size: int = 32
    learning_rate: float = 2e-4
    max_length: int = 128
    train_length: int = 64
    parent_groups: int = 3
    sub_groups: int = 6
    most_weight: float = 6.0
    seed: int = 1


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One of the two phases: the bag alone, then the encoder upon it."""

    name: str
    epochs: float
    rate: float
    length: int
    evaluations: int


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
            rest = [weight for weight in network.parameters() if weight.requires_grad and id(weight) not in inside]
            groups = [{"params": rest, "lr": rate * HEAD_RATE if network.deep else rate}]
            if encoder:
                groups.append({"params": encoder, "lr": rate})
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
        return self.optimizer


class _Progress(TrainerCallback):  # type: ignore[misc]
    """A plain line per log and per evaluation: a run of minutes on a CPU shows that it is alive, in a log file too."""

    def __init__(self, phase: str) -> None:
        self.phase, self.start = phase, monotonic()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        told = {"loss": "loss", "eval_score": "dev score"}
        shown = [f"{word} {float(logs[key]):.4f}" for key, word in told.items() if logs and key in logs]
        if shown:
            seconds = monotonic() - self.start
            print(
                f"{self.phase}: step {state.global_step} of {state.max_steps}, {seconds:.0f} s, {shown[0]}", flush=True
            )


class _Session:
    """What both phases share: the network, the rows, and the tokenizer of each set of rows."""

    def __init__(
        self, train: Sequence[Row], dev: Sequence[Row], labels: Sequence[str], base: Path, recipe: Recipe
    ) -> None:
        self.recipe, self.dev, self.labels = recipe, dev, labels
        goal = targets(train, labels)
        weights = torch.from_numpy(positive_weights(goal.techniques, recipe.most_weight))
        self.model = TextModel(load_encoder(base, recipe.layers), len(labels), weights, recipe.shape)
        self.tokenizer = load_tokenizer(base)
        reading = load_tokenizer(base)
        reading.enable_truncation(recipe.max_length)  # as serving reads, whatever the training length
        self.seen = TextRows([row.text for row in train], goal, self.tokenizer, Random(recipe.seed))  # noqa: S311
        self.unseen = TextRows([row.text for row in dev], targets(dev, labels), reading, None)

    def run(self, phase: Phase) -> list[Mapping[str, Any]]:
        """Trains, leaves the phase's best weights in the network, and returns its evaluations."""
        self.tokenizer.enable_truncation(phase.length)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = _TextTrainer(
                model=self.model,
                args=_arguments(self.recipe, phase, Path(scratch), len(self.seen)),
                train_dataset=self.seen,
                eval_dataset=self.unseen,
                data_collator=collate,
                compute_metrics=lambda found: selection_score(found.predictions, self.dev, self.labels),
                callbacks=[EarlyStoppingCallback(self.recipe.patience), _Progress(phase.name)],
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            return [entry for entry in trainer.state.log_history if "eval_score" in entry]


def fit(
    train: Sequence[Row], dev: Sequence[Row], labels: Sequence[str], base: Path, recipe: Recipe
) -> tuple[TextModel, Mapping[str, Any]]:
    """The best model by dev score, and the Trainer's logs: first the bag alone, then the encoder upon it.

    The deep heads start at zero, so the second phase starts from the first one's score. Where it never beats that, the
    first one's weights come back and the deep half stays off.
    """
    set_seed(recipe.seed)
    session = _Session(train, dev, labels, base, recipe)
    model = session.model
    model.deep = False
    wide = session.run(
        Phase(
            name="wide",
            epochs=recipe.wide_epochs,
            rate=recipe.wide_rate,
            length=recipe.max_length,
            evaluations=recipe.wide_evaluations,
        )
    )
    both: list[Mapping[str, Any]] = []
    if recipe.epochs > 0:
        earlier = {name: weight.detach().clone() for name, weight in model.state_dict().items()}
        model.deepen()
        both = session.run(
            Phase(
                name="wide and deep",
                epochs=recipe.epochs,
                rate=recipe.learning_rate,
                length=recipe.train_length,
                evaluations=recipe.evaluations,
            )
        )
        if best(both) <= best(wide):
            model.load_state_dict(earlier)
            model.deep = False
    kept = "wide and deep" if model.deep else "wide"
    print(f"kept: {kept}, dev score {best(both if model.deep else wide):.4f}", flush=True)
    return model.eval().cpu(), {"wide": wide, "wide and deep": both, "kept": kept}


def best(evaluations: Sequence[Mapping[str, Any]]) -> float:
    """The highest dev score of a phase."""
    return max(float(entry["eval_score"]) for entry in evaluations)


def _arguments(recipe: Recipe, phase: Phase, scratch: Path, rows: int) -> TrainingArguments:
    every = 1.0 / phase.evaluations  # a share of the phase's steps
    return TrainingArguments(
        output_dir=str(scratch),
        num_train_epochs=phase.epochs,
        learning_rate=phase.rate,
        per_device_train_batch_size=recipe.batch_size,
        per_device_eval_batch_size=2 * recipe.batch_size,
        warmup_steps=int(WARMUP * phase.epochs * rows / recipe.batch_size),
        lr_scheduler_type="linear",
        max_grad_norm=1.0,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
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
