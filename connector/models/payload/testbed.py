"""A small real payload member for contract suites: a graph that knows a few bytes, made in a moment.

Needs the package ``onnx`` (extra ``train``), imported only when a graph is made.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np

from connector.models.payload.member import MODEL
from connector.ports import MemberSpec

KINDS: Final = {"sqli": ("T1190",), "xss": ("T1189", "T1190")}
WEIGHTS: Final = {"'": (6.0, -6.0, 8.0), "<": (-6.0, 6.0, 8.0)}
"""What a byte adds at most once to the logits of ``sqli``, ``xss`` and ``malicious``."""

BIAS: Final = -4.0


def payload_spec(name: str = "payload") -> MemberSpec:
    """How a manifest lists that member."""
    labels = tuple(sorted({label for shows in KINDS.values() for label in shows}))
    return MemberSpec(name=name, kind="payload", directory=name, labels=labels, options={"kinds": dict(KINDS)})


def lay_payload_member(directory: Path) -> None:
    """Writes ``model.onnx``: the bias, and the strongest of its bytes' weights wherever they stand."""
    from onnx import TensorProto, checker, helper, numpy_helper  # noqa: PLC0415 - serving does not have it

    table = np.zeros((257, len(KINDS) + 1), np.float32)
    for sign, weights in WEIGHTS.items():
        table[ord(sign) + 1] = weights
    constants = {
        "table": table,
        "bias": np.full(len(KINDS) + 1, BIAS, np.float32),
        "axis": np.array([1], np.int64),
        "sizes": np.array([len(KINDS), 1], np.int64),
    }
    whole = [TensorProto.INT64, ["n", "bytes"]]
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "input_ids"], ["rows"]),
            helper.make_node("Relu", ["rows"], ["above"]),
            helper.make_node("Sub", ["rows", "above"], ["below"]),
            helper.make_node("ReduceMax", ["above"], ["most"], axes=[1], keepdims=0),
            helper.make_node("ReduceMin", ["below"], ["least"], axes=[1], keepdims=0),
            helper.make_node("Add", ["most", "least"], ["sum"]),
            helper.make_node("Add", ["sum", "bias"], ["logits"]),
            helper.make_node("Split", ["logits", "sizes"], ["techniques", "last"], axis=1),
            helper.make_node("Squeeze", ["last", "axis"], ["malicious"]),
        ],
        "payload",
        [helper.make_tensor_value_info(each, *whole) for each in ("input_ids", "attention_mask")],
        [
            helper.make_tensor_value_info("techniques", TensorProto.FLOAT, ["n", len(KINDS)]),
            helper.make_tensor_value_info("malicious", TensorProto.FLOAT, ["n"]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL).write_bytes(model.SerializeToString())


class PayloadTestbed:
    """Lays a payload member out for the contract suite of members."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_payload_member(self.directory())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return payload_spec()

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "payload"
