"""Heads that are fitted once more: a mix of logits, in weights alone, in which sub-techniques follow and a row's level stays."""

from __future__ import annotations

import numpy as np
import torch

from connector.learn.training.labels import Floats, Targets
from connector.learn.training.model import PIECES, Shape, TextModel
from connector.learn.training.refit import refit

LABELS = ("T1001", "T1001.001", "T1002", "T1003")
PARENTS = np.array([True, False, True, True])
COMMON, RARE = 60, 4


def model() -> TextModel:
    torch.manual_seed(1)
    made = TextModel(None, 4, torch.ones(4), Shape(buckets=64, bag_width=6, letters=8, letter_buckets=64))
    made.on = (PIECES, "letters")
    made.eval()
    return made


def rows(made: TextModel) -> tuple[Floats, Targets]:
    """Features in which each technique has a direction of its own, and one of them is rare."""
    draw = np.random.default_rng(1)
    first = np.repeat([0, 2, 3], [COMMON, COMMON, RARE])
    width = sum(half.techniques.in_features + half.malicious.in_features for half in made.halves.values())
    features = draw.normal(size=(len(first), width), scale=0.3).astype(np.float32)
    features[np.arange(len(first)), first] += 1.0
    techniques = np.zeros((len(first), 4), np.float32)
    techniques[np.arange(len(first)), first] = 1.0
    return features, Targets(
        techniques, np.full(len(first), np.nan, np.float32), np.ones(len(first), np.float32), PARENTS
    )


def said(made: TextModel, features: Floats) -> Floats:
    with torch.no_grad():
        parts = [head(torch.from_numpy(features[:, part])) for head, part in made.readers()]
    return np.asarray(torch.stack(parts).sum(0).numpy())


def test_the_rare_technique_is_found_sub_techniques_move_with_their_parents_and_a_row_keeps_its_level() -> None:
    made = model()
    features, goal = rows(made)
    before = said(made, features)

    refit(made, features, goal, LABELS, np.ones(len(features), np.float32), 1.0)
    after = said(made, features)

    assert (after[:, PARENTS].argmax(1) == goal.techniques[:, PARENTS].argmax(1)).mean() > 0.95
    assert (after[-RARE:, PARENTS].argmax(1) == 2).all()
    np.testing.assert_allclose((after - before)[:, 1], (after - before)[:, 0], atol=1e-4)
    np.testing.assert_allclose(after[:, PARENTS].mean(1), before[:, PARENTS].mean(1), atol=1e-4)


def test_a_share_mixes_the_logits() -> None:
    whole, half = model(), model()
    features, goal = rows(whole)
    before, weight = said(whole, features), np.ones(len(features), np.float32)

    refit(whole, features, goal, LABELS, weight, 1.0)
    refit(half, features, goal, LABELS, weight, 0.25)

    np.testing.assert_allclose(said(half, features), 0.75 * before + 0.25 * said(whole, features), atol=1e-4)


def test_the_heads_of_malice_and_what_names_no_technique_change_nothing() -> None:
    made, other = model(), model()
    features, goal = rows(made)
    techniques = np.concatenate([goal.techniques, np.full((5, 4), np.nan, np.float32)])
    weight = np.concatenate([np.ones(len(features)), np.full(5, 9.0)]).astype(np.float32)
    more = np.concatenate([features, np.ones((5, features.shape[1]), np.float32)])

    refit(made, features, goal, LABELS, np.ones(len(features), np.float32), 0.6)
    refit(
        other, more, Targets(techniques, np.full(len(more), np.nan, np.float32), weight, PARENTS), LABELS, weight, 0.6
    )

    np.testing.assert_allclose(said(other, features), said(made, features), atol=1e-3)
    for name, half in model().halves.items():
        torch.testing.assert_close(half.malicious.weight, made.halves[name].malicious.weight)
