"""Sigma rules as matchers over the normalised event.

``load`` reads rule files, compiles what can be matched on one event, and lists what cannot. Needs the extra ``rules``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from connector.errors import ConfigError
from connector.models.rules.nouns import LEVELS, LeftOut, Match

if TYPE_CHECKING:
    from connector.models.rules.ruleset import RuleSet

__all__ = ["LEVELS", "LeftOut", "Match", "load", "needs_extra"]

_NEEDED = ("sigma", "sigma.pipelines.sysmon", "sigma.pipelines.windows", "ahocorasick")
_SUFFIXES = frozenset({".yml", ".yaml"})


def load(rules: Path | Iterable[tuple[str, bytes]]) -> RuleSet:
    """The rules of a folder (with its folders), or of (path, content) files, compiled.

    Raises ``ConfigError`` where the extra ``rules`` is not installed or the folder cannot be read. A rule that cannot be
    compiled raises nothing: it stands in ``left_out`` with the reason.
    """
    needs_extra()
    from connector.models.rules.reading import read  # noqa: PLC0415 - the extra may be missing
    from connector.models.rules.ruleset import RuleSet  # noqa: PLC0415

    return RuleSet(*read(files_of(rules) if isinstance(rules, Path) else rules))


def files_of(folder: Path) -> list[tuple[str, bytes]]:
    """The rule files below a folder, by their paths in it, sorted. Raises ``ConfigError`` where it cannot be read."""
    if not folder.is_dir():
        raise ConfigError(f"there is no folder of rules at {folder}")
    try:
        paths = sorted(path for path in folder.rglob("*") if path.suffix in _SUFFIXES and path.is_file())
        return [(path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths]
    except OSError as error:
        raise ConfigError(f"the rules in {folder} cannot be read: {error}") from error


def needs_extra() -> None:
    """Raises ``ConfigError`` that names the extra where a package that rules need is not installed."""
    for name in _NEEDED:
        if _missing(name):
            raise ConfigError(f"Sigma rules need the package {name}: pip install 'triaged[rules]'")


def _missing(name: str) -> bool:
    try:
        return find_spec(name) is None
    except ModuleNotFoundError:
        return True
