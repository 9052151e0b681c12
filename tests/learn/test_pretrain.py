"""Pre-training: what is masked, which texts are read, that the loss falls, and that a run goes on where it was broken off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from connector.demo import scenario_paths
from connector.errors import ConfigError
from connector.events import normalise, render
from connector.learn import dataset
from connector.learn.corpora import wrap
from connector.learn.corpora.source import Corpora
from connector.learn.dataset import Dataset
from connector.learn.training import checkpoint, pretrain
from connector.learn.training.__main__ import _parser, main, order_of
from connector.learn.training.fit import DEEP, DEFAULT, Fit, fit
from connector.learn.training.labels import label_space
from connector.learn.training.model import Shape, load_encoder, load_tokenizer
from connector.learn.training.phases import Progress
from connector.learn.training.pretrain import MASKED, NOT_ASKED, UNLABELLED, MaskedRows, unlabelled
from connector.types import RawEvent, SourceRef
from tests.learn import encoder

SMALL = msgspec.structs.replace(
    DEFAULT, shape=Shape(buckets=256, bag_width=8), wide_epochs=1, wide_evaluations=1, letter_epochs=0, layers=(0, 2), refit=0.0,
    pretrain=2, epochs=1, learning_rate=0.01, max_length=64, sub_groups=3, batch_size=16,
)  # fmt: skip


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("base") / "encoder"
    encoder.write(folder, "[MASK]")
    return folder


@pytest.fixture(scope="module")
def built(tiny: Corpora) -> Dataset:
    return dataset.build(tiny)


def fitted(built: Dataset, base: Path, **given: Any) -> Fit:
    train = built.of("train")
    return fit(train, built.of("dev"), label_space(train, 3, 3), base, SMALL, **given)


@pytest.fixture(scope="module")
def whole(built: Dataset, base: Path) -> Fit:
    return fitted(built, base)


def test_one_token_in_seven_is_guessed_none_of_them_a_special_one_and_others_in_each_pass(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    rows = MaskedRows(["process start | command dumper cmd exe"] * 400, tokenizer, 1)
    plain = torch.tensor(tokenizer.encode(rows.texts[0]).ids)
    read = [rows[index] for index in range(len(rows))]

    guessed = torch.stack([row["labels"] for row in read])
    asked = guessed != NOT_ASKED
    assert 0.12 < asked[:, 1:-1].float().mean() < 0.18
    assert not asked[:, [0, -1]].any()
    assert (guessed == plain)[asked].all()
    shown = torch.stack([row["input_ids"] for row in read])
    assert (shown == plain)[~asked].all()
    assert 0.7 < (shown[asked] == tokenizer.token_to_id("[MASK]")).float().mean() < 0.9
    torch.testing.assert_close(rows[3], read[3])
    rows.epoch = 1
    assert any((rows[index]["labels"] != read[index]["labels"]).any() for index in range(9))


def test_the_loss_on_texts_held_out_falls_and_the_encoder_is_then_trained_upon_the_bags(whole: Fit) -> None:
    losses = [entry["eval_loss"] for entry in whole.history[MASKED]]

    assert next(entry["step"] for entry in whole.history[MASKED]) == 0
    assert losses[-1] < losses[0] - 0.5
    assert whole.history[DEEP]
    assert UNLABELLED not in whole.history


def test_the_encoder_alone_is_changed_and_the_head_that_guesses_is_left_behind(base: Path, tmp_path: Path) -> None:
    network, tokenizer = load_encoder(base, (0, 2)), load_tokenizer(base)
    before = {name: weight.clone() for name, weight in network.state_dict().items()}

    pretrain.pretrain(base, network, tokenizer, [f"process start | command {n}" for n in range(40)], SMALL, tmp_path)

    after = network.state_dict()
    assert after.keys() == before.keys()
    assert sum(bool((after[name] != weight).any()) for name, weight in before.items()) > len(before) / 2


@pytest.mark.full
def test_a_run_that_was_broken_off_while_it_was_pre_trained_ends_with_the_weights_of_one_that_was_not(
    built: Dataset, base: Path, whole: Fit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = Progress.on_log

    def cut(self: Progress, *given: Any, **named: Any) -> None:
        said(self, *given, **named)
        if self.phase == MASKED and given[1].global_step == given[1].max_steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "on_log", cut)
    with pytest.raises(KeyboardInterrupt):
        fitted(built, base, work=checkpoint.work(tmp_path, "d", SMALL, False))
    monkeypatch.undo()
    assert not (tmp_path / "work" / DEEP.replace(" ", "-")).exists()

    again = fitted(built, base, work=checkpoint.work(tmp_path, "d", SMALL, True))

    assert [one["eval_loss"] for one in again.history[MASKED]] == [one["eval_loss"] for one in whole.history[MASKED]]
    for name, weight in whole.model.state_dict().items():
        torch.testing.assert_close(again.model.state_dict()[name], weight)


def test_unlabelled_events_are_read_beside_the_rows_and_none_of_a_left_out_group_or_of_the_demo(
    built: Dataset, base: Path, tmp_path: Path
) -> None:
    events = [wrap.process(f"newtool.exe --job {name}", wrap.seeded(name)) for name in ("alpha", "bravo")]
    (tmp_path / "events.jsonl").write_bytes(
        b"\n".join(map(msgspec.json.encode, [*events, events[0]])) + b"\nno event\n"
    )
    rendered = {render(event(data).canonical): event(data).fingerprint for data in events}

    found = unlabelled([tmp_path / "events.jsonl"], built)
    assert set(rendered) <= set(found)
    closed = msgspec.structs.replace(built.of("dev")[0], fingerprint=next(iter(rendered.values())))
    left = unlabelled([tmp_path / "events.jsonl"], msgspec.structs.replace(built, rows=(*built.rows, closed)))
    assert set(found) - set(left) == {next(iter(rendered))}
    alike = msgspec.structs.replace(built.of("dev")[0], text=next(iter(rendered)))
    left = unlabelled([tmp_path / "events.jsonl"], msgspec.structs.replace(built, rows=(*built.rows, alike)))
    assert set(found) - set(left) == {next(iter(rendered))}
    with pytest.raises(ConfigError, match="no event to learn from"):
        unlabelled(list(scenario_paths()), built)
    assert unlabelled([], built) == ()

    told = fitted(built, base, unlabelled=found).history[UNLABELLED]
    assert told == {"texts": len(found), "sha256": pretrain.digest_of(found)}


def event(data: Any) -> Any:
    return normalise(RawEvent(deployment="d", native_id="1", ref=SourceRef(siem="s", index="i", id="1"), data=data))


def test_a_base_without_a_token_that_masks_is_refused(built: Dataset, tmp_path: Path) -> None:
    encoder.write(tmp_path / "base")

    with pytest.raises(ConfigError, match="no token that masks"):
        fitted(built, tmp_path / "base")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pretrain", "1"], "say with --epochs for how long"),
        (["--epochs", "1", "--unlabelled", "events.jsonl"], "say with --pretrain how many times"),
        (
            ["--fitted", "kept", "--epochs", "1", "--pretrain", "1", "--unlabelled", "events.jsonl"],
            "--fitted trains nothing",
        ),
    ],
)
def test_options_that_would_do_nothing_are_refused_before_anything_is_read(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["text", "--corpora", str(tmp_path), "--output", str(tmp_path / "store"), *options]) == 2
    assert said in capsys.readouterr().err


def test_the_command_line_gives_passes_and_files() -> None:
    words = ["text", "--output", "s", "--epochs", "1", "--pretrain", "0.5", "--unlabelled", "a", "--unlabelled", "b"]

    order = order_of(_parser().parse_args(words))

    assert order.recipe.pretrain == 0.5
    assert order.unlabelled == (Path("a"), Path("b"))
    assert DEFAULT.pretrain == 0.0
