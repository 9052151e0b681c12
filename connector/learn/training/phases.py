"""One phase of fitting a text member: how long and how fast, the Trainer's arguments for it, and what it says while it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import torch
from transformers import TrainerCallback, TrainingArguments

if TYPE_CHECKING:
    from connector.learn.training.fit import Recipe

WARMUP = 0.06

ALL: Final = math.nextafter(1.0, 0.0)
"""All of a phase's steps: the Trainer reads shares below one as such, and one as a single step."""


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One of the phases: the bags of word pieces, those of letters, masked tokens, then the encoder upon the bags.

    ``longest_step`` cuts the norm of a gradient; 0 for none, since a sparse one has no norm to cut.
    """

    name: str
    epochs: float
    rate: float
    length: int
    evaluations: int
    longest_step: float = 0.0


def arguments(recipe: Recipe, phase: Phase, scratch: Path, rows: int, **changed: Any) -> TrainingArguments:
    """A phase over so many rows as the Trainer wants it told, with its work in ``scratch``; ``changed`` is said otherwise."""
    every = min(1.0 / phase.evaluations, ALL)
    usual: dict[str, Any] = {
        "output_dir": str(scratch),
        "num_train_epochs": phase.epochs,
        "learning_rate": phase.rate,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": 2 * recipe.batch_size,
        "warmup_steps": int(WARMUP * phase.epochs * rows / recipe.batch_size),
        "lr_scheduler_type": "linear",
        "max_grad_norm": phase.longest_step,
        "eval_strategy": "steps",
        "eval_steps": every,
        "save_strategy": "steps",
        "save_steps": every,
        "save_total_limit": 1,
        "load_best_model_at_end": True,
        "metric_for_best_model": "score",
        "greater_is_better": True,
        "label_names": ["techniques", "malicious", "weight", "share"],
        "remove_unused_columns": False,
        "logging_steps": 50,
        "disable_tqdm": True,
        "report_to": [],
        "dataloader_num_workers": 0,
        "use_cpu": not torch.cuda.is_available(),
        "seed": recipe.seed,
        "data_seed": recipe.seed,
    }
    return TrainingArguments(**{**usual, **changed})


class Passing(Protocol):
    """Rows that another pass reads otherwise."""

    epoch: int


class Passes(TrainerCallback):  # type: ignore[misc]
    """Tells the rows which pass they are read in."""

    def __init__(self, rows: Passing) -> None:
        self.rows = rows

    def on_epoch_begin(self, _args: Any, state: Any, _control: Any, **_: Any) -> None:
        """A pass begins."""
        self.rows.epoch = int(state.epoch)


class Progress(TrainerCallback):  # type: ignore[misc]
    """A plain line per log and per evaluation: a run of minutes on a CPU shows that it is alive, in a log file too."""

    def __init__(self, phase: str) -> None:
        self.phase, self.start = phase, monotonic()

    def on_log(self, _args: Any, state: Any, _control: Any, logs: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Something was logged."""
        told = {"loss": "loss", "eval_score": "dev score", "eval_loss": "held-out loss"}
        shown = [f"{word} {float(logs[key]):.4f}" for key, word in told.items() if logs and key in logs]
        if shown:
            seconds = monotonic() - self.start
            print(
                f"{self.phase}: step {state.global_step} of {state.max_steps}, {seconds:.0f} s, {shown[0]}", flush=True
            )
