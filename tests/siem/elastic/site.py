"""A whole Triaged with a real cluster on both sides: events polled from it, records written to it, a tiny model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from connector import wiring
from tests.daemon.site import POLICY
from tests.models.tiny import tiny_store
from tests.servers.process import Server

CONFIG = """
data_dir = {dir}
origin_key = "a key for tests alone"
[model]
store = {store}
[policy]
path = {policy}
[soars.dryrun]
type = "dryrun"
path = {runs}
"""


class ElasticSite:
    """One daemon's application without its schedule: ``turn`` polls, acts and delivers once."""

    def __init__(self, folder: Path, tables: Mapping[str, Mapping[str, Any]]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "store").exists():
            tiny_store(folder / "store")
        (folder / "policy.toml").write_text(POLICY)
        places = {"dir": "data", "store": "store", "policy": "policy.toml", "runs": "runs.sqlite"}
        text = CONFIG.format(**{name: json.dumps(str(folder / place)) for name, place in places.items()})
        for name, table in tables.items():
            text += f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        (folder / "triaged.toml").write_text(text)
        self.app = wiring.App(wiring.load_settings(folder / "triaged.toml"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.app.close()

    def turn(self) -> int:
        """How many records were delivered."""
        for ingest in self.app.ingests.values():
            ingest.poll()
        for act in self.app.acts.values():
            act.drain()
        return sum(deliver.drain() for deliver in self.app.delivers.values())

    def until_quiet(self, turns: int = 20) -> int:
        """Turns until two in a row have nothing to deliver; raises where that does not come. How many were delivered."""
        total, idle = 0, 0
        for _ in range(turns):
            delivered = self.turn()
            total += delivered
            idle = 0 if delivered else idle + 1
            if idle == 2:
                return total
        raise AssertionError(f"still {delivered} records a turn after {turns} turns")


def source(server: Server, *index: str, **more: Any) -> dict[str, Any]:
    """The table of a source that reads everything at once."""
    return {
        "type": "elastic",
        "flavour": server.flavour,
        "hosts": [server.url],
        "deployment": "site",
        "index": list(index),
        "start": "beginning",
        "settle": 0,
        **more,
    }


def target(server: Server, prefix: str, **more: Any) -> dict[str, Any]:
    """The table of a writer."""
    return {"type": "elastic", "flavour": server.flavour, "hosts": [server.url], "index_prefix": prefix, **more}
