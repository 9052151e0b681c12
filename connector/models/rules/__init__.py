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
from connector.models.rules.packs import files_of

if TYPE_CHECKING:
    from connector.models.rules.ruleset import RuleSet

__all__ = ["LEVELS", "LeftOut", "Match", "load", "needs_extra"]

_NEEDED = ("sigma", "sigma.pipelines.sysmon", "sigma.pipelines.windows", "ahocorasick")


def load(rules: Path | Iterable[tuple[str, bytes]]) -> RuleSet:
    """The rules of a folder (with its folders), of a pack, or of (path, content) files, compiled.

    Raises ``ConfigError`` where the extra ``rules`` is not installed or the place cannot be read. A rule that cannot be
    compiled raises nothing: it stands in ``left_out`` with the reason.
    """
    needs_extra()
    from connector.models.rules.reading import read  # noqa: PLC0415 - the extra may be missing
    from connector.models.rules.ruleset import RuleSet  # noqa: PLC0415

    return RuleSet(*read(files_of(rules) if isinstance(rules, Path) else rules))


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
