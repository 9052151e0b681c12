"""What a bundle's text member says of texts, through the graph and the second stage that serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.errors import ConfigError
from connector.learn.evaluation.bootstrap import Floats
from connector.learn.evaluation.calibration import at_half
from connector.learn.training.served import reader
from connector.models.calibration import prior_shift, scaled, sigmoid, technique_scale
from connector.models.store import Store
from connector.models.text import Options, TextMember


class Said(msgspec.Struct, frozen=True, eq=False):
    """Of n texts: probabilities of parent techniques (n, names) and of malice (n,) at prior one half, and what reaches a level."""

    names: tuple[str, ...]
    techniques: NDArray[np.float32]
    malicious: Floats
    over: Mapping[str, NDArray[np.bool_]]

    def part(self, places: NDArray[np.intp]) -> Said:
        """The same of some of the texts."""
        over = {level: marks[places] for level, marks in self.over.items()}
        return Said(self.names, self.techniques[places], self.malicious[places], over)


def said(store: Store, ref: str, texts: Sequence[str]) -> Said:
    """What the bundle says.

    The member that reads texts speaks for itself, whatever stands beside it: rows have texts alone. Its levels are those of
    its bundle, and where members stand beside it, those that it was trained with.
    Raises ``ConfigError`` for a bundle that does not verify or has no member that reads texts.
    """
    manifest = store.manifest(ref)
    if problems := store.verify(ref):
        raise ConfigError(f"bundle {ref} is refused: {'; '.join(problems)}")
    spec = reader(manifest)
    member = TextMember(spec, store.directory(ref) / spec.directory, 1)
    try:
        techniques, malicious = member.logits(texts)
    finally:
        member.close()
    heads = msgspec.convert(spec.options, Options).calibration
    slope, intercept = technique_scale(heads, spec.labels)
    parents = [column for column, name in enumerate(spec.labels) if "." not in name]
    stated = manifest.calibration_alone
    served = sigmoid(scaled(scaled(malicious, heads.malicious), stated.malicious) + prior_shift(stated))
    return Said(
        names=tuple(spec.labels[column] for column in parents),
        techniques=sigmoid(techniques * slope + intercept)[:, parents].astype(np.float32),
        malicious=at_half(served, stated.reference_prevalence),
        over={level: served >= cut for level, cut in manifest.thresholds_alone.levels().items()},
    )
