"""Incidents: when they open, who is part of them, and when they are over."""

from __future__ import annotations

from connector.pipeline.entities.chain import techniques_of
from connector.pipeline.entities.fold import Contribution, add
from connector.pipeline.entities.incidents import MOST_ENTITIES, taken
from connector.pipeline.entities.nouns import EntityState, IncidentState
from connector.pipeline.entities.points import HALF_LIFE, MOST_POINTS
from connector.types import Entity

DAY = int(HALF_LIFE.total_seconds() * 1_000_000)
START = 10 * DAY


class Site:
    """Entities and incidents in memory."""

    def __init__(self) -> None:
        self.entities: dict[str, EntityState] = {}
        self.incidents: dict[str, IncidentState] = {}
        self.number = 0

    def see(self, at: int, technique: str, *names: str, points: float = 60.0) -> str | None:
        """One event about these entities; returns its incident."""
        self.number += 1
        whose = tuple((name, Entity(host=name)) for name in names)
        found = Contribution(event=f"e{self.number}", at=at, points=points, techniques=(technique,), whose=whose)
        added = [
            add(self.entities.get(key) or EntityState(key=key, entity=entity, newest=0), found) for key, entity in whose
        ]
        outcome = taken(found, added, self.incidents)
        self.entities |= {state.key: state for state in outcome.states}
        self.incidents |= outcome.incidents
        return outcome.incident

    def members(self, incident: str | None) -> set[str]:
        return {key for key, _ in self.incidents[incident or ""].entities}


def test_one_technique_opens_no_incident_however_often_and_two_do() -> None:
    site = Site()
    assert [site.see(START + n, "T1003", "ws") for n in range(20)] == [None] * 20
    assert site.see(START + 30, "T1059", "ws") is not None


def test_no_event_opens_an_incident_alone_however_sure_its_verdict_and_however_many_its_techniques() -> None:
    site = Site()
    assert site.see(START, "T1003", "ws", points=MOST_POINTS) is None
    sure = Contribution(
        event="sure", at=START, points=MOST_POINTS, techniques=("T1003", "T1055"), whose=(("pc", Entity(host="pc")),)
    )
    alone = add(EntityState(key="pc", entity=Entity(host="pc"), newest=0), sure)
    assert taken(sure, [alone], {}).incident is None
    assert site.see(START, "T1059", "ws", points=1.0) is not None


def test_two_techniques_open_an_incident_only_where_the_risk_was_high_with_both() -> None:
    site = Site()
    site.see(START, "T1003", "ws", points=MOST_POINTS)
    site.see(START + 3 * DAY, "T1059", "ws", points=1.0)
    assert site.see(START - 1, "T1003", "ws", points=1.0) is None
    assert site.see(START - 1, "T1105", "ws", points=1.0) is not None


def test_what_follows_joins_the_incident_and_its_chain() -> None:
    site = Site()
    site.see(START, "T1566", "ws")
    opened = site.see(START + 1, "T1059", "ws")
    assert site.see(START + 2, "T1003", "ws") == opened
    (incident,) = site.incidents.values()
    assert techniques_of(incident.steps) == ("T1566", "T1059", "T1003")
    assert (incident.opened, incident.newest, incident.events) == (START + 1, START + 2, 2)


def test_an_incident_is_over_once_its_risk_has_halved_and_the_next_is_another() -> None:
    site = Site()
    site.see(START, "T1566", "ws")
    first = site.see(START, "T1059", "ws")  # 120 points: half of what opens one is left after log2(2.4) half-lives
    assert site.see(START + DAY, "T1105", "ws", points=1.0) == first
    assert site.see(START + 4 * DAY, "T1021", "ws") is None
    second = site.see(START + 4 * DAY + 1, "T1003", "ws")
    assert second not in {None, first}


def test_an_entity_whose_risk_gets_high_by_an_event_of_an_incidents_entity_joins_that_incident() -> None:
    site = Site()
    site.see(START, "T1566", "ws", "alice")
    opened = site.see(START + 1, "T1059", "ws", "alice")
    assert site.members(opened) == {"ws", "alice"}
    # her events on the server are the incident's; the server is part of it only once its own risk is high
    assert site.see(START + 2, "T1021", "server", "alice") == opened
    assert site.members(opened) == {"ws", "alice"}
    assert site.see(START + 3, "T1003", "server", "alice") == opened
    assert site.members(opened) == {"ws", "alice", "server"}
    assert len(site.incidents) == 1


def test_two_incidents_are_never_made_one() -> None:
    site = Site()
    for name in ("one", "two"):
        site.see(START, "T1566", name)
        site.see(START, "T1059", name)
    before = set(site.incidents)
    assert len(before) == 2
    assert site.see(START + 1, "T1003", "one", "two") in before
    assert set(site.incidents) == before


def test_an_account_that_acts_everywhere_joins_no_whole_site() -> None:
    site = Site()
    for number in range(3 * MOST_ENTITIES):
        for technique in ("T1566", "T1059"):
            site.see(START + number, technique, f"host{number}", "admin")
    assert all(len(incident.entities) <= MOST_ENTITIES for incident in site.incidents.values())
    assert len(site.incidents) > 1


def test_an_event_that_comes_late_belongs_to_the_incident_of_its_time() -> None:
    site = Site()
    site.see(START, "T1566", "ws")
    opened = site.see(START + DAY // 2, "T1059", "ws", points=90.0)
    assert site.see(START + DAY // 4, "T1105", "ws") == opened
    (incident,) = site.incidents.values()
    assert techniques_of(incident.steps) == ("T1566", "T1105", "T1059")


def test_an_incident_opens_at_the_time_at_which_the_risk_was_high_however_late_an_event_comes() -> None:
    site = Site()
    site.see(START, "T1566", "ws")
    site.see(START + 3 * DAY, "T1105", "ws", points=1.0)
    opened = site.see(START, "T1059", "ws")
    assert site.incidents[opened or ""].peak == 120.0  # what it was then, not the 16 that are left by the newest event
