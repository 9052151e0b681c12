"""The review queue: asks analysts about what a label would teach most, and withdraws what they said elsewhere.

Each step is one transaction that can be done again: a question's id follows from its event, so a killed run asks nothing
twice, and what it did not tell the SIEMs the next one tells.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final

from connector import identity
from connector.errors import ConfigError
from connector.learn.export import LabelMap, Machines
from connector.learn.review.candidates import Read, candidates, levels_of, text_of
from connector.learn.review.labelled import labelled
from connector.learn.sampling import Candidate, Chosen, Floats, Reason, choose
from connector.ledger import Ledger, Review
from connector.models import Bundle
from connector.models.ensemble import TEXT
from connector.models.explain import Readable
from connector.pipeline import Routes, Steps
from connector.ports import Clock
from connector.review_settings import ReviewSettings
from connector.settings import Settings
from connector.telemetry import Signal, emit
from connector.types import ReviewRequest

WHY: Final[Mapping[Reason, str]] = {
    "margin": "next to a threshold",
    "disagreement": "members disagree",
    "rare": "unlike what was asked before",
}
COMPARED: Final = 500
"""Questions of before that new ones are to be unlike: the newest."""

LABELLED: Final = "labelled in the SIEM"
EXPIRED: Final = "its snapshot has expired"


class ReviewQueue:
    """One ledger's questions. ``steps`` is told of each step once it is done."""

    def __init__(
        self,
        ledger: Ledger,
        routes: Routes,
        bundle: Callable[[], Bundle],
        settings: ReviewSettings,
        *,
        labels: LabelMap,
        machines: Machines,
        origin_key: bytes,
        clock: Clock,
        steps: Steps,
    ) -> None:
        self._ledger = ledger
        self._routes = routes
        self._bundle = bundle
        self._settings = settings
        self._labels = labels
        self._machines = machines
        self._origin_key = origin_key
        self._clock = clock
        self._steps = steps

    def run(self) -> int:
        """Withdraws, tells and asks, as far as there is something to do. Returns how many questions were asked."""
        known = labelled(self._ledger, self._labels, self._machines)
        withdrawn = self._withdraw(known)
        self._steps("review.withdrawn")
        self._tell()
        self._steps("review.told")
        asked = self._ask(known)
        self._steps("review.asked")
        emit(Signal.REVIEWED, asked=len(asked), withdrawn=withdrawn, open=len(self._ledger.reviews(only_open=True)))
        return len(asked)

    def _withdraw(self, known: Collection[str]) -> int:
        """Withdraws open questions whose event was labelled elsewhere, or could be exported no more."""
        waiting = self._ledger.reviews(only_open=True)
        there = self._ledger.scored([one.event_id for one in waiting])
        why = {one.id: EXPIRED for one in waiting if one.event_id not in there}
        why |= {one.id: LABELLED for one in waiting if one.event_id in known}
        return self._ledger.withdraw_reviews(why)

    def _tell(self) -> None:
        """Tells the SIEMs of questions that were closed since."""
        closed = [one for one in self._ledger.reviews() if one.state != "open" and not one.told]
        if closed:
            self._ledger.tell_reviews(closed, self._routes.follow_ups(map(self._ended, closed)))

    def _ask(self, known: Collection[str]) -> list[Review]:
        """Asks as far as there is room."""
        budget, now = self._settings.budget, self._clock()
        room = self._ledger.review_room(budget)
        if not room:
            return []
        bundle = self._bundle()
        levels = levels_of(bundle.thresholds)
        since = now - self._settings.window
        found = candidates(
            self._ledger, since, model=bundle.model, levels=levels, labelled=known, asked=self._ledger.reviews()
        )
        fresh = [_question(found[one.place], WHY[one.reason], now) for one in self._chosen(bundle, found, room)]
        rows = self._routes.follow_ups(map(self._request, fresh))
        return self._ledger.ask_reviews(fresh, rows, budget)

    def _chosen(self, bundle: Bundle, found: Sequence[Read], room: int) -> Sequence[Chosen]:
        """The best of the candidates, told apart by what the text member makes of them, where the bundle has one that tells."""
        several = [
            Candidate(
                key=one.seen.event_id, margin=one.seen.margin, disagreement=one.seen.disagreement, cluster=one.group
            )
            for one in found
        ]
        member = bundle.members.get(TEXT)
        vectors = _embedded(member, [one.text for one in found])
        if vectors is None:
            return choose(several, room)
        before = [one.event_id for one in self._ledger.reviews()[-COMPARED:]]
        texts = [told[1] for told in map(text_of, self._ledger.snapshots(before).values()) if told is not None]
        return choose(several, room, vectors=vectors, known=_embedded(member, texts))

    def _request(self, review: Review) -> ReviewRequest:
        return self._record(review.id, review, review.reason, review.asked_at, is_open=True)

    def _ended(self, review: Review) -> ReviewRequest:
        said = review.state if review.state == "answered" else f"{review.state}: {review.outcome}"
        record = identity.follow_up_id(review.event_id, "review_request", "closed")
        return self._record(record, review, said, review.closed_at or self._clock(), is_open=False)

    def _record(self, record: str, review: Review, reason: str, at: datetime, *, is_open: bool) -> ReviewRequest:
        mark = identity.origin_mark(self._origin_key, record)
        return ReviewRequest(record_id=record, cause=review.event_id, reason=reason, at=at, open=is_open, origin=mark)


def _embedded(member: object, texts: Sequence[str]) -> Floats | None:
    """The features (n, d) that the heads read; None without texts, and of a bundle whose graph does not give them."""
    if not texts or not isinstance(member, Readable):
        return None
    try:
        return member.embed(texts)
    except ConfigError:
        return None


def _question(one: Read, reason: str, now: datetime) -> Review:
    return Review(
        id=identity.follow_up_id(one.seen.event_id, "review_request", "asked"),
        event_id=one.seen.event_id,
        reason=reason,
        fingerprint=one.seen.fingerprint,
        group=one.group,
        asked_at=now,
    )


def built(
    settings: Settings,
    ledger: Ledger,
    routes: Routes,
    bundle: Callable[[], Bundle],
    *,
    origin_key: bytes,
    clock: Clock,
    steps: Steps,
) -> ReviewQueue | None:
    """The queue that the settings describe; None without a budget."""
    if not settings.review.budget:
        return None
    return ReviewQueue(
        ledger,
        routes,
        bundle,
        settings.review,
        labels=LabelMap.of(settings.export),
        machines=Machines.of(settings.export),
        origin_key=origin_key,
        clock=clock,
        steps=steps,
    )
