"""The testbed for the contract suites: the stand-in of splunkd, with a clock of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from connector.testing import ManualClock
from tests.siem.splunk.writing import table, with_server
from tests.splunkd import Splunkd


class SplunkTestbed:
    """One search head with two indexers."""

    unique_keys = False

    def __init__(self, directory: Path) -> None:
        self._clock = ManualClock()
        self.splunkd = Splunkd(clock=self._clock)

    def __enter__(self) -> Self:
        self.splunkd.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.splunkd.__exit__(*exc)

    def connection(self) -> dict[str, Any]:
        """Where it is, and what opens it."""
        return {"type": "splunk", "hosts": [self.splunkd.url], "token": self.splunkd.token}

    def source_config(self) -> Mapping[str, Any]:
        """A source of the index ``main``."""
        return {**self.connection(), "deployment": "testbed", "search": "index=main", "settle": 0}

    def writer_config(self) -> Mapping[str, Any]:
        """A writer to the collector that acknowledges, and to the app's collections."""
        return table(self.splunkd, **with_server(self.splunkd))

    def written(self) -> Sequence[Mapping[str, Any]]:
        """Events of ours in any index, and rows of the app's collections."""
        ours = [json.loads(event.raw) for event in self.splunkd.events if event.sourcetype.startswith("triaged:")]
        collections = ("triaged_runs", "triaged_lookup")
        return [*ours, *(row for name in collections for row in self.splunkd.kv.define(name, "triaged").values())]

    def history_config(self) -> Mapping[str, Any]:
        """A history of what became of notables."""
        return {**self.connection(), "deployment": "testbed", "settle": 0}

    def put(self, documents: Sequence[Mapping[str, Any]]) -> None:
        """Indexes events, all of them in one second."""
        self.splunkd.put(*map(json.dumps, documents), index="main", sourcetype="_json")

    def close_alert(self, alert_id: str, event_ids: Sequence[str], disposition: str) -> None:
        """A notable that a search over verdicts raised, and an analyst who closes it."""
        [notable] = self.splunkd.put(
            {"triaged_event_id": event_ids[0]}, index="notable", source="Triaged - Verdicts", sourcetype="stash"
        )
        review = self.splunkd.review
        review.ids[notable.bkt, notable.cd] = alert_id
        number = {"true_positive": "disposition:1", "false_positive": "disposition:3"}[disposition]
        review.add(alert_id, status="5", disposition=number, owner="ana", user="ana", comment="looked at it")
        self.settle()

    def clock(self) -> datetime:
        """The time of the search head and its indexers."""
        return self._clock()

    def settle(self) -> None:
        """The next second but one: a head lies before the second that is being written."""
        self._clock.advance(2)
