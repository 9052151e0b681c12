"""Every SIEM plug-in keeps the contracts of its ports."""

from __future__ import annotations

from pathlib import Path

from connector.ports import SiemPlugin
from connector.testing import check_history, check_source, check_writer, memory_siem_plugin
from tests.contracts.registered import registered


@registered("triaged.siem", part="source", memory=memory_siem_plugin)
def test_source_gives_every_event_exactly_once(plugin: SiemPlugin, tmp_path: Path) -> None:
    check_source(plugin, tmp_path)


@registered("triaged.siem", part="writer", memory=memory_siem_plugin)
def test_writer_delivers_each_record_and_repeats_harmlessly(plugin: SiemPlugin, tmp_path: Path) -> None:
    check_writer(plugin, tmp_path)


@registered("triaged.siem", part="history", memory=memory_siem_plugin)
def test_history_gives_every_change_in_order(plugin: SiemPlugin, tmp_path: Path) -> None:
    check_history(plugin, tmp_path)
