"""Fine-tuning with the Hugging Face Trainer: early stopping on groups and sources that training never saw."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, set_seed
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import get_last_checkpoint

from connector.learn.dataset import Row
from connector.learn.training.labels import Floats, Targets, positive_weights, repeats, shares, targets
from connector.learn.training.measure import selection_score
from connector.learn.training.model import LETTERS, PIECES, Shape, TextModel, load_encoder, load_tokenizer
from connector.learn.training.mutants import mutants
from connector.learn.training.optimizer import optimizer
from connector.learn.training.phases import Passes, Phase, Progress, arguments
from connector.learn.training.pretrain import MASKED, UNLABELLED, described, pretrain
from connector.learn.training.rows import TextRows, ThinnedRows, collate
from connector.learn.training.vocabulary import fit_tokenizer

LONG = 500
"""Characters from which a text fills the training length anyway."""

NAMED_EPOCHS = 3.0
"""How long the encoder of a base is trained that the user named, unless told otherwise."""

HEAD_RATE = 5.0
WIDE, SPELT, DEEP = "wide", "wide and letters", "wide and deep"
"""The phases. What is kept is named by the last of them that did better than the one before."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a text member is trained; every number that a result depends on.

    Where a manifest names no value it is the one here, so these never change; :data:`DEFAULT` is what is trained now.

    The bags of letters are learnt after those of word pieces, for ``letter_epochs`` passes; 0 leaves them out. With ``epochs``
    0 the network is the bags alone; else the base's encoder is trained upon them, and ``layers`` are those of the packaged
    one; None keeps all. ``malice_share`` is the rate of a bag for malice over that of the one for techniques. Texts are read by the base's tokenizer, or, without an encoder and with a
    ``vocabulary``, by one of so many tokens that is fitted to the training texts. Each phase is evaluated as often as its ``…evaluations`` say, and stops after
    ``patience`` of them without a better score. ``group_power`` is that of :func:`labels.shares`. Rare techniques weigh
    more (``balance`` "weights", up to ``most_weight``) or occur more often ("oversampling", up to a share of
    ``oversampled`` of the rows). At most a share of ``mutated`` of the commands is written otherwise in a pass, by the
    mutations that training may use. A share of ``refit`` of a softmax over parents is then mixed into the heads
    (:func:`refit.refit`). Once learnt, malice is read from the ``window`` word pieces and the ``letter_window`` letters
    in a row that say most, so that padding does not dilute them; 0 for the whole text. Before the encoder is trained upon
    the bags it guesses masked tokens for ``pretrain`` passes (:mod:`.pretrain`).
    """

    vocabulary: int = 0
    layers: tuple[int, ...] | None = (0, 2, 5)
    shape: Shape = Shape()
    wide_epochs: float = 8
    wide_rate: float = 2e-2
    wide_evaluations: int = 8
    letter_epochs: float = 5
    letter_rate: float = 6e-3
    malice_share: float = 0.25
    epochs: float = 0.0
    evaluations: int = 2
    patience: int = 3
    batch_size: int = 64
    learning_rate: float = 2e-4
    max_length: int = 160
    train_length: int = 64
    parent_groups: int = 3
    sub_groups: int = 6
    group_power: float = 0.25
    balance: Literal["weights", "oversampling", "none"] = "weights"
    most_weight: float = 6.0
    oversampled: float = 0.005
    mutated: float = 0.0
    refit: float = 0.0
    window: int = 0
    letter_window: int = 0
    seed: int = 1
    pretrain: float = 0.0

    @property
    def network(self) -> Shape:
        """The shape of the network that is trained."""
        return self.shape if self.letter_epochs > 0 else msgspec.structs.replace(self.shape, letters=0)


DEFAULT = Recipe(refit=0.6)
"""What ``triaged train text`` does unless told otherwise: a recipe that names no refit has none."""


Teach: TypeAlias = Callable[[Targets], Targets]
"""What makes other targets of those that the labels give, such as a teacher's answers."""


class _TextTrainer(Trainer):  # type: ignore[misc]
    """A Trainer with a rate for each part, over batches of rows of like length. New heads learn faster than an encoder."""

    def __init__(self, *, malice_share: float, **given: Any) -> None:
        self.malice_share = malice_share
        super().__init__(**given)

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        return LengthGroupedSampler(self.args.train_batch_size, lengths=rows.lengths(LONG))

    def create_optimizer(self, *_: Any) -> Any:
        if getattr(self, "optimizer", None) is None:
            rate, model = self.args.learning_rate, self.model
            if model.deep:
                heads = [*model.techniques.parameters(), *model.malicious.parameters()]
                encoder = {"params": list(model.encoder.parameters()), "lr": rate}
                self.optimizer = optimizer([], [{"params": heads, "lr": rate * HEAD_RATE}, encoder])
            else:
                half = model.halves[model.learning]
                halves = (
                    (half.bag, half.techniques, rate),
                    (half.votes, half.malicious, rate * self.malice_share),
                )
                self.optimizer = optimizer(
                    [{"params": list(bag.parameters()), "lr": own} for bag, _, own in halves],
                    [{"params": list(head.parameters()), "lr": own} for _, head, own in halves],
                )
        return self.optimizer


