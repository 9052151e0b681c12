"""What a source promises, on the stand-in of splunkd."""

from __future__ import annotations

from pathlib import Path

from connector.siem.splunk import plugin
from connector.testing import check_source


def test_the_contract_holds(tmp_path: Path) -> None:
    check_source(plugin, tmp_path)
