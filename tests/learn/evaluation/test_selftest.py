"""The measuring finds no signal where there is none, and every planted leak; where a guard is gone, a check fails."""

from __future__ import annotations

import msgspec
import pytest

from connector.learn.dataset import Row
from connector.learn.evaluation import selftest
from connector.learn.evaluation.__main__ import main


def test_every_check_passes_on_rows_with_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--self-test"]) == 0
    assert "ok      shuffled labels fall to chance" in capsys.readouterr().out


def failed(rows: list[Row]) -> set[str]:
    return {check.name for check in selftest.checks(rows) if not check.passed}


def test_a_label_in_the_text_of_one_row_is_noticed() -> None:
    first, *rest = selftest.made()
    leaked = msgspec.structs.replace(first, text=f"{first.text} {first.techniques[0].lower()}.001")

    assert failed([first, *rest]) == set()
    assert failed([leaked, *rest]) == {"no text names a technique"}


def test_texts_that_say_nothing_of_their_labels_do_not_pass() -> None:
    noise = [msgspec.structs.replace(row, text="nothing") for row in selftest.made()]

    assert failed(noise) >= {"labels are found", "attacks are told from harmless rows"}
