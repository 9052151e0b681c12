"""``python -m tests.bench [--quick] [--corpora DIR] [--store DIR]``: one run, one table, one JSON line."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from connector.models import Store
from connector.resources import shipped
from tests.bench import ingest, normal, rates, streams
from tests.bench.plan import FULL, QUICK
from tests.bench.report import show
from tests.conftest import CORPORA


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    threads = len(os.sched_getaffinity(0))
    bundle = Store(arguments.store or shipped("model_store")).open(threads=threads, cache_entries=0)
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        directory = Path(name)
        stream = streams.gather(arguments.corpora, directory)
        reading = normal.measure(stream, plan)
        events = streams.distinct_events(stream, plan)
        speed = rates.measure(bundle, events, plan, threads)
        bundle.close()
        store = arguments.store.resolve() if arguments.store else None
        whole = ingest.measure(stream, directory, plan, store=store, threads=threads)
    show(stream.name, bundle.ref, plan, speed, reading, whole, threads)


if __name__ == "__main__":
    main()
