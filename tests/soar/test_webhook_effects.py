"""Promise 3 over a webhook whose receiver honours keys; the usual one, which honours none, is held to it like every adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.soar import test_effects as effects
from tests.soar.webhook import heedful

pytestmark = pytest.mark.full


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_in_a_send_a_receiver_that_honours_keys_runs_each_playbook_once(moment: str, tmp_path: Path) -> None:
    effects.test_killed_in_a_send_each_playbook_runs_as_often_as_promised(heedful, moment, 2, tmp_path)


def test_lost_answers_cost_no_run_where_keys_are_honoured(tmp_path: Path) -> None:
    effects.test_answers_that_are_lost_cost_at_most_what_is_promised(heedful, tmp_path)
