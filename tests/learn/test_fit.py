"""What fitting returns is the best by dev score, whichever phase it came from."""

from pathlib import Path

import pytest
import torch

from connector.learn import dataset
from connector.learn.corpora.source import Corpora
from connector.learn.training import checkpoint
from connector.learn.training.export import export
from connector.learn.training.fit import DEEP, Recipe, fit
from connector.learn.training.labels import label_space
from connector.learn.training.model import Read, Shape, load_tokenizer
from connector.learn.training.rows import padded
from connector.models.graph import spelling
from connector.models.text import TextMember
from connector.ports import MemberSpec
from tests.learn import encoder

HARMFUL = Recipe(
    shape=Shape(letters=64, letter_buckets=512),
    letter_epochs=1,
    layers=None,
    wide_epochs=4,
    epochs=2,
    learning_rate=5.0,
    evaluations=6,
    patience=1,
    max_length=64,
    sub_groups=3,
)


def test_a_second_phase_that_helps_nothing_gives_the_first_ones_weights_and_stops_early(
    tiny: Corpora, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    encoder.write(tmp_path / "base")
    rows = dataset.build(tiny)
    labels = label_space(rows.of("train"), 3, 3)

    made = fit(rows.of("train"), rows.of("dev"), labels, tmp_path / "base", HARMFUL)
    model, history = made.model, made.history

    assert history["kept"] != DEEP
    assert not model.deep
    assert len(history[DEEP]) < HARMFUL.evaluations
    said = capsys.readouterr().out
    assert "wide: step" in said
    assert "dev score" in said
    assert "{'" not in said

    checkpoint.save(tmp_path, made, checkpoint.of(made, "d", labels, HARMFUL))
    again = checkpoint.load(tmp_path, tmp_path / "base")
    export(again.model, again.tokenizer, tmp_path / "member", quantise=False)
    member = TextMember(
        MemberSpec(
            name="t",
            kind="text",
            directory="t",
            labels=labels,
            options={"max_length": 64, "letters": 64, "batch_size": 1},
        ),
        tmp_path / "member",
        0,
    )
    served, _ = member.logits(["process start | command dumper"])
    member.close()
    ids = torch.tensor([load_tokenizer(tmp_path / "base").encode("process start | command dumper").ids])
    with torch.no_grad():
        found, _ = model.logits(Read(*padded(ids), *padded([spelling("process start | command dumper", 64)])))
    torch.testing.assert_close(torch.from_numpy(served), found, atol=1e-4, rtol=1e-4, check_dtype=False)
