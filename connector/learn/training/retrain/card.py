"""The card of a retrained bundle: what it learnt from, and the difference from the incumbent in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from connector.learn.training.retrain.frozen import RETRAINED
from connector.models.manifest import Manifest

BELOW: Final = "\n<!-- below: the card of the training from corpora -->\n\n"

_HEAD = """# {name} {version}

Retrained from `{incumbent}` on closed alerts by `triaged retrain{flag}`. {how}

## Learnt from

| | |
|---|---|
{facts}
"""
_HOW = {
    "quick": "The network is the incumbent's, byte by byte; its heads are corrected over the frozen features. Calibration and\n"
    "thresholds are the incumbent's.",
    "full": "The network, its calibration and its thresholds are new.",
}
_DIFF = """
## Against {incumbent}

Left-out rows of the base corpora, and the newest closures, which were not learnt from. `-` stands where the incumbent was
not measured on these rows; {same} numbers that are the same are not listed. The gate's report, beside the bundle's folder,
has the intervals.

| split | what | incumbent | this |
|---|---|---|---|
"""
_DIGITS: Final = 4


def card(made: Manifest, before: Manifest, below: str) -> str:
    """The README.md. ``below`` is the card of the training from corpora; that of a retrained bundle gives its lower part."""
    facts: Mapping[str, Any] = made.metrics[RETRAINED]
    full = facts["path"] == "full"
    told = {key: value for key, value in facts.items() if key not in {"incumbent", "path", "newest"}}
    head = _HEAD.format(
        name=made.name,
        version=made.version,
        incumbent=facts["incumbent"],
        flag=" --full" if full else "",
        how=_HOW[facts["path"]],
        facts="\n".join(f"| {name.replace('_', ' ')} | {_said(value)} |" for name, value in told.items()),
    )
    rows = list(_compared(made, before))
    other = [cells for cells in rows if cells[2] != cells[3]]
    lines = "".join(f"| {' | '.join(cells)} |\n" for cells in other)
    diff = _DIFF.format(incumbent=facts["incumbent"], same=len(rows) - len(other))
    return head + diff + lines + BELOW + below.rpartition(BELOW)[2]


def _compared(made: Manifest, before: Manifest) -> Iterator[tuple[str, str, str, str]]:
    for split in ("dev", "calibration"):
        now, then = made.metrics.get(split), before.metrics.get(split, {})
        if now is not None:
            comparable = then.get("rows") == now["rows"] and _dataset(before) == _dataset(made)
            earlier = dict(_numbers(then)) if comparable else {}
            for name, value in _numbers(now):
                yield split, name, _shown(earlier.get(name)), _shown(value)
    newest = made.metrics[RETRAINED].get("newest", {})
    for name, (earlier_value, value) in newest.items():
        yield "newest closures", name, _shown(earlier_value), _shown(value)


def _dataset(manifest: Manifest) -> str:
    """The digest of the dataset that a bundle's left-out rows are of."""
    return str(manifest.metrics.get(RETRAINED, {}).get("base_dataset", manifest.dataset.digest))


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for source, rates in metrics["technique_by_source"].items():
        yield from ((f"technique, {source}, {top}", rates[top]) for top in ("top1", "top3"))
    for kind, rates in metrics["malicious_auc_by_kind"].items():
        yield f"AUC, {kind}", rates["auc"]
    for basis, rates in metrics["flagged"].items():
        yield from (
            (f"flagged per 10,000, {basis}, {level}", 10_000 * rates[level])
            for level in ("suspicious", "malicious", "trigger")
        )


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.{_DIGITS}g}"


def _said(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {count}" for name, count in value.items()) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return _shown(value) if isinstance(value, float) else str(value)
