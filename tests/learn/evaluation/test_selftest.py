"""The measuring finds no signal where there is none, and every planted leak; where a guard is gone, a check fails."""

from __future__ import annotations

import msgspec
import pytest

from connector.learn.evaluation import selftest
from connector.learn.evaluation.__main__ import main


def test_every_check_passes_on_rows_with_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--self-test"]) == 0
    assert "ok      shuffled labels fall to chance" in capsys.readouterr().out


def test_a_label_in_every_text_of_other_groups_would_be_noticed() -> None:
    rows = selftest.made()
    leaked = [msgspec.structs.replace(row, text=f"{row.text} {row.group}") for row in rows]
    noise = [msgspec.structs.replace(row, text="nothing", fingerprint=row.fingerprint) for row in rows]

    assert all(check.passed for check in selftest.checks(leaked))
    failed = {check.name for check in selftest.checks(noise) if not check.passed}
    assert {"labels are found", "attacks are told from harmless rows"} <= failed
