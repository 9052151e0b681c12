"""An explanation names what weighed most, costs a bounded number of runs, and is like the examples that it is like."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.models import neighbours
from connector.models.explain import MOST_FIELDS, MOST_WORDS, explain
from connector.models.neighbours import Example
from tests.models.events import process_start

WORDS = ("mimikatz", "sekurlsa", "tool.exe", "notes")


class BagReader:
    """A member whose logit is the number of telling words, and whose features are those counts."""

    name = "text"
    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.runs = 0

    def logits(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        self.runs += len(texts)
        counts = np.array([[text.count(word) for word in WORDS] for text in texts], np.float64)
        return counts, counts @ np.array([3.0, 2.0, 0.5, 0.0])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.runs += len(texts)
        return np.array([[text.count(word) for word in WORDS] for text in texts], np.float32)


def _example(text: str, technique: str) -> Example:
    return Example(techniques=(technique,), malicious=True, source="atomic", record="a#1", text=text)


def test_the_heaviest_field_and_its_heaviest_words_come_first() -> None:
    found = explain(process_start("mimikatz sekurlsa::logonpasswords exit"), BagReader())
    assert [one.piece for one in found.fields] == ["process.command_line", "process.executable"]
    assert [(one.piece, one.weight) for one in found.words] == [("mimikatz", 3.0), ("sekurlsa::logonpasswords", 2.0)]


def test_what_brings_nothing_is_not_named() -> None:
    found = explain(process_start("notes notes"), BagReader())
    assert [one.piece for one in found.fields] == ["process.executable"]
    assert found.notes("text")[0] == "text: fields 'process.executable' +0.50"


def test_an_event_costs_no_more_runs_than_promised_however_long_it_is() -> None:
    reader = BagReader()
    explain(process_start("mimikatz " + "word " * 300), reader, None)
    assert reader.runs <= MOST_FIELDS + MOST_WORDS + 1


def test_lines_of_an_explanation_stay_short() -> None:
    notes = explain(process_start("mimikatz" * 200), BagReader()).notes("text")
    assert all(len(note) < 400 for note in notes)


def test_the_nearest_examples_are_named_with_their_technique_and_source(tmp_path: Path) -> None:
    texts = ["mimikatz sekurlsa", "notes", "tool.exe notes"]
    reader = BagReader()
    neighbours.write(tmp_path, reader.embed(texts), [_example(text, f"T100{n}") for n, text in enumerate(texts)])
    examples = neighbours.read(tmp_path)
    assert examples is not None
    assert len(examples) == 3
    found = explain(process_start("mimikatz sekurlsa"), reader, examples)
    assert found.examples[0].example.techniques == ("T1000",)
    assert found.examples[0].cosine > found.examples[-1].cosine
    assert any(note.startswith("text: like T1000 (atomic, ") for note in found.notes("text"))


def test_a_bundle_without_examples_has_none_and_one_with_broken_ones_is_refused(tmp_path: Path) -> None:
    assert neighbours.read(tmp_path) is None
    neighbours.write(tmp_path, np.eye(3, 4, dtype=np.float32), [_example(word, "T1") for word in WORDS[:3]])
    (tmp_path / neighbours.VECTORS).write_bytes(b"\x00" * 11)
    with pytest.raises(ConfigError, match="examples"):
        neighbours.read(tmp_path)


def test_features_of_another_model_are_refused(tmp_path: Path) -> None:
    neighbours.write(tmp_path, np.eye(3, 4, dtype=np.float32), [_example(word, "T1") for word in WORDS[:3]])
    examples = neighbours.read(tmp_path)
    assert examples is not None
    with pytest.raises(ConfigError, match="shape"):
        examples.like(np.zeros(5, np.float32))
