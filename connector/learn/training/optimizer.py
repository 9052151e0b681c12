"""Two optimizers as one: lazy Adam for the bags' tables, of which a batch touches a thousandth, and AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


class Together(torch.optim.Optimizer):  # type: ignore[misc]
    """Optimizers that step together; their groups are one list, so that one schedule moves all rates."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([weight for group in self.param_groups for weight in group["params"]], {})

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups of every part, the very ones: a rate that is set here is set there."""
        return [group for part in self.parts for group in part.param_groups]

    @param_groups.setter
    def param_groups(self, _: list[dict[str, Any]]) -> None:
        """The groups belong to the parts."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Nothing: every part was given its own groups."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """One step of every part."""
        del closure
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of every part, in order."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the states up again."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def optimizer(tables: Sequence[dict[str, Any]], rest: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """Lazy Adam over the groups of ``tables`` (none where they stand fast), AdamW over those of ``rest``."""
    parts: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, weight_decay=0.01, fused=True)]
    if tables:
        parts.append(torch.optim.SparseAdam(tables))
    return Together(parts)
