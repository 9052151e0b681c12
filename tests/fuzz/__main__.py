"""Fuzzes every target for its share of the time: ``python -m tests.fuzz --seconds 60``.

Corpora grow under ``.fuzz/corpus`` and are gone on with by the next run; inputs that crashed lie under ``.fuzz/crashes``.
``python -m tests.fuzz --replay TARGET FILE`` runs one input again, without the fuzzer.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.environment import clean
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".fuzz"
SLOWEST_INPUT = 20
"""Seconds that one input may take: a hang guard, far above what the slowest takes on a busy machine."""

MEMORY = 1024
"""MiB that a target's process may take."""

_OF_ITS_OWN_SIZE = ("/bin/sh", "-c", '"$@"; exit $?', "sh")
"""A process counts the memory of the one that it was started from as its own peak: a shell between the two is small."""

_FINDING = re.compile(r"^ ?=== (?:Uncaught|Timeout)|^==\d+== ?ERROR", re.MULTILINE)
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)|^#(\d+)\s", re.MULTILINE)


class Result(NamedTuple):
    """What became of one target. ``crash`` is the input, ``told`` the end of what was printed about it."""

    inputs: int
    seconds: float
    crash: Path | None = None
    told: str = ""


def fuzz(name: str, seconds: int, home: Path = HOME, module: str = "tests.fuzz.child") -> Result:
    """Runs one target in a process of its own, until its time is up or an input crashes it."""
    target = TARGETS[name]
    corpus, crashes, seeds = (home / kind / name for kind in ("corpus", "crashes", "seeds"))
    for folder in (corpus, crashes, seeds):
        folder.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (seeds / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    before = set(crashes.iterdir())
    limits = (f"-max_total_time={seconds}", f"-timeout={SLOWEST_INPUT}", f"-rss_limit_mb={MEMORY}")
    arguments = (*limits, f"-max_len={target.longest}", "-print_final_stats=1", f"-artifact_prefix={crashes}/")
    start = time.monotonic()
    done = subprocess.run(
        [*_OF_ITS_OWN_SIZE, sys.executable, "-m", module, name, *arguments, str(corpus), str(seeds)],
        cwd=ROOT, env=clean(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    took = time.monotonic() - start
    told = done.stdout.decode("utf-8", "replace")
    inputs = max((int(one or other) for one, other in _EXECUTED.findall(told)), default=0)
    new = sorted(path for path in set(crashes.iterdir()) - before if not path.name.startswith("slow-unit"))
    if done.returncode == 0 and not new:
        return Result(inputs, took)
    finding = _FINDING.search(told)
    return Result(inputs, took, new[0] if new else crashes, told[finding.start() :][:4000] if finding else told[-4000:])


def replay(name: str, file: Path) -> None:
    """Runs one input; what it raises is shown as it is."""
    TARGETS[name].run(file.read_bytes())
    print(f"{name}: {file} is read without a crash")


def run(names: list[str], seconds: int) -> int:
    """One line a target, then one of JSON with the totals. 1: an input crashed."""
    results: dict[str, Result] = {}
    for name in names:
        result = results[name] = fuzz(name, max(1, seconds // len(names)))
        state = "1 crash" if result.crash else "0 crashes"
        print(f"{name:16} {result.inputs:>10} inputs {result.seconds:>7.1f} s  {state}", flush=True)
        if result.crash:
            print(f"{result.told}\n  replay: {sys.executable} -m tests.fuzz --replay {name} {result.crash}", flush=True)
    crashed = [name for name, result in results.items() if result.crash]
    totals = {
        "inputs": sum(result.inputs for result in results.values()),
        "crashes": len(crashed),
        "seconds": round(sum(result.seconds for result in results.values()), 1),
        "targets": {name: result.inputs for name, result in results.items()},
        "crashed": crashed,
    }
    print(json.dumps(totals))
    return 1 if crashed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="in all, over the targets")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"), help="run one input without the fuzzer")
    options = parser.parse_args()
    if options.replay:
        replay(options.replay[0], Path(options.replay[1]))
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("fuzzing needs the package atheris: install it with `make fuzz`", file=sys.stderr)
        return 2
    return run(options.target or list(TARGETS), options.seconds)


if __name__ == "__main__":
    sys.exit(main())
