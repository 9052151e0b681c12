"""A site in this process whose analysts are asked: a real application over the tiny model, and a clock that a test moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from connector import wiring
from connector.learn.export import Machines
from connector.learn.export.folder import Folder
from connector.learn.export.rows import Row
from connector.learn.export.snapshot import kept_in
from connector.learn.review import Answer, ReviewQueue, answer
from connector.ledger import Review
from connector.pipeline import Steps
from connector.testing import ManualClock
from connector.types import DispositionChange
from connector.wiring import no_steps
from tests.daemon.site import Site, process_start

SETTINGS = """
[retention]
snapshot_share = 1.0
[export]
key = "a key for tests alone, and long"
service_accounts = ["closer"]
[review]
budget = 3
window = "P5D"
"""

IMAGES = ("mimikatz.exe", "whoami.exe", "excel.exe", "backup.exe", "psexec.exe", "notepad.exe", "rundll.exe", "net.exe")


class Desk:
    """One site; ``directory`` may hold one that ran before."""

    def __init__(
        self, directory: Path, *, clock: ManualClock | None = None, steps: Steps = no_steps, store: Path | None = None
    ) -> None:
        self.dir = directory
        self.clock = clock or ManualClock()
        config = directory / "triaged.toml"
        if not config.exists():
            Site(directory, extra=SETTINGS)
        if store is not None:
            config.write_text(config.read_text().replace(f"{directory}/store", str(store)))
        self.app = wiring.App(wiring.load_settings(config), clock=self.clock, steps=steps)

        self.machines = Machines.of(self.app.settings.export)

    @property
    def queue(self) -> ReviewQueue:
        assert self.app.review is not None
        return self.app.review

    def events(self, *images: str) -> None:
        """Takes a process start an image."""
        self.take(*map(process_start, images or IMAGES))

    def take(self, *documents: dict[str, Any]) -> None:
        """Takes events as they come."""
        with (self.dir / "in" / "a.jsonl").open("a") as file:
            file.writelines(json.dumps(document) + "\n" for document in documents)
        self.app.ingests["lab"].poll()

    def by_image(self) -> dict[str, list[str]]:
        """The ids of the events of each image."""
        found: dict[str, list[str]] = {}
        ids = [verdict.event_id for verdict in self.app.ledger.verdicts()]
        for event_id, snapshot in self.app.ledger.snapshots(ids).items():
            kept = kept_in(snapshot)
            assert kept is not None
            found.setdefault(kept.ecs["process"]["name"], []).append(event_id)
        return found

    def asked(self) -> list[Review]:
        """Open questions."""
        return self.app.ledger.reviews(only_open=True)

    def answer(self, review: Review, disposition: Any = "false_positive", analyst: str = "ana", **more: Any) -> Review:
        """An analyst's answer, a minute later."""
        self.clock.advance(60)
        said = Answer(disposition=disposition, **more)
        held = answer(self.app.ledger, review, said, analyst=analyst, actor=analyst, machines=self.machines)
        assert held is not None
        return held

    def say(self, event_id: str, disposition: str | None, *, status: str = "closed", analyst: str = "ana") -> None:
        """What happens to an alert in the SIEM, a minute later."""
        self.clock.advance(60)
        change = DispositionChange(
            alert_id=f"alert-{event_id}",
            event_ids=(event_id,),
            status=status,
            disposition=disposition,
            changed_at=self.clock(),
            observed_at=self.clock(),
            analyst=analyst,
        )
        self.app.ledger.record_dispositions("siem", [change], None)

    def told(self) -> list[dict[str, Any]]:
        """Questions as the target has them, in the order in which they came."""
        self.app.delivers["out"].drain()
        path = self.dir / "out.jsonl"
        found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [one for one in found if one["triaged"].get("record") == "review_request"]

    def rows(self) -> list[Row]:
        """The next export's rows."""
        assert self.app.export is not None
        self.app.export.run()
        return Folder(self.dir / "data" / "export").labels()


def started(image: str, command: str) -> dict[str, Any]:
    """A process start with its command line."""
    found: Any = process_start(image)
    found["winlog"]["event_data"] |= {"Image": f"C:\\Windows\\System32\\{image}", "CommandLine": command}
    return found
