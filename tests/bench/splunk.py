"""``python -m tests.bench.splunk [--quick]``: what the search command costs beside the interpreter, and beside the API.

Ratios of one run on one machine. *Start-up* is a search without events, from the start of the process to its end, against
the same interpreter with nothing to do. *Throughput* is a search over so many events, less a search over none, against a
client that sends the same events to the same API, a thousand a request, one request after the other. Where all scores are
cached, the events come several times, or a search would be over before it is under way.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.api.house import Caller
from tests.bench import streams
from tests.bench.api import BATCH, TOKEN, Rates, asked, distinct, seconds, served
from tests.conftest import CORPORA
from tests.splunk_app.pythons import VERSIONS, interpreter
from tests.splunk_app.search import Installed, conversation, replies, table
from tests.splunkd import Splunkd

REPEAT = 5
TURNS = 2

Start = tuple[float, float]
"""Seconds of the bare interpreter, and of the command."""


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.splunk", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few events, to see that it works")
    parser.add_argument("--corpora", type=Path, default=CORPORA, help="the folder with the OTRF tar")
    parser.add_argument("--store", type=Path, help="a model store; default: the shipped one")
    arguments = parser.parse_args()
    batch, rounds, sample, turns = (50, 2, 500, 3) if arguments.quick else (BATCH, 3, 60_000, 15)
    pythons = {version: found for version in VERSIONS if (found := interpreter(version))}
    pythons = pythons or {".".join(map(str, sys.version_info[:2])): sys.executable}
    with tempfile.TemporaryDirectory(prefix="triaged-bench-") as name:
        directory = Path(name)
        stream = streams.gather(arguments.corpora, directory)
        lines = [line for part in distinct(stream, sample, batch, rounds + 1) for line in part]
        batch = len(lines) // (rounds + 1)
        with search_head(directory) as app:
            starts = {version: start_up(app, found, turns) for version, found in pythons.items()}
            newest = list(pythons.values())[-1]
            rates = {}
            for kind, cache, times in (("distinct", 0, 1), ("cached", 200_000, REPEAT)):
                with served(directory / kind, arguments.store, cache=cache) as (_, call):
                    app.set_up(url=f"unix:{call.path}", timeout="600")
                    rates[kind] = throughput(app, newest, call, lines[:batch] + times * lines[batch:], batch)
    show(stream.name, batch, starts, rates)


@contextmanager
def search_head(directory: Path) -> Iterator[Installed]:
    """The app on a stand-in that keeps its token."""
    with Splunkd() as splunkd:
        splunkd.passwords.put("search", TOKEN, "triaged", "triaged")
        yield Installed(directory / "apps", splunkd.url, splunkd.sessions.session(splunkd.username))


def start_up(app: Installed, python: str, turns: int) -> Start:
    """The medians of both, taken by turns; the first of each warms and does not count."""
    idle = conversation(app.info(), [b""])
    spent: dict[str, list[float]] = {"bare": [], "command": []}
    for _ in range(turns + 1):
        spent["bare"].append(seconds(lambda: run([python, "-c", "pass"], b"", app)))
        spent["command"].append(seconds(lambda: run(app.command(python=python), idle, app)))
    return median(spent["bare"][1:]), median(spent["command"][1:])


def throughput(app: Installed, python: str, call: Caller, lines: Sequence[bytes], batch: int) -> Rates:
    """Events a second of the API alone and of a search; the first batch warms both and does not count."""
    warm, counted = rows(lines[:batch]), rows(lines[batch:])
    idle, short, search = (conversation(app.info(), [table(part) if part else b""]) for part in ([], warm, counted))
    api = [asked(call)([json.dumps(row).encode() for row in part]) for part in parts(counted, batch)]
    asked(call)([json.dumps(row).encode() for row in warm])()
    for once in api[: len(set(lines)) // batch]:
        once()  # where scores are cached, none of those that are timed may be the first
    checked(app, python, short, batch)
    alone, ours = [], []
    for turn in range(TURNS):
        for way in ("api", "search") if turn % 2 else ("search", "api"):
            if way == "api":
                alone.append(sum(seconds(once) for once in api))
            else:
                start = seconds(lambda: run(app.command(python=python), idle, app))
                ours.append(seconds(lambda: checked(app, python, search, len(counted))) - start)
    ratios = [a / b for a, b in zip(alone, ours, strict=True)]
    return Rates(len(counted) / median(alone), len(counted) / median(ours), median(ratios))


def rows(lines: Sequence[bytes]) -> list[dict[str, str]]:
    """Lines as the events of an index."""
    return [{"_raw": line.decode(), "sourcetype": "bench", "host": "ws-1"} for line in lines]


def parts(whole: Sequence[dict[str, str]], size: int) -> Iterator[Sequence[dict[str, str]]]:
    """So many at a time."""
    return (whole[start : start + size] for start in range(0, len(whole), size))


def checked(app: Installed, python: str, search: bytes, count: int) -> None:
    """A search in which every event gets a verdict."""
    found = replies(run(app.command(python=python), search, app))
    assert not [message for reply in found for message in reply.messages], found[-1].messages
    assert found[-1].body.count(b"\n") >= count


def run(command: Sequence[str], stdin: bytes, app: Installed) -> bytes:
    """A process to its end; what it wrote."""
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, env=app.environment()).stdout


def show(stream: str, batch: int, starts: dict[str, Start], rates: dict[str, Rates]) -> None:
    """The table for people and the JSON line for machines."""
    shown = Table(title=f"{stream}, {batch} events a request, {len(os.sched_getaffinity(0))} cores")
    for column in ("what", "alone", "the command", "ratio"):
        shown.add_column(column, justify="left" if column == "what" else "right")
    for version, (bare, ours) in starts.items():
        extra = f"+{1000 * (ours - bare):.0f} ms"
        shown.add_row(f"start-up, Python {version}", f"{1000 * bare:.0f} ms", f"{1000 * ours:.0f} ms", extra)
    for kind, found in rates.items():
        shown.add_row(f"events/s, {kind} events", f"{found.alone:,.0f}", f"{found.api:,.0f}", f"{found.ratio:.0%}")
    Console(width=110).print(shown)
    facts = {
        "stream": stream,
        "batch": batch,
        "start_extra_ms": {version: round(1000 * (ours - bare), 1) for version, (bare, ours) in starts.items()},
        "bare_ms": {version: round(1000 * bare, 1) for version, (bare, _) in starts.items()},
        **{f"api_{kind}": round(found.alone, 1) for kind, found in rates.items()},
        **{f"command_{kind}": round(found.api, 1) for kind, found in rates.items()},
        **{f"command_share_{kind}": round(found.ratio, 3) for kind, found in rates.items()},
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
