"""What analysts did with notables and findings, joined to the events that they are about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, Literal, NamedTuple

from pydantic import Field

from connector.errors import TransientError
from connector.identity import event_id
from connector.ports import Clock
from connector.settings import HistorySettings, Stretch
from connector.siem.splunk import notables, rows as stream
from connector.siem.splunk.client import Splunk
from connector.siem.splunk.connection import Connection
from connector.siem.splunk.faults import RAISED, fault
from connector.siem.splunk.identity import native_id
from connector.siem.splunk.messages import Message, meaning, told
from connector.siem.splunk.reviews import STATUSES, Findings, History, Review, Reviews, moment
from connector.siem.splunk.statuses import SHIPPED, Statuses, of_site
from connector.telemetry import Signal, emit
from connector.types import Batch, Cursor, DispositionChange

_AT_ONCE: Final = 100
_LONGEST_ID: Final = 1024
_MOST_TECHNIQUES: Final = 100
_SCORED: Final = "triaged_event_id"


class About(NamedTuple):
    """The events that a notable is about, and the techniques that its search names."""

    event_ids: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()


NOTHING: Final = About()


class SplunkHistoryConfig(HistorySettings, Connection):
    """Whose notables, and what in their history is no person's decision."""

    type: Literal["splunk"] = "splunk"
    deployment: str = Field(description="of the sources whose events the notables are about")
    reads: Literal["incident_review", "findings"] = Field(
        "incident_review",
        description="where decisions are read: the history of reviews, which has each change, or the present state of "
        "findings (Enterprise Security 8)",
    )
    settle: Stretch = Field(timedelta(seconds=30), description="how far behind the clock to stay")
    window: Stretch = Field(timedelta(days=90), description="how old a notable may be when somebody decides about it")
    own_searches: tuple[str, ...] = Field(
        ("Triaged - *",),
        description="names (patterns) of correlation searches over verdicts alone, whose notables say in "
        f"`{_SCORED}` which event they are about",
    )
    service_users: tuple[str, ...] = Field(
        ("splunk-system-user",), description="users whose changes are no person's, among them the one of a writer"
    )
    harmless: tuple[str, ...] = Field(
        (), description="beginnings of search messages that this site knows to be harmless"
    )


class SplunkHistory:
    """Reads changes in the order in which they were made."""

    Config: ClassVar[type[HistorySettings]] = SplunkHistoryConfig

    def __init__(self, name: str, config: SplunkHistoryConfig, clock: Clock) -> None:
        self.name = name
        self._config = config
        self._clock = clock
        self._splunk = Splunk(config)
        self._reviews: Reviews = (
            History(self._splunk) if config.reads == "incident_review" else Findings(self._splunk, config.window)
        )

    def dispositions(self, after: Cursor | None, limit: int) -> Batch[DispositionChange]:
        """The next changes; incomplete where notables could not be looked up as a whole."""
        now = self._clock()
        page = self._reviews.page(after.token if after else None, now - self._config.settle, limit)
        reasons = list(page.reasons)
        events = self._events({review.rule_id for review in page.reviews}, now, reasons) if page.reviews else {}
        statuses = self._statuses() if page.reviews else SHIPPED
        items = tuple(
            self._change(review, statuses, events.get(review.rule_id, NOTHING), now) for review in page.reviews
        )
        for change in items:
            if not change.event_ids:
                emit(Signal.ALERT_UNJOINED, self.name, alert=change.alert_id)
        return Batch(
            items=items,
            cursor=after if page.token is None else Cursor(token=page.token),
            done=page.done,
            complete=not reasons,
            reason="; ".join(dict.fromkeys(reasons)),
        )

    def close(self) -> None:
        """Gives up what is held."""
        self._splunk.close()

    def _change(self, review: Review, statuses: Statuses, about: About, observed_at: datetime) -> DispositionChange:
        owner = review.owner if review.owner not in {"", "unassigned"} else None
        return DispositionChange(
            alert_id=review.rule_id,
            event_ids=about.event_ids,
            status=statuses.status(review.status),
            disposition=statuses.disposition(review.disposition, review.status),
            changed_at=moment(review.time),
            observed_at=observed_at,
            analyst=review.user or owner,
            comment=review.comment,
            tags=(review.disposition,) if review.disposition else (),
            assignees=(owner,) if owner else (),
            machine=review.user in self._config.service_users,
            techniques=about.techniques,
        )

    def _statuses(self) -> Statuses:
        """The site's own lists, as they are now."""
        query = {"output_mode": "json", "count": "0"}
        answer = self._splunk.request("reading statuses", "GET", STATUSES, query=query).json()
        entries = answer.get("entry") if isinstance(answer, dict) else None
        return of_site(entry for entry in entries or () if isinstance(entry, dict))

    def _events(self, names: set[str], now: datetime, reasons: list[str]) -> Mapping[str, About]:
        """What notables are about, by the notables' names.

        Raises ``TransientError`` where one was not found and may be among what is missing: a decision is told once, and
        would label nothing for ever.
        """
        partial = len(reasons)
        ordered = sorted(name for name in names if 0 < len(name) <= _LONGEST_ID)
        found: dict[str, About] = {}
        for start in range(0, len(ordered), _AT_ONCE):
            search = notables.named(ordered[start : start + _AT_ONCE])
            times = {"earliest_time": f"{(now - self._config.window).timestamp():.0f}", "latest_time": "4102444800"}
            for row in self._rows(search, times, reasons):
                if (name := row.get("event_id")) in names:
                    found[str(name)] = self._about(row)
        if reasons[partial:] and (missing := [name for name in ordered if name not in found]):
            what = f"looking up notables on {self._splunk.address}: {len(missing)} of {len(ordered)} were not found"
            raise TransientError(f"{what}, and {reasons[partial]}", sent=True)
        return found

    def _rows(self, search: str, times: Mapping[str, str], reasons: list[str]) -> Iterator[Mapping[str, Any]]:
        what = f"looking up notables on {self._splunk.address}"
        body = self._splunk.export("looking up notables", search, search_mode="normal", **times)
        try:
            for item in stream.read(body.lines()):
                if not isinstance(item, Message):
                    yield stream.fields(item)
                elif meaning(item, self._config.harmless) != "harmless":
                    reasons.append(told(item))
        except TransientError as error:
            raise TransientError(f"{what}: {error}", sent=True) from error
        except RAISED as error:
            raise fault(error, what) from error
        finally:
            body.close()

    def _about(self, row: Mapping[str, Any]) -> About:
        """The event that was scored, where a search of ours over verdicts raised the notable; else the notable itself.

        The metadata field ``source`` is the name of the search that raised it. What the notable says beside it was copied from
        events, and whoever wrote those could name any event.
        """
        raised_by, scored = _first(row.get("source")), row.get(_SCORED)
        if isinstance(scored, str) and scored and _matches(raised_by, self._config.own_searches):
            return About((scored,))  # and its techniques are ours: no rule of the site named them
        techniques = row.get(notables.TECHNIQUES) or ()
        named = (techniques,) if isinstance(techniques, str) else tuple(map(str, techniques))
        return About((event_id(self._config.deployment, native_id(row)),), named[:_MOST_TECHNIQUES])


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _first(value: Any) -> str:
    """A field's first value: what the indexer says comes before what the event says."""
    if isinstance(value, list):
        value = value[0] if value else ""
    return "" if value is None else str(value)
