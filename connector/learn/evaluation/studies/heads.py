"""Do other heads over the features of a bundle's text member find rare techniques: labels' texts, contrast, or one softmax over parents.

Each head is fitted on the features of the training rows, as the member that serves gives them, and ranks the parent
techniques of rows that the bundle was not fitted on. Beside it, a share of its logits mixed into the shipped ones. Parents
are ranked by their own columns, before calibration.

- Label embedding: a bilinear map from a row's features to those of each technique's texts, after Akata et al., Label-Embedding
  for Image Classification, arXiv:1503.08677. Rare techniques share the map with all others.
- Contrastive: a linear projection in which rows of one technique lie together, after Khosla et al., Supervised Contrastive
  Learning, arXiv:2004.11362; a row is of the technique whose mean is nearest.
- One softmax over parents: what the recipe's refit mixes in (:mod:`connector.learn.training.refit`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from connector.errors import ConfigError
from connector.learn.dataset import Dataset, Row
from connector.learn.evaluation.shipped import Bundle
from connector.learn.evaluation.studies.ranks import RANKS, SPLITS, Ranks, cells, ranked, rarely
from connector.learn.training.fit import DEFAULT
from connector.learn.training.labels import Floats, shares, targets
from connector.learn.training.refit import PENALTY, minimise, missed, softmax
from connector.models.text import TextMember

SENTENCES = "procedure"
"""The label basis of ATT&CK's own sentences."""

WIDTH, TEMPERATURE, RATE, PASSES, BATCH = 64, 0.1, 1e-2, 10, 1024
"""Of the contrastive projection; fixed before anything was measured."""

Head: TypeAlias = Callable[[Tensor], Tensor]
"""Features (n, d) to logits of parent techniques (n, techniques)."""


class Learnt(NamedTuple):
    """Features (n, d) of n training rows, the shares of each row's techniques (n, techniques), and weights that sum to 1."""

    read: Tensor
    right: Tensor
    weight: Tensor
    sentences: Tensor
    """(techniques, d): the mean features of a technique's ATT&CK sentences, where it has none those of all its rows."""


class Study(msgspec.Struct, frozen=True):
    """By head, its ranks on each split that fitted no weight."""

    bundle: str
    dataset: str
    rows: int
    heads: Mapping[str, Mapping[str, Ranks]]


def study(bundle: Bundle, dataset: Dataset, step: int = 1, seed: int = 1) -> Study:
    """Fits each head on one in ``step`` of the training rows that name a technique, and compares them."""
    spec, folder = bundle.member
    parents = tuple(name for name in spec.labels if "." not in name)
    columns = [spec.labels.index(name) for name in parents]
    train, unseen = dataset.of("train"), bundle.unseen(dataset)
    rare = rarely(train)
    train = [row for row in train if row.techniques][::step]
    member = TextMember(spec, folder, 0)
    try:
        learnt = learn(train, member.embed([row.text for row in train]), parents)
        heads = fitted(learnt, seed)
        found: dict[str, dict[str, Ranks]] = {}
        for split in SPLITS:
            rows = [row for row in unseen if row.split == split]
            said = member.read([row.text for row in rows])
            shipped = torch.from_numpy(said.techniques[:, columns].astype(np.float32))
            for name, logits in answers(heads, torch.from_numpy(said.embedding), shipped):
                found.setdefault(name, {})[split] = ranked(logits.numpy(), rows, parents, rare)
    finally:
        member.close()
    return Study(bundle.manifest.ref, dataset.facts.digest, len(train), found)


def learn(train: Sequence[Row], features: Floats, parents: Sequence[str]) -> Learnt:
    """The rows that name one of the techniques, as heads learn from them. Raises ``ConfigError`` where there are none."""
    wanted = np.nan_to_num(targets(train, parents).techniques)
    named = [place for place, told in enumerate(wanted) if told.any()]
    if not named:
        raise ConfigError("no training row names a technique that the bundle knows")
    read, marked = torch.from_numpy(features[named]), torch.from_numpy(wanted[named])
    weight = torch.from_numpy(shares([train[place] for place in named], DEFAULT.group_power))
    told = torch.tensor([train[place].basis == SENTENCES for place in named], dtype=torch.float32)[:, None]
    own, all_of = ((marked * by).T for by in (told, torch.ones_like(told)))
    by = torch.where(own.sum(1, keepdim=True) > 0, own, all_of)
    means = by @ read / by.sum(1, keepdim=True).clamp(min=1.0)
    return Learnt(read, marked / marked.sum(1, keepdim=True), weight / weight.sum(), means)


