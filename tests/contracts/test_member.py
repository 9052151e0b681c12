"""Every member plug-in keeps the contract of its port."""

from __future__ import annotations

from pathlib import Path

from connector.ports import MemberPlugin
from connector.testing import check_member
from tests.contracts.registered import registered


@registered("triaged.member")
def test_member_scores_by_key_alone_however_events_are_batched(plugin: MemberPlugin, tmp_path: Path) -> None:
    check_member(plugin, tmp_path)
