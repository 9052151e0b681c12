"""What all contract suites share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from connector.ports import Clock, Closes


class ContractError(AssertionError):
    """A plug-in broke a rule of its port."""


def require(kept: object, rule: str, *found: object) -> None:
    """Raises ``ContractError`` with the rule, and what was found instead, unless the rule was kept."""
    if not kept:
        seen = "; found: " + ", ".join(map(repr, found)) if found else ""
        raise ContractError(rule + seen)


def testbed(plugin: Any, directory: Path) -> Any:
    """The plug-in's testbed in a directory."""
    require(
        plugin.testbed,
        'a plug-in names its testbed (`testbed="package.module:Class"`), a class of connector.ports\' '
        "SiemTestbed, SoarTestbed or MemberTestbed, so that its contract can be checked",
    )
    module, _, name = plugin.testbed.partition(":")
    try:
        bed = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ContractError(f"the testbed {plugin.testbed!r} that the plug-in names does not exist: {error}") from error
    return bed(directory)


@contextmanager
def adapter(factory: Any, table: Mapping[str, Any], clock: Clock) -> Iterator[Any]:
    """An adapter, made as the product makes it: its ``Config`` read from a table, then (name, config, clock)."""
    made = factory("contract", factory.Config.model_validate(dict(table)), clock)
    try:
        yield made
    finally:
        if isinstance(made, Closes):
            made.close()
