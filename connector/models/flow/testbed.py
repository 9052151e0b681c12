"""A flow member of one tree, for the contract suite of members and for tests of whole bundles.

Needs the package ``onnx`` (extra ``train``), imported only when a graph is made.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from connector.models.flow.classes import BENIGN
from connector.models.flow.features import NAMES
from connector.models.flow.member import MODEL
from connector.ports import MemberSpec

FLOOD: Final = "flood"
LABELS: Final = ("T1498", "T1499")
SURE: Final = 3.0


def lay_flow_member(directory: Path) -> None:
    """Writes a graph that takes what was never answered for a flood, and all else for benign."""
    from onnx import TensorProto, helper  # noqa: PLC0415 - serving does not have it

    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["features"],
        ["scores"],
        domain="ai.onnx.ml",
        n_targets=2,
        nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_featureids=[NAMES.index("established"), 0, 0],
        nodes_values=[0.5, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0],
        nodes_falsenodeids=[2, 0, 0],
        nodes_missing_value_tracks_true=[0, 0, 0],
        target_treeids=[0, 0],
        target_nodeids=[1, 2],
        target_ids=[1, 0],
        target_weights=[SURE, SURE],
    )
    graph = helper.make_graph(
        [node],
        "tree",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(NAMES)])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 2])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL).write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def flow_spec(name: str = "flow", **options: Any) -> MemberSpec:
    """How a manifest lists that member."""
    given = {"features": NAMES, "classes": (BENIGN, FLOOD), "techniques": {FLOOD: LABELS}, **options}
    return MemberSpec(name=name, kind="flow", directory=name, labels=LABELS, options=given)


class FlowTestbed:
    """Lays the member out."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_flow_member(self.directory())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return flow_spec()

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "flow"
