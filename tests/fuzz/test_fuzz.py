"""The targets hold on their seeds and on a fixed choice of recipes; the runner finds a planted fault and says how to replay it."""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import clean
from tests.fuzz import __main__ as runner, shapes, vocabulary
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_its_seeds_and_on_random_recipes(name: str) -> None:
    target = TARGETS[name]
    draw = random.Random(name)
    seeds = list(target.seeds())[:80]
    for seed in seeds:
        target.run(seed)
        at = draw.randrange(len(seed))
        target.run(seed[:at] + draw.randbytes(3) + seed[at + draw.randrange(4) :])
    for _ in range(60):
        target.run(draw.randbytes(draw.randrange(200)))


def test_every_family_that_reads_records_is_reached() -> None:
    """Recipes lead into each family's own reader, past the look-up that tells what is not the family's."""
    from connector.events.families import FAMILIES

    draw = random.Random(0)
    unread = {family.name for family in FAMILIES if family.read is not None}
    for _ in range(5000):
        record = shapes.record(shapes.Draw(draw.randbytes(draw.randrange(40))))
        unread -= {family.name for family in FAMILIES if family.name in unread and family.read and family.read(record)}
        if not unread:
            break
    goldens = [raw for raw in vocabulary.golden("raw").values() if isinstance(raw, dict)]
    known = {family.name for family in FAMILIES if family.read and any(map(family.read, goldens))}
    assert unread & known == set()


def test_a_replay_shows_what_an_input_raises(tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b'{"a": 1}')
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay", "decode", str(file)],
        cwd=ROOT,
        env=clean(),
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    assert b"is read without a crash" in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="the extra fuzz is not installed")
@pytest.mark.parametrize("fault", ["raises", "hangs"])
def test_a_planted_fault_is_found_and_its_input_kept(
    tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED", fault)
    monkeypatch.setattr(runner, "SLOWEST_INPUT", 2)
    result = runner.fuzz("decode", 30, tmp_path, "tests.fuzz.planted")
    assert result.inputs > 0
    assert result.crash is not None
    assert result.crash.read_bytes().startswith(b"{")
    assert ("ValueError: planted" in result.told) == (fault == "raises")
    assert ("Timeout" in result.told) == (fault == "hangs")
