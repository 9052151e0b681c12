"""Other heads over features: what each can learn, how shares are mixed, and the study whole by the command."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from connector.errors import ConfigError
from connector.learn import dataset, dataset_file
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Row
from connector.learn.evaluation.studies import heads, ranks
from connector.learn.evaluation.studies.__main__ import main
from tests.learn.test_targets import row

PARENTS = ("T1001", "T1002", "T1003")
WIDTH = 8


def rows(*counts: int) -> tuple[list[Row], np.ndarray]:
    """So many rows of each technique, each technique in a direction of its own."""
    draw = np.random.default_rng(1)
    places = np.repeat(np.arange(len(counts)), counts)
    features = draw.normal(size=(len(places), WIDTH), scale=0.1).astype(np.float32)
    features[np.arange(len(places)), places] += 1.0
    return [row((PARENTS[place],), group=f"g{number}") for number, place in enumerate(places)], features


@pytest.mark.parametrize(
    "name", ["label embedding", "contrastive projection, nearest mean", "one softmax over parents"]
)
def test_each_head_tells_techniques_apart_and_a_rare_one_too(name: str) -> None:
    train, features = rows(60, 60, 5)
    head, _ = heads.fitted(heads.learn(train, features, PARENTS), 1)[name]
    unseen, others = rows(20, 20, 20)

    with torch.no_grad():
        found = ranks.ranked(head(torch.from_numpy(others)).numpy(), unseen, PARENTS, frozenset({"T1003"}))

    assert (found.rows, found.rare) == (60, 20)
    assert min(found.top1, found.rare1) > 0.9


def test_a_technique_is_embedded_by_its_attack_sentences_and_without_any_by_all_its_rows() -> None:
    train, features = rows(2, 2, 1)
    train[0] = msgspec.structs.replace(train[0], basis=heads.SENTENCES)
    learnt = heads.learn([*train, row()], np.concatenate([features, features[:1]]), PARENTS)

    np.testing.assert_allclose(learnt.sentences[0], features[0], rtol=1e-5)
    np.testing.assert_allclose(learnt.sentences[1], features[2:4].mean(0), rtol=1e-5)
    assert len(learnt.read) == len(train)
    assert learnt.weight.sum().item() == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="names a technique"):
        heads.learn([row()], features[:1], PARENTS)


def test_rows_of_one_technique_that_lie_together_cost_less_than_rows_that_lie_apart() -> None:
    right, weight = torch.eye(3)[[0, 0, 1, 1]], torch.ones(4)
    together, mixed = torch.eye(4)[[0, 0, 1, 1]], torch.eye(4)[[0, 1, 0, 1]]

    assert heads.apart(together, right, weight) < heads.apart(mixed, right, weight)
    assert heads.apart(together, torch.eye(4), weight) == 0


def test_a_share_of_a_head_is_mixed_into_what_ships() -> None:
    found = dict(heads.answers({"twice": (lambda read: 2 * read, (0.25,))}, torch.ones(1, 2), torch.zeros(1, 2)))

    assert list(found) == ["as shipped", "twice", "twice, 0.25 of it mixed in"]
    torch.testing.assert_close(found["twice, 0.25 of it mixed in"], torch.full((1, 2), 0.5))


def test_a_technique_is_rare_by_its_training_rows_sub_techniques_counted() -> None:
    common = [row(("T1002.001",))] * (ranks.RARE - 1) + [row(("T1002",))]

    assert ranks.rarely([*common, row(("T1001", "T1001.002"))]) == {"T1001"}


@pytest.mark.full
def test_the_command_measures_the_shipped_bundle(
    tiny: Corpora, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset_file.write(dataset.build(tiny), tmp_path / "rows")

    assert main(["heads", "--rows", str(tmp_path / "rows"), "--output", str(tmp_path), "--quick"]) == 0

    said = capsys.readouterr().out
    assert all(f"| {name} | dev |" in said for name in ("as shipped", "label embedding", "one softmax over parents"))
    found = msgspec.json.decode((tmp_path / "heads.json").read_bytes(), type=heads.Study)
    assert len(found.heads) == 8
