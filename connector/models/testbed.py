"""Small real bundles: a bag-of-words graph and a word tokenizer, made in a moment, for contract suites and plug-in tests.

Needs the package ``onnx`` (extra ``train``), imported only when a graph is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from connector.attack import catalogue
from connector.events import CANONICAL_VERSIONS
from connector.models import fingerprints, manifest as manifests
from connector.models.text import MODEL, TOKENIZER
from connector.ports import MemberSpec

Weights = Mapping[str, Mapping[str, float]]
"""Word → what it adds to the logit of a technique, or of ``malicious``."""

WEIGHTS: Weights = {
    "mimikatz": {"T1003": 8.0, "T1003.001": 7.0, "malicious": 12.0},
    "powershell": {"T1059": 7.0, "T1059.001": 7.0, "malicious": 3.0},
    "whoami": {"T1033": 8.0, "malicious": 1.0},
}
"""What the bundle knows by default; every other word weighs nothing."""

BIAS = -4.0
"""The logit of everything in a text of unknown words."""

PADDING = 9.0
"""What a padding token would add to every logit if it were not masked, so that a wrong mask shows."""

THRESHOLDS = manifests.Thresholds(
    suspicious=0.3,
    malicious=0.6,
    trigger=0.9,
    techniques=manifests.TechniqueThresholds(default=0.5),
    false_alarms={"suspicious": 100.0, "malicious": 10.0, "trigger": 1.0},
)
TEXT_THRESHOLDS = msgspec.structs.replace(THRESHOLDS, suspicious=0.1, malicious=0.2, trigger=0.4)
"""Of the text member alone, where others stand beside it: levels that no level of the bundle can be taken for."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def labels_of(weights: Weights) -> tuple[str, ...]:
    """The technique ids that the words speak of, sorted."""
    return tuple(sorted({label for word in weights.values() for label in word} - {"malicious"}))


def lay_text_member(directory: Path, weights: Weights = WEIGHTS) -> None:
    """Writes ``model.onnx`` and ``tokenizer.json`` of a text member whose logits are the bias plus its words' weights."""
    directory.mkdir(parents=True, exist_ok=True)
    labels = labels_of(weights)
    words = (*SPECIAL, *sorted(weights))
    table = np.zeros((len(words), len(labels) + 1), np.float32)
    for row, word in enumerate(words):
        for column, label in enumerate((*labels, "malicious")):
            table[row, column] = weights.get(word, {}).get(label, 0.0)
    table[words.index("[PAD]")] = PADDING
    (directory / TOKENIZER).write_text(json.dumps(_tokenizer(words)), encoding="utf-8")
    (directory / MODEL).write_bytes(_graph(table))


def text_spec(name: str = "text", weights: Weights = WEIGHTS, **options: Any) -> MemberSpec:
    """How a manifest lists that member."""
    return MemberSpec(name=name, kind="text", directory=name, labels=labels_of(weights), options=options)


def lay_bundle(
    store: Path,
    *,
    name: str = "tiny",
    version: str = "1",
    weights: Weights = WEIGHTS,
    members: Sequence[MemberSpec] = (),
    trained_on: Sequence[str] = (),
    **parts: Any,
) -> manifests.Manifest:
    """Writes and seals a bundle of that text member and any others; ``parts`` replace fields of its manifest.

    With others, :data:`TEXT_THRESHOLDS` are the text member's own levels.
    """
    directory = store / name / version
    lay_text_member(directory / "text", weights)
    fingerprints.write(directory / fingerprints.FILE, trained_on)
    (directory / "README.md").write_text("# A tiny bundle\n\nA bag of words, for tests.\n", encoding="utf-8")
    specs = (text_spec(weights=weights), *members)
    draft = manifests.Manifest(
        name=name,
        version=version,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        attack_version=catalogue().version,
        labels=tuple(sorted({label for spec in specs for label in spec.labels})),
        canonical_versions=dict(CANONICAL_VERSIONS),
        members=specs,
        dataset=manifests.Dataset(digest="0" * 64, sources=(), split="none", rows={}, seed=0),
        calibration=manifests.Calibration(train_prevalence=0.5, reference_prevalence=0.5),
        thresholds=THRESHOLDS,
        text_thresholds=TEXT_THRESHOLDS if members else msgspec.UNSET,
        train_fingerprints=fingerprints.FILE,
    )
    return manifests.seal(directory, msgspec.structs.replace(draft, **parts))


class TextTestbed:
    """Lays a text member out for the contract suite of members."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_text_member(self.directory())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return text_spec()

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "text"


def _tokenizer(words: Sequence[str]) -> dict[str, Any]:
    """Lower-cased ASCII words, each an id; see https://huggingface.co/docs/tokenizers for the format."""
    added = [
        {
            "id": words.index(token),
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token in SPECIAL
    ]
    not_a_word = {"type": "Split", "pattern": {"Regex": "[^a-z0-9]+"}, "behavior": "Removed", "invert": False}
    ends = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*ends, {"Sequence": {"id": "B", "type_id": 0}}]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": not_a_word,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": ends,
            "pair": pair,
            "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [words.index("[CLS]")], "tokens": ["[CLS]"]}},
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "[UNK]"},
    }


def _graph(table: Any) -> bytes:
    """``logits = bias + sum over tokens of table[token]``, padding masked out; the last column is ``malicious``."""
    from onnx import TensorProto, checker, helper, numpy_helper  # noqa: PLC0415 - serving does not have it

    width = table.shape[1]
    constants = {
        "table": table,
        "bias": np.full(width, BIAS, np.float32),
        "tokens_axis": np.array([1], np.int64),
        "last_axis": np.array([-1], np.int64),
        "sizes": np.array([width - 1, 1], np.int64),
        "last_column": np.array(width - 1, np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last_axis"], ["mask_column"]),
        helper.make_node("Mul", ["rows", "mask_column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens_axis"], ["sum"], keepdims=0),
        helper.make_node("Add", ["sum", "bias"], ["logits"]),
        helper.make_node("Split", ["logits", "sizes"], ["techniques", "malicious_column"], axis=1),
        helper.make_node("Squeeze", ["malicious_column", "tokens_axis"], ["malicious"]),
        helper.make_node("Gather", ["kept", "last_column"], ["relevance"], axis=2),
    ]
    graph = helper.make_graph(
        nodes,
        "bag_of_words",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [
            helper.make_tensor_value_info("techniques", TensorProto.FLOAT, ["batch", width - 1]),
            helper.make_tensor_value_info("malicious", TensorProto.FLOAT, ["batch"]),
            helper.make_tensor_value_info("relevance", TensorProto.FLOAT, ["batch", "tokens"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())
