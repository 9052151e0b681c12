"""The study of pre-training whole, on a tiny corpus and a tiny encoder."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from connector.learn import dataset
from connector.learn.corpora.source import Corpora
from connector.learn.evaluation.studies import pretraining
from connector.learn.training.model import Shape
from tests.learn import encoder


@pytest.mark.full
def test_the_study_measures_the_encoder_with_and_without_pre_training_also_where_it_is_left_out(
    tiny: Corpora, tmp_path: Path
) -> None:
    encoder.write(tmp_path / "base", "[MASK]")
    small = {"shape": Shape(buckets=256, bag_width=4), "wide_epochs": 1, "wide_evaluations": 1, "max_length": 64}
    recipe = msgspec.structs.replace(pretraining.SHORT, **small, layers=None, learning_rate=0.01, sub_groups=3)
    rows = dataset.build(tiny)

    found = pretraining.study(rows, recipe, tmp_path / "base", step=2)

    alone, plain, taught = found.networks.values()
    assert found.rows + found.unlabelled == len(rows.of("train"))
    assert not alone.losses
    assert not plain.losses
    assert taught.losses[-1] < taught.losses[0]
    assert len({network.rates["dev"].auc for network in found.networks.values()}) == 3
    assert all(math.isfinite(network.rates["dev"].top1) for network in found.networks.values())
    assert len(list(pretraining.lines(found))) == 4 + 2 * 3 + 1
