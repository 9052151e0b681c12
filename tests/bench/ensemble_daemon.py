"""What the whole bundle costs the daemon beside its text member alone: CPU an event, from files to ledger and target.

``python -m tests.bench.ensemble_daemon --corpora DIR [--rules sigma/rules]`` runs the real daemon over the first events of OTRF's
stream, in the order of the recordings, with either bundle in turns; the ratio is the median over the rounds, since what else
the machine does falls on neighbours alike. :mod:`tests.bench.ensemble` measures scoring by itself.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import numpy as np

from connector.learn.training.ensemble.assemble import text_alone
from connector.models import Store
from connector.models.ensemble import TEXT
from connector.models.integrity import MANIFEST
from connector.models.manifest import seal
from connector.resources import shipped
from tests import environment
from tests.bench.child import Report
from tests.bench.ingest import BATCH, CONFIG, ROOT
from tests.bench.streams import gather
from tests.conftest import CORPORA

WANTED: Final = 0.7


def alone(store: Store, ref: str, place: Path) -> Path:
    """A store in ``place`` with the bundle's text member and nothing beside it, in production."""
    manifest = store.manifest(ref)
    others = [spec.directory for spec in manifest.members if spec.name != TEXT]
    folder = place / manifest.name / manifest.version
    shutil.copytree(store.directory(ref), folder, ignore=shutil.ignore_patterns(MANIFEST, *others))
    seal(folder, text_alone(manifest))
    Store(place).promote(ref)
    return place


def spent(lines: Sequence[bytes], model: str, directory: Path) -> float:
    """CPU seconds of the daemon from its first event until all are with the target; ``model`` are settings of the model."""
    directory.mkdir()
    (directory / "stream.jsonl").write_bytes(b"".join(lines))
    config, report = directory / "triaged.toml", directory / "report.json"
    batch = min(BATCH, max(1, len(lines) // 4))
    config.write_text(CONFIG.format(dir=directory, store=model, threads=1, batch=batch), encoding="utf-8")
    command = [sys.executable, "-m", "tests.bench.child", str(config), str(len(lines)), str(report)]
    subprocess.run(command, cwd=ROOT, env=environment.clean(), check=True)
    samples = msgspec.json.decode(report.read_bytes(), type=Report).samples
    begun = max(cpu for _, events, _, cpu in samples if not events)
    return samples[-1][3] - begun


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the ratio; 1 where it is below what is wanted."""
    options = _parser().parse_args(arguments)
    store = Store(options.store or shipped("model_store"))
    ref = options.bundle or str(store.production())
    folders = msgspec.json.encode([str(folder.resolve()) for folder in options.rules]).decode()
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        place = Path(name)
        stream = gather(options.corpora, place)
        lines = list(stream.lines(np.arange(min(options.events, len(stream)))))
        kept = {"text": alone(store, ref, place / "text"), "whole": store.directory(ref).parents[1]}
        found: dict[str, list[float]] = {which: [] for which in kept}
        for turn in range(options.rounds):
            for which, folder in kept.items():
                named = f'store = "{folder.resolve()}"\nbundle = "{ref}"\n'
                ruled = f"rules = {folders}\n" if which == "whole" and options.rules else ""
                found[which].append(spent(lines, named + ruled, place / f"{which}-{turn}"))
    text, whole = (1e6 * median(found[which]) / len(lines) for which in ("text", "whole"))
    ratios = sorted(one / other for one, other in zip(found["text"], found["whole"], strict=True))
    print(
        f"{ref} on {len(lines)} events of {stream.name}, through the daemon: text alone {text:.0f} µs of CPU an event, "
        f"whole {whole:.0f} µs; {median(ratios):.2f} of the text member's throughput (wanted {WANTED}; "
        f"{ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds)"
    )
    return 0 if median(ratios) >= WANTED else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m tests.bench.ensemble_daemon", description=__doc__)
    made.add_argument("--corpora", type=Path, default=CORPORA)
    made.add_argument("--store", type=Path)
    made.add_argument("--bundle")
    made.add_argument("--rules", type=Path, action="append", default=[])
    made.add_argument("--events", type=int, default=30_000)
    made.add_argument("--rounds", type=int, default=7)
    return made


if __name__ == "__main__":
    sys.exit(main())
