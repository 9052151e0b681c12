"""A small real sequence member, made in a moment: its score is that of the worst token of a window.

Needs the package ``onnx`` (extra ``train``), imported only when a graph is made.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import numpy as np

from connector.models.sequence.arrays import FLAGS, NAMES
from connector.models.sequence.member import MODEL
from connector.models.sequence.vocabulary import FILE, Vocabulary
from connector.models.sequence.window import LENGTH, TOP
from connector.models.testbed import WEIGHTS, labels_of
from connector.ports import MemberSpec

LABELS = labels_of(WEIGHTS)


def lay_sequence_member(directory: Path, labels: tuple[str, ...] = LABELS) -> None:
    """Writes ``model.onnx`` and ``vocabulary.json`` of a member that reads a text member of these labels."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = Vocabulary(
        kinds=("sysmon-1", "sysmon-3"), images=("cmd.exe", "powershell.exe"), text=labels, techniques=labels
    )
    (directory / FILE).write_bytes(msgspec.json.encode(vocabulary))
    (directory / MODEL).write_bytes(_graph(len(labels)))


def sequence_spec(name: str = "sequence", labels: tuple[str, ...] = LABELS, **options: Any) -> MemberSpec:
    """How a manifest lists that member."""
    return MemberSpec(name=name, kind="sequence", directory=name, labels=labels, options=options)


class SequenceTestbed:
    """Lays a sequence member out for the contract suite of members."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_sequence_member(self.directory())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return sequence_spec()

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "sequence"


def _graph(labels: int) -> bytes:
    """``malicious`` is the highest score in the window, plus a little for each token; ``techniques`` are the evidence's logits."""
    from onnx import TensorProto, checker, helper, numpy_helper  # noqa: PLC0415 - serving does not have it

    constants = {
        "score": np.array(0, np.int64),
        "there": np.array(FLAGS - 1, np.int64),
        "one": np.array(1.0, np.float32),
        "far": np.array(100.0, np.float32),
        "scale": np.array(32.0, np.float32),
        "little": np.array(0.01, np.float32),
        "slope": np.array(8.0, np.float32),
        "axis": np.array([1], np.int64),
        "last": np.array([-1], np.int64),
        "columns": np.arange(1, labels + 1, dtype=np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["flags", "score"], ["scores"], axis=2),
        helper.make_node("Gather", ["flags", "there"], ["tokens"], axis=2),
        helper.make_node("Sub", ["tokens", "one"], ["absent"]),
        helper.make_node("Mul", ["absent", "far"], ["below"]),
        helper.make_node("Add", ["scores", "below"], ["standing"]),
        helper.make_node("ReduceMax", ["standing"], ["highest"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["highest", "scale"], ["worst"]),
        helper.make_node("ReduceSum", ["tokens", "axis"], ["count"], keepdims=0),
        helper.make_node("Mul", ["count", "little"], ["more"]),
        helper.make_node("Add", ["worst", "more"], ["malicious"]),
        helper.make_node("Unsqueeze", ["top", "last"], ["named"]),
        helper.make_node("Equal", ["named", "columns"], ["same"]),
        helper.make_node("Cast", ["same"], ["is"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weights", "last"], ["shares"]),
        helper.make_node("Mul", ["is", "shares"], ["evidence"]),
        helper.make_node("ReduceMax", ["evidence"], ["most"], axes=[1, 2], keepdims=0),
        helper.make_node("Mul", ["most", "slope"], ["techniques"]),
    ]
    shapes = {
        "names": (TensorProto.INT64, [LENGTH, NAMES]),
        "flags": (TensorProto.FLOAT, [LENGTH, FLAGS]),
        "top": (TensorProto.INT64, [LENGTH, TOP]),
        "weights": (TensorProto.FLOAT, [LENGTH, TOP]),
    }
    graph = helper.make_graph(
        nodes,
        "worst_of_window",
        [helper.make_tensor_value_info(name, kind, ["n", *shape]) for name, (kind, shape) in shapes.items()],
        [
            helper.make_tensor_value_info("techniques", TensorProto.FLOAT, ["n", labels]),
            helper.make_tensor_value_info("malicious", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    return bytes(model.SerializeToString())
