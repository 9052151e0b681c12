"""On the real Elasticsearch and on the stand-in of Splunk: what is exported of alerts is right at every time."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from connector.identity import event_id
from connector.learn.export import Done
from connector.pipeline import History
from connector.ports import AlertHistory
from connector.siem.elastic.history import ElasticHistory, ElasticHistoryConfig
from connector.siem.splunk.history import SplunkHistory, SplunkHistoryConfig
from connector.testing import ManualClock
from connector.types import Batch, Cursor, DispositionChange
from tests.learn.export.make import House, process, scored
from tests.learn.export.test_kill import dying_at, in_a_child
from tests.servers.elasticsearch import Elasticsearch
from tests.servers.fixtures import elasticsearch
from tests.siem.elastic.asked import ask, put
from tests.siem.elastic.test_alert_history import MAPPINGS
from tests.splunkd import Splunkd

__all__ = ["elasticsearch"]

ALERTS = "ABCD"
NUMBERS = {"true_positive": "disposition:1", "benign_positive": "disposition:2", "false_positive": "disposition:4"}

STORY: tuple[tuple[tuple[tuple[str, str, str | None, str], ...], dict[str, str]], ...] = (
    ((("A", "open", None, ""), ("B", "open", None, "")), {}),
    (
        (("A", "closed", "false_positive", "ana"), ("B", "closed", "true_positive", "svc-closer")),
        {"A": "false_positive"},
    ),
    (
        (
            ("A", "open", None, "ben"),
            ("C", "closed", "true_positive", "ana"),
            ("D", "closed", "benign_positive", "ben"),
        ),
        {"C": "true_positive", "D": "benign_positive"},
    ),
    (
        (
            ("A", "closed", "true_positive", "ana"),
            ("B", "open", None, "ana"),
            ("C", "closed", "false_positive", "machine"),
        ),
        {"A": "true_positive", "C": "true_positive", "D": "benign_positive"},
    ),
    (
        (("B", "closed", "benign_positive", "ben"), ("D", "open", None, "ana")),
        {"A": "true_positive", "B": "benign_positive", "C": "true_positive"},
    ),
    (
        (("A", "closed", "benign_positive", "ben"), ("D", "closed", "false_positive", "ana")),
        {"A": "benign_positive", "B": "benign_positive", "C": "true_positive", "D": "false_positive"},
    ),
)
"""What happens to alerts between two polls (alert, status, disposition, by whom), and what then stands of which."""


class Siem(Protocol):
    """A SIEM with an alert for each event."""

    def change(self, alert: str, status: str, disposition: str | None, user: str, at: datetime) -> None: ...

    def history(self, clock: ManualClock) -> AlertHistory: ...

    def event(self, alert: str) -> str:
        """The id of the event that an alert is about, as its verdict has it."""
        ...


class OnElastic:
    def __init__(self, server: Elasticsearch) -> None:
        self.server = server
        self.index = f".alerts-security.alerts-{uuid.uuid4().hex[:12]}"
        ask(server, "PUT", f"/{self.index}", {"mappings": MAPPINGS, "settings": {"index.hidden": True}})

    def event(self, alert: str) -> str:
        return event_id("site", f"logs/{alert}")

    def change(self, alert: str, status: str, disposition: str | None, user: str, at: datetime) -> None:
        machine = user == "machine"
        document: dict[str, Any] = {
            "kibana.alert.uuid": f"alert-{alert}",
            "kibana.alert.rule.type": "query",
            "kibana.alert.rule.threat": [
                {"framework": "MITRE ATT&CK", "technique": [{"id": "T1033", "subtechnique": []}]}
            ],
            "kibana.alert.workflow_status": status,
            "kibana.alert.workflow_status_updated_at": at.isoformat(),
            "kibana.alert.workflow_user": "" if machine else user,
            "kibana.alert.ancestors": [{"id": alert, "type": "event", "index": "logs", "depth": 0}],
        }
        if disposition:
            document["kibana.alert.workflow_reason"] = "automated_closure" if machine else disposition
        put(self.server, self.index, {f"d{alert}": document})

    def history(self, clock: ManualClock) -> ElasticHistory:
        table = {"hosts": [self.server.url], "deployment": "site", "index": self.index, "settle": 0}
        return ElasticHistory("siem", ElasticHistoryConfig.model_validate(table), clock)


class OnSplunk:
    def __init__(self, server: Splunkd) -> None:
        self.server = server
        self.names: dict[str, str] = {}
        self.events: dict[str, str] = {}
        for alert in ALERTS:
            fields = {"search_name": "Odd", "annotations.mitre_attack": "T1033", "alert": alert}
            [found] = server.put(fields, index="notable", source="Endpoint - Odd - Rule", sourcetype="stash")
            self.names[alert] = server.review.event_id(found)
            self.events[alert] = event_id("site", f"{found.bkt}:{found.cd}")

    def event(self, alert: str) -> str:
        return self.events[alert]

    def change(self, alert: str, status: str, disposition: str | None, user: str, at: datetime) -> None:
        decided = NUMBERS[disposition] if disposition else "disposition:6"
        who = "splunk-system-user" if user == "machine" else user
        number = "5" if status == "closed" else "2"
        self.server.review.add(self.names[alert], user=who, status=number, disposition=decided, at=at.timestamp())

    def history(self, clock: ManualClock) -> SplunkHistory:
        table = {"hosts": [self.server.url], "token": self.server.token, "deployment": "site", "settle": 0}
        return SplunkHistory("siem", SplunkHistoryConfig.model_validate(table), clock)


class Dying:
    """A history whose process is killed once it has answered for the ``last`` time, before anything of that answer is kept."""

    def __init__(self, history: AlertHistory, last: int) -> None:
        self.history = history
        self.left = last

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        answer = self.history.dispositions(after, limit)
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


@contextmanager
def elastic(clock: ManualClock, request: pytest.FixtureRequest) -> Iterator[Siem]:
    del clock
    yield OnElastic(request.getfixturevalue("elasticsearch"))


@contextmanager
def splunk(clock: ManualClock, _: pytest.FixtureRequest) -> Iterator[Siem]:
    with Splunkd(clock=clock) as server:
        yield OnSplunk(server)


def polled(house: House, siem: Siem, *, dying_at_page: int = 0, limit: int = 2) -> None:
    history = siem.history(house.clock)
    try:
        config = ElasticHistoryConfig.model_validate({"hosts": ["http://x"], "deployment": "site", "batch": limit})
        reader = Dying(history, dying_at_page) if dying_at_page else history
        History("siem", reader, config, ledger=house.ledger, stopping=lambda: False).poll()
    finally:
        history.close()  # type: ignore[attr-defined]


def killed(house: House, siem: Siem) -> None:
    """Processes that poll and export now, each killed one step later than the one before, until one comes through."""

    def polling(page: int) -> None:
        polled(House(house.dir, clock=house.clock), siem, dying_at_page=page, limit=1)

    def exporting(step: int) -> None:
        House(house.dir, clock=house.clock).export(dying_at(step)).run()

    for doomed in (polling, exporting):
        ends = [in_a_child(partial(doomed, 1))]
        while ends[-1] == -signal.SIGKILL:
            ends.append(in_a_child(partial(doomed, len(ends) + 1)))
        assert ends[-1] == 0
        assert len(ends) > 2


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("server", [elastic, splunk], ids=["elastic", "splunk"])
def test_the_right_labels_at_every_time_through_kills_and_second_runs(
    server: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    house = House(tmp_path)
    with server(house.clock, request) as siem:
        events = [scored(alert, process(number)) for number, alert in enumerate(ALERTS)]
        house.score(*(_as(event, siem.event(alert)) for event, alert in zip(events, ALERTS, strict=True)))
        times: list[datetime] = []
        done: Done | None = None
        for number, (changes, standing) in enumerate(STORY):
            for alert, status, disposition, user in changes:
                house.clock.advance(60)
                siem.change(alert, status, disposition, user, house.clock())
            house.clock.advance(30)
            if number in {2, 4}:
                killed(house, siem)
            polled(house, siem)
            done = house.export().run()
            times.append(house.clock())
            expected = {siem.event(alert): disposition for alert, disposition in standing.items()}
            assert _plain(house.labels()) == expected
            polled(house, siem)
            assert not house.export().run().changed
        for number, (at, (_, standing)) in enumerate(zip(times, STORY, strict=True)):
            house.export().as_of(at, tmp_path / f"then-{number}")
            expected = {siem.event(alert): disposition for alert, disposition in standing.items()}
            assert _plain(house.labels(tmp_path / f"then-{number}")) == expected
        assert done is not None
        assert sum(done.labels.left_out.get(reason, 0) for reason in ("service account", "automated closure")) == 2
        shown = {row.technique_basis for row in house.rows() if row.malicious or row.disposition == "benign_positive"}
        assert shown == {"alert"}
    house.close()


def _as(event: Any, name: str) -> Any:
    return type(event)(**{field: getattr(event, field) for field in event.__struct_fields__} | {"id": name})


def _plain(labels: dict[str, str | None]) -> dict[str, str]:
    """Splunk says of false positives whether logic or data was wrong; Elastic does not."""
    return {event: (label or "").removesuffix("_data") for event, label in labels.items()}
