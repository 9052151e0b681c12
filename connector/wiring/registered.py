"""The plug-ins that are installed, and the settings as they narrow them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from connector import settings as tree
from connector.errors import ConfigError
from connector.ports import MemberPlugin, SiemPlugin, SoarPlugin
from connector.settings import Section, Settings

GROUPS: Mapping[str, type[Any]] = {
    "triaged.siem": SiemPlugin,
    "triaged.soar": SoarPlugin,
    "triaged.member": MemberPlugin,
}


@cache
def plugins(group: str) -> Mapping[str, Any]:
    """The registered plug-ins of a group by name. Raises ``ConfigError`` for one that is not what the group holds."""
    return {point.name: _loaded(point, GROUPS[group]) for point in entry_points(group=group)}


def _loaded(point: EntryPoint, wanted: type[Any]) -> Any:
    try:
        plugin = point.load()
    except ImportError as error:
        raise ConfigError(f"plug-in {point.name!r} ({point.value}) cannot be imported: {error}") from error
    if not isinstance(plugin, wanted):
        raise ConfigError(f"plug-in {point.name!r} ({point.value}) is not a {wanted.__name__}")
    return plugin


def kinds() -> Mapping[str, Iterable[type[Section]]]:
    """The adapters' settings models, by the table of the settings file that they belong to."""
    siems: Iterable[SiemPlugin] = plugins("triaged.siem").values()
    return {
        "sources": [p.source.Config for p in siems if p.source],
        "targets": [p.writer.Config for p in siems if p.writer],
        "histories": [p.history.Config for p in siems if p.history],
        "soars": [p.soar.Config for p in plugins("triaged.soar").values()],
    }


def load_settings(path: Path | None, secrets_dir: Path | None = None) -> Settings:
    """The settings, narrowed to the installed plug-ins."""
    return tree.load(path, kinds(), secrets_dir=secrets_dir)
