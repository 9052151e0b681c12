"""Parts of fitting: the event tokenizer, the bag, weights by file, oversampling, optimizers that step together, resuming, tracking."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from transformers import TrainerState

from connector.errors import ConfigError
from connector.learn import dataset
from connector.learn.corpora.source import Corpora
from connector.learn.training import checkpoint, fit as fitting, tracking
from connector.learn.training.export import MODEL, export
from connector.learn.training.fit import Recipe, fit
from connector.learn.training.labels import label_space, repeats, shares
from connector.learn.training.model import LETTERS, PIECES, VOTES_WIDTH, Read, Shape, TextModel
from connector.learn.training.optimizer import optimizer
from connector.learn.training.phases import Phase, arguments
from connector.learn.training.vocabulary import fit_tokenizer
from connector.learn.training.wide import Bag
from connector.models.graph import Graph
from connector.models.testbed import lay_bundle
from connector.models.text import readings
from tests.learn.test_targets import row

SMALL = Recipe(
    shape=Shape(buckets=512, bag_width=8, letters=64, letter_buckets=512),
    wide_epochs=3, wide_evaluations=3, letter_epochs=1, vocabulary=300, sub_groups=3,
)  # fmt: skip


def test_no_byte_is_unknown_to_the_event_tokenizer_and_what_recurs_becomes_one_token() -> None:
    tokenizer = fit_tokenizer(["rundll32 comsvcs.dll, MiniDump"] * 20, 400)

    assert tokenizer.encode("comsvcs").tokens == ["comsvcs"]
    strange = "\u4e2d\x07 \U0001f600"
    assert len(tokenizer.encode(strange).ids) == len(strange.encode())
    assert "[UNK]" not in tokenizer.encode(strange).tokens


def test_padding_says_nothing_and_order_does() -> None:
    bag = Bag(4096, 4, 3).eval()
    ids, mask = torch.tensor([[5, 9, 7]]), torch.ones((1, 3), dtype=torch.long)
    padded, short = torch.tensor([[5, 9, 7, 0, 0]]), torch.tensor([[1, 1, 1, 0, 0]])

    torch.testing.assert_close(bag(padded, short), bag(ids, mask))
    assert not torch.allclose(bag(ids.flip(1), mask), bag(ids, mask))
    assert bag(ids[:, :1], mask[:, :1]).shape == (1, 4)


def test_a_bag_of_letters_does_not_count_what_is_shorter_than_its_shortest_gram() -> None:
    bag, mask = Bag(4096, 4, 5, least=3).eval(), torch.ones((1, 2), dtype=torch.long)

    assert not bag(torch.tensor([[5, 9]]), mask).any()
    assert bag(torch.tensor([[5, 9, 7]]), torch.ones((1, 3), dtype=torch.long)).any()


def test_letters_are_learnt_apart_and_then_heard_beside_the_word_pieces() -> None:
    model = TextModel(None, 2, torch.ones(2), SMALL.network)
    ids, letters = (torch.arange(1, 7).reshape(1, 6) + shift for shift in (0, 90))
    batch = Read(ids, torch.ones_like(ids), letters, torch.ones_like(letters))
    model.eval()
    pieces, _, _ = model.read(batch)

    model.spell()
    both, _, features = model.read(batch)
    model.train()
    model.read(batch)[0].sum().backward()

    torch.testing.assert_close(both - pieces, model.eval().halves[LETTERS](*batch[2:])[0])
    assert features.shape == (1, 8 + 8 + 8 + VOTES_WIDTH)
    assert model.halves[PIECES].techniques.weight.grad is None
    assert model.halves[LETTERS].techniques.weight.grad is not None


def test_a_bag_for_malice_of_one_column_says_what_the_wide_one_said() -> None:
    half = TextModel(None, 2, torch.ones(2), SMALL.network).eval().halves[LETTERS]
    letters = torch.randint(1, 255, (5, 40))
    half.finish(9)
    techniques, malicious, wide = half(letters, torch.ones_like(letters))

    half.narrow()
    found, bad, features = half(letters, torch.ones_like(letters))

    torch.testing.assert_close(found, techniques)
    torch.testing.assert_close(bad, malicious)
    torch.testing.assert_close(features[:, :-1], wide[:, : features.shape[1] - 1])
    assert wide.shape[1] - features.shape[1] == VOTES_WIDTH - 1


def test_words_beside_what_tells_do_not_dilute_it() -> None:
    bag = Bag(4096, 4, 2).eval()
    direction = torch.ones(1, 4)
    telling, idle = torch.tensor([[7, 8, 9]]), torch.tensor([[3, 4, 5] * 20])
    with torch.no_grad():
        bag.table.weight[:] = -0.01
        bag.table.weight[telling[0]] = 1.0

    def said(ids: torch.Tensor, window: int) -> float:
        return float((bag.strongest(ids, torch.ones_like(ids), direction, window) @ direction.T).item())

    alone = said(telling, 3)
    padded = (torch.cat([idle, telling], 1), torch.cat([telling, idle], 1), torch.cat([idle, telling, idle], 1))
    assert all(said(ids, 3) == pytest.approx(alone, abs=0.05) for ids in padded)
    assert all(said(ids, ids.shape[1]) < alone / 3 for ids in padded)


@pytest.mark.parametrize("window", [1, 3, 4, 30])
def test_a_stretch_is_never_weaker_than_the_whole_text_and_a_batchs_filling_is_no_part_of_it(window: int) -> None:
    bag = Bag(64, 4, 5, least=3).eval()
    direction = torch.randn(1, 4)
    ids = torch.randint(0, 200, (6, 12))
    mask = (torch.arange(12) < torch.tensor([[12], [9], [4], [2], [1], [0]])).long()

    found = bag.strongest(ids, mask, direction, window)

    assert ((found - bag(ids, mask)) @ direction.T > -1e-5).all()
    for place, length in enumerate(mask.sum(1).tolist()[:-1]):
        alone = bag.strongest(ids[place, None, :length], mask[place, None, :length], direction, window)
        torch.testing.assert_close(found[place, None], alone)
    assert not found[-1].any()


def test_an_exported_network_reads_the_strongest_stretch_as_the_fitted_one_does(tmp_path: Path) -> None:
    model = TextModel(None, 2, torch.ones(2), SMALL.network)
    model.spell()
    model.finish(4, 9)
    tokenizer = fit_tokenizer(["rundll32 comsvcs.dll, MiniDump"] * 20, 300)
    texts = [
        "r",
        "rundll32",
        "rundll32 comsvcs.dll, MiniDump 812 full",
        "echo words that do nothing & rundll32 comsvcs",
    ]

    export(model, tokenizer, tmp_path, quantise=False)
    graph = Graph(tmp_path / MODEL, labels=2, threads=1, batch_size=2)
    read = readings(tokenizer, texts, 64)
    found = graph.run(read, embeds=True)

    for place, one in enumerate(read):
        ids, letters = torch.tensor([one.tokens]), torch.tensor(one.letters)[None]
        with torch.inference_mode():
            techniques, bad, features = model.read(Read(ids, torch.ones_like(ids), letters, torch.ones_like(letters)))
        assert found.techniques[place] == pytest.approx(techniques[0].numpy(), abs=1e-4)
        assert found.malicious[place] == pytest.approx(bad.item(), abs=1e-4)
        assert len(found.embedding[place]) == features.shape[1] - VOTES_WIDTH + 1


def test_a_long_file_weighs_no_more_than_its_power_says() -> None:
    rows = [row(("T1003",), group="long")] * 9 + [row(("T1003",), group="short")]

    assert shares(rows, 0.0) == pytest.approx(np.ones(10))
    weight = shares(rows, 1.0)
    assert weight[:9].sum() == pytest.approx(weight[9])
    assert shares(rows, 0.5)[:9].sum() == pytest.approx(3 * shares(rows, 0.5)[9])


def test_oversampling_repeats_rows_of_rare_techniques_alone() -> None:
    techniques = np.array([[1, 0]] * 96 + [[0, 1]] + [[np.nan, np.nan]] * 3, np.float32)

    places = repeats(techniques, 0.09)

    assert np.bincount(places).tolist() == [1] * 96 + [3] + [1] * 3


@pytest.mark.parametrize(("asked", "every"), [(1, 300), (2, 150), (3, 100)])
def test_a_phase_is_evaluated_as_often_as_it_says(asked: int, every: int, tmp_path: Path) -> None:
    phase = Phase(name="x", epochs=1, rate=0.1, length=8, evaluations=asked)
    told = TrainerState()

    told.compute_steps(arguments(Recipe(), phase, tmp_path, 64), 300)

    assert (told.eval_steps, told.save_steps) == (every, every)


def test_one_schedule_moves_every_rate_also_after_a_state_was_taken_up() -> None:
    table = torch.nn.Embedding(8, 2, sparse=True)
    head = torch.nn.Linear(2, 1)
    found = optimizer([{"params": [table.weight], "lr": 0.5}], [{"params": list(head.parameters()), "lr": 0.5}])
    found.load_state_dict(found.state_dict())
    before = table.weight.detach().clone()

    for group in found.param_groups:
        group["lr"] = 0.0
    head(table(torch.tensor([3]))).sum().backward()
    found.step()

    torch.testing.assert_close(table.weight.detach(), before)
    for group in found.param_groups:
        group["lr"] = 0.5
    found.step()
    assert (table.weight.detach() != before).any(1).tolist() == [place == 3 for place in range(8)]


class _PowerCutError(RuntimeError):
    """Ends a run at a chosen evaluation, as a power cut would."""


def test_a_run_that_was_broken_off_ends_with_the_weights_of_one_that_was_not(
    tiny: Corpora, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dataset.build(tiny)
    train, dev = rows.of("train"), rows.of("dev")
    labels = label_space(train, 3, 3)
    whole = fit(train, dev, labels, None, SMALL)
    score, calls = fitting.selection_score, []

    def cut(*given):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            raise _PowerCutError
        return score(*given)

    monkeypatch.setattr(fitting, "selection_score", cut)
    place = checkpoint.work(tmp_path, "d", SMALL, False)
    with pytest.raises(_PowerCutError):
        fit(train, dev, labels, None, SMALL, work=place)
    monkeypatch.undo()

    again = fit(train, dev, labels, None, SMALL, work=checkpoint.work(tmp_path, "d", SMALL, True))

    assert len(again.history["wide"]) == len(whole.history["wide"])
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weight)
    with pytest.raises(ConfigError, match="other rows or by another recipe"):
        checkpoint.work(tmp_path, "another", SMALL, True)


@pytest.mark.full  # the store is laid out by three dozen migrations
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # of mlflow's own store
def test_a_run_is_told_to_mlflow_with_parameters_digest_metrics_and_files(tmp_path: Path) -> None:
    training = {"recipe": {"seed": 7}, "wide": [{"step": 5, "eval_score": 0.5}, {"step": 9, "eval_score": 0.75}]}
    metrics = {"training": training, "dev": {"rows": 3, "by kind": {"sysmon-1": {"auc": 0.9}}}, "calibration": {}}
    lay_bundle(tmp_path, metrics=metrics)

    run = tracking.record(tracking.beside(tmp_path), tmp_path / "tiny" / "1")

    client = MlflowClient(tracking_uri=tracking.beside(tmp_path))
    told = client.get_run(run).data
    assert told.params["seed"] == "7"
    assert told.params["dataset"] == "0" * 64
    assert told.metrics["dev/by kind/sysmon-1/auc"] == 0.9
    assert [point.step for point in client.get_metric_history(run, "wide/eval_score")] == [5, 9]
    assert {entry.path for entry in client.list_artifacts(run)} == {"manifest.json", "README.md"}
