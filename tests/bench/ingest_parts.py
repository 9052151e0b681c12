"""What a server does with a document around and in our ingest script, part by part, on one thread and without an index.

``IngestParts.java`` calls the server's own classes. Processor time of one thread, in the best of many rounds, is steady
where the rate of a whole server is not; it leaves out what indexing the stamp costs, and the collecting of garbage.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.types import Event
from tests.servers.cache import jdk
from tests.servers.opensearch import jars

ROUNDS: Final = 20
EVENTS: Final = 3000
_PARTS: Final = ("parse", "write", "copy", "cycles", "script")
_SOURCE: Final = Path(__file__).with_name("IngestParts.java")


def microseconds(events: Sequence[Event], script: Mapping[str, Any], rounds: int = ROUNDS) -> dict[str, float]:
    """Of each part, processor time a document: the server's ``parse`` and ``write`` around any pipeline, its ``copy`` and
    search for ``cycles`` around any script, and our ``script``."""
    with tempfile.TemporaryDirectory(prefix="triaged-parts-") as name:
        folder = Path(name)
        documents, ours = folder / "documents.jsonl", folder / "script.json"
        documents.write_bytes(b"".join(msgspec.json.encode(event.ecs) + b"\n" for event in events[:EVENTS]))
        ours.write_bytes(msgspec.json.encode({"source": script["source"], "params": script["params"]}))
        classes = f"{jars()}/*"
        compiler = [str(jdk() / "bin" / "javac"), "-cp", classes, "-d", name, str(_SOURCE)]
        subprocess.run(compiler, check=True, capture_output=True)
        java = [str(jdk() / "bin" / "java"), "-Xmx1g", "-XX:+UseSerialGC", "-cp", f"{name}:{classes}", "IngestParts"]
        done = subprocess.run(
            [*java, str(documents), str(ours), str(rounds)], check=True, capture_output=True, text=True, timeout=900
        )
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: float(row[1]) for row in rows if len(row) == 2 and row[0] in _PARTS}
