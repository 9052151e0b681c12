"""The plug-ins that the suites run against: every registered one, and those that tests register themselves."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest


def registered(
    group: str, *, part: str | None = None, without: str = "", long: frozenset[str] = frozenset(), **more: Any
) -> Any:
    """Parametrises a test by the plug-ins of an entry-point group that offer ``part``, and by ``more``.

    Those whose names are in ``long`` are part of the long form alone.
    """
    found = {point.name: point.load() for point in entry_points(group=group) if point.name != without} | more
    offering = {name: plugin for name, plugin in found.items() if part is None or getattr(plugin, part)}
    marks = {name: pytest.mark.full if name in long else () for name in offering}
    return pytest.mark.parametrize(
        "plugin", [pytest.param(plugin, id=name, marks=marks[name]) for name, plugin in offering.items()]
    )
