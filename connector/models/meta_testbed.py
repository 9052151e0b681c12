"""A meta-classifier of one stump a member, for the contract suite of members and for tests of whole bundles.

Needs the package ``onnx`` (extra ``train``), imported only when a graph is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connector.models import commons
from connector.models.meta import INPUT, MODEL, PER_MEMBER, width
from connector.ports import MemberSpec

LABELS = ("T1033", "T1059")
STEP = 2.0
"""What a member's vote above one half adds to the logit, and one below takes off; a missing one does neither."""


def lay_meta_member(directory: Path, trained: Sequence[str], groups: Mapping[str, int] | None = None) -> None:
    """Writes the files of a meta-classifier over these members. ``groups``: fingerprints that are common in training."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / MODEL).write_bytes(_stumps([PER_MEMBER * place for place in range(len(trained))], width(trained)))
    commons.write(directory / commons.FILE, groups or {})


def meta_spec(labels: Mapping[str, tuple[str, ...]], name: str = "meta", **options: Any) -> MemberSpec:
    """How a manifest lists one over members with these technique columns."""
    own = tuple(sorted({label for columns in labels.values() for label in columns}))
    given = {"trained": list(labels), "labels": labels, **options}
    return MemberSpec(name=name, kind="meta", directory=name, labels=own, options=given)


class MetaTestbed:
    """Lays the member out."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> Self:
        lay_meta_member(self.directory(), ("text", "rules"))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing is held open."""

    def spec(self) -> MemberSpec:
        """The member as a manifest would list it."""
        return meta_spec({"text": LABELS, "rules": LABELS})

    def directory(self) -> Path:
        """Its files."""
        return self._directory / "meta"


def _stumps(columns: Sequence[int], wide: int) -> bytes:
    """For each column two stumps with opposite ways for what is missing, so that a missing value adds nothing."""
    from onnx import TensorProto, checker, helper  # noqa: PLC0415 - serving does not have it

    nodes: dict[str, list[Any]] = {
        name: [] for name in ("treeids", "nodeids", "modes", "featureids", "values", "truenodeids", "falsenodeids")
    }
    missing, leaves = [], []
    trees = [(column, way) for column in columns for way in (0, 1)]
    for tree, (column, way) in enumerate(trees):
        for node, (mode, yes, no) in enumerate((("BRANCH_LEQ", 1, 2), ("LEAF", 0, 0), ("LEAF", 0, 0))):
            for name, value in zip(nodes, (tree, node, mode, column, 0.0, yes, no), strict=True):
                nodes[name].append(value)
            missing.append(way if mode != "LEAF" else 0)
        leaves += [(tree, 1, -STEP / 2), (tree, 2, STEP / 2)]
    graph = helper.make_graph(
        [
            helper.make_node(
                "TreeEnsembleRegressor",
                [INPUT],
                ["scores"],
                domain="ai.onnx.ml",
                n_targets=1,
                nodes_missing_value_tracks_true=missing,
                target_treeids=[tree for tree, _, _ in leaves],
                target_nodeids=[node for _, node, _ in leaves],
                target_ids=[0] * len(leaves),
                target_weights=[weight for _, _, weight in leaves],
                **{f"nodes_{name}": values for name, values in nodes.items()},
            )
        ],
        "stumps",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", wide])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 1])],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    checker.check_model(model)
    return bytes(model.SerializeToString())
