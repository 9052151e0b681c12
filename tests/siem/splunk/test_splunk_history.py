"""What an alert history promises, on the stand-in of Enterprise Security."""

from __future__ import annotations

from pathlib import Path

from connector.siem.splunk import plugin
from connector.testing import check_history


def test_the_contract_holds(tmp_path: Path) -> None:
    check_history(plugin, tmp_path)
