"""Plots as inline SVG: no script, no font, no address from outside."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure

from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.calibration import Bin

_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_SIZE = (5.2, 3.6)


def lines(title: str, axes: tuple[str, str], series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """One line a series over the unit square, such as precision over recall."""
    figure, plot = _new(title, axes)
    for name, points in series.items():
        plot.plot([x for x, _ in points], [y for _, y in points], label=name, linewidth=1.2)
    plot.set_xlim(0, 1)
    plot.set_ylim(0, 1.02)
    return _svg(figure, plot, legend=bool(series))


def reliability(title: str, series: Mapping[str, Sequence[Bin]]) -> str:
    """Observed share over stated probability; on the diagonal it means what it says."""
    figure, plot = _new(title, ("said", "seen"))
    plot.plot([0, 1], [0, 1], color="0.7", linewidth=0.8)
    for name, bins in series.items():
        plot.plot([cell.said for cell in bins], [cell.seen for cell in bins], marker="o", markersize=3, label=name)
    return _svg(figure, plot, legend=bool(series))


def bars(title: str, axis: str, values: Mapping[str, Interval]) -> str:
    """One bar a name, with its interval."""
    figure, plot = _new(title, (axis, ""))
    names = list(values)
    found = [values[name] for name in names]
    ends = [[each.value - each.low for each in found], [each.high - each.value for each in found]]
    plot.barh(
        names, [each.value for each in found], xerr=[[max(end, 0.0) for end in side] for side in ends], height=0.6
    )
    plot.invert_yaxis()
    return _svg(figure, plot, legend=False)


def _new(title: str, axes: tuple[str, str]) -> tuple[Figure, mpl.axes.Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    plot = figure.add_subplot()
    plot.set_title(title, fontsize=9)
    plot.set_xlabel(axes[0], fontsize=8)
    plot.set_ylabel(axes[1], fontsize=8)
    plot.tick_params(labelsize=7)
    return figure, plot


def _svg(figure: Figure, plot: mpl.axes.Axes, *, legend: bool) -> str:
    if legend:
        plot.legend(fontsize=7)
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "triaged", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return _METADATA.sub("", _HEAD.sub("", out.getvalue()))