def fitted(learnt: Learnt, seed: int) -> Mapping[str, tuple[Head, tuple[float, ...]]]:
    """The heads, each with the shares of it that are mixed into the shipped one."""
    weights, bias = softmax(learnt.read, learnt.right, learnt.weight)
    return {
        "label embedding": (label_embedding(learnt), (0.4,)),
        "contrastive projection, nearest mean": (contrastive(learnt, seed), (0.4,)),
        "one softmax over parents": (lambda read: read @ weights + bias, (0.3, 0.6)),
    }


def answers(
    heads: Mapping[str, tuple[Head, tuple[float, ...]]], read: Tensor, shipped: Tensor
) -> Iterator[tuple[str, Tensor]]:
    """What the shipped head says of rows, each other one, and each of its mixtures with the shipped one."""
    yield "as shipped", shipped
    for name, (head, mixed) in heads.items():
        own = head(read)
        yield name, own
        for share in mixed:
            yield f"{name}, {share:g} of it mixed in", (1 - share) * shipped + share * own


def label_embedding(learnt: Learnt) -> Head:
    """Logits x W e, where e is the mean of a technique's sentences, away from the mean of all and of length 1."""
    middle = learnt.sentences.mean(0)
    labels = nn.functional.normalize(learnt.sentences - middle).T
    bilinear = torch.zeros(learnt.read.shape[1], labels.shape[0], requires_grad=True)

    def loss() -> Tensor:
        return missed(learnt.read @ bilinear @ labels, learnt.right, learnt.weight) + PENALTY * bilinear.square().sum()

    minimise([bilinear], loss)
    weights = bilinear.detach() @ labels
    return lambda read: read @ weights


def contrastive(learnt: Learnt, seed: int) -> Head:
    """Cosines, over the temperature, to each technique's mean in the projection."""
    torch.manual_seed(seed)
    project = nn.Linear(learnt.read.shape[1], WIDTH, bias=False)
    steps = torch.optim.Adam(project.parameters(), RATE)
    for _ in range(PASSES):
        for places in torch.randperm(len(learnt.read)).split(BATCH):
            steps.zero_grad()
            apart(
                nn.functional.normalize(project(learnt.read[places])), learnt.right[places], learnt.weight[places]
            ).backward()
            steps.step()
    with torch.no_grad():
        near = nn.functional.normalize(project(learnt.read)) * learnt.weight[:, None]
        means = nn.functional.normalize(learnt.right.T @ near)
        weights = project.weight.detach().T
    return lambda read: nn.functional.normalize(read @ weights) @ means.T / TEMPERATURE


def apart(projected: Tensor, right: Tensor, weight: Tensor) -> Tensor:
    """The supervised contrastive loss of a batch of unit vectors (n, d); rows that share a technique are alike."""
    itself = torch.eye(len(projected), dtype=torch.bool)
    alike = ((right @ right.T > 0) & ~itself).to(projected.dtype)
    said = torch.log_softmax((projected @ projected.T / TEMPERATURE).masked_fill(itself, -1e9), 1)
    counted = weight * (alike.sum(1) > 0)
    return -((said * alike).sum(1) / alike.sum(1).clamp(min=1.0)) @ counted / counted.sum().clamp(min=1e-12)


def lines(found: Study) -> Iterator[str]:
    """The study as a table."""
    yield f"bundle {found.bundle}, dataset {found.dataset[:12]}, heads fitted on {found.rows} training rows with a technique"
    yield ""
    yield f"| head | split | {RANKS} |"
    yield "|---|---|---|---|---|---|"
    for name, splits in found.heads.items():
        for split, seen in splits.items():
            yield f"| {name} | {split} | {cells(seen)} |"