class _Session:
    """What the phases share: the network, the rows, and the tokenizer of each set of rows."""

    def __init__(  # noqa: PLR0917  (one caller, below)
        self,
        train: Sequence[Row],
        dev: Sequence[Row],
        labels: Sequence[str],
        base: Path | None,
        recipe: Recipe,
        replay: Floats | None,
        teach: Teach | None,
    ) -> None:
        self.recipe, self.dev, self.labels = recipe, dev, labels
        texts, goal = [row.text for row in train], targets(train, labels)
        times = np.ones(len(train), np.float32) if replay is None else replay
        goal = msgspec.structs.replace(goal, weight=goal.weight * times)
        weights = np.ones(len(labels), np.float32)
        if recipe.balance == "weights":
            weights = positive_weights(goal.techniques, recipe.most_weight)
        goal = goal if teach is None else teach(goal)
        encoder = load_encoder(base, recipe.layers) if base is not None and recipe.epochs > 0 else None
        self.model = TextModel(encoder, len(labels), torch.from_numpy(weights), recipe.network)
        self.tokenizer = fit_tokenizer(texts, recipe.vocabulary) if base is None else load_tokenizer(base)
        places = np.arange(len(train))
        if recipe.balance == "oversampling":
            places = repeats(targets(train, labels).techniques, recipe.oversampled)
        letters = recipe.network.letters
        rows = TextRows(texts, goal, self.tokenizer, shares(train, recipe.group_power) * times, letters)
        changed = mutants(train, recipe.mutated, recipe.seed) if recipe.mutated > 0 else None
        self.seen = ThinnedRows(rows, places, recipe.seed, changed)
        reading = Tokenizer.from_str(self.tokenizer.to_str())
        reading.enable_truncation(recipe.max_length)  # as serving reads, whatever the training length
        self.unseen = TextRows([row.text for row in dev], targets(dev, labels), reading, shares(dev, 0.0), letters)

    def run(self, phase: Phase, work: Path) -> list[Mapping[str, Any]]:
        """Trains, leaves the phase's best weights in the network, and returns its evaluations.

        A phase that was broken off goes on from its last evaluation in ``work``.
        """
        self.tokenizer.enable_truncation(phase.length)
        folder = work / phase.name.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        trainer = _TextTrainer(
            malice_share=self.recipe.malice_share,
            model=self.model,
            args=arguments(self.recipe, phase, folder, len(self.seen)),
            train_dataset=self.seen,
            eval_dataset=self.unseen,
            data_collator=collate,
            compute_metrics=lambda found: selection_score(found.predictions, self.dev, self.labels),
            callbacks=[EarlyStoppingCallback(self.recipe.patience), Passes(self.seen), Progress(phase.name)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=get_last_checkpoint(str(folder)))
        self.tokenizer.no_truncation()
        return [entry for entry in trainer.state.log_history if "eval_score" in entry]


class Fit(msgspec.Struct, frozen=True):
    """The best network by dev score, the tokenizer that it reads by, and the evaluations of each phase."""

    model: TextModel
    tokenizer: Tokenizer
    history: Mapping[str, Any]


def fit(
    train: Sequence[Row],
    dev: Sequence[Row],
    labels: Sequence[str],
    base: Path | None,
    recipe: Recipe,
    *,
    work: Path | None = None,
    replay: Floats | None = None,
    teach: Teach | None = None,
    unlabelled: Sequence[str] = (),
) -> Fit:
    """Fits the bags of word pieces, those of letters, then, where the recipe trains it, the encoder of ``base`` upon them.

    ``base`` None: the tokenizer is fitted too.

    Each phase is judged with what came before it. Where it never beats that, it stays off. The letters are learnt by
    themselves, the encoder upon the bags: its heads start at zero, and so from their score. ``work`` keeps what a run that was broken off goes on from.
    ``replay`` (n,) multiplies the weight of each training row in both losses; ``teach`` changes the rows' targets.
    ``unlabelled`` are texts that the encoder is pre-trained on, beside those of the training rows.
    """
    set_seed(recipe.seed)
    session = _Session(train, dev, labels, base, recipe, replay, teach)
    model = session.model
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) if work is None else work
        history: dict[str, Any] = {WIDE: session.run(_wide(recipe), folder)}
        kept = WIDE
        if LETTERS in model.halves:
            model.spell()
            history[SPELT] = session.run(_spelt(recipe), folder)
            if best(history[SPELT]) > best(history[kept]):
                kept = SPELT
            else:
                model.on = (PIECES,)
        if model.encoder is not None:
            if recipe.pretrain > 0 and base is not None:
                texts = [*(row.text for row in train), *unlabelled]
                history[MASKED] = pretrain(base, model.encoder, session.tokenizer, texts, recipe, folder)
                history |= {UNLABELLED: described(unlabelled)} if unlabelled else {}
            model.deepen()
            history[DEEP] = session.run(_deep(recipe), folder)
            if best(history[DEEP]) > best(history[kept]):
                kept = DEEP
            else:
                model.deep = False
    print(f"kept: {kept}, dev score {best(history[kept]):.4f}", flush=True)
    return Fit(model.cpu().finish(recipe.window, recipe.letter_window), session.tokenizer, {**history, "kept": kept})


def _wide(recipe: Recipe) -> Phase:
    return Phase(
        name=WIDE,
        epochs=recipe.wide_epochs,
        rate=recipe.wide_rate,
        length=recipe.max_length,
        evaluations=recipe.wide_evaluations,
    )


def _spelt(recipe: Recipe) -> Phase:
    return Phase(
        name=SPELT,
        epochs=recipe.letter_epochs,
        rate=recipe.letter_rate,
        length=recipe.max_length,
        evaluations=max(1, round(recipe.letter_epochs)),
    )


def _deep(recipe: Recipe) -> Phase:
    return Phase(
        name=DEEP,
        epochs=recipe.epochs,
        rate=recipe.learning_rate,
        length=recipe.train_length,
        evaluations=recipe.evaluations,
        longest_step=1.0,
    )


def best(evaluations: Sequence[Mapping[str, Any]]) -> float:
    """The highest dev score of a phase."""
    return max(float(entry["eval_score"]) for entry in evaluations)
