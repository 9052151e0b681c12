"""Every SOAR plug-in keeps the contract of its port."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from connector.ports import SoarPlugin
from connector.testing import MemorySoarTestbed, check_soar, memory_soar_plugin
from tests.contracts.registered import registered


class SearchedTestbed(MemorySoarTestbed):
    uniqueness = "search"


class BlindTestbed(MemorySoarTestbed):
    uniqueness = "none"


@registered("triaged.soar", memory=memory_soar_plugin)
def test_soar_runs_each_key_once_and_tells_how_it_ends(plugin: SoarPlugin, tmp_path: Path) -> None:
    check_soar(plugin, tmp_path)


@pytest.mark.parametrize("bed", ["SearchedTestbed", "BlindTestbed"])
def test_soar_in_memory_keeps_the_contract_with_weaker_uniqueness(bed: str, tmp_path: Path) -> None:
    check_soar(msgspec.structs.replace(memory_soar_plugin, testbed=f"{__name__}:{bed}"), tmp_path)
