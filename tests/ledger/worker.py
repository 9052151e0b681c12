"""What a second process does to the ledger, telling its deeds in a file, one a line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connector.ledger import Ledger, open_ledger
from connector.types import RunRef
from tests.ledger.make import TTL, batch, event, events

BATCH = 10
CAP = 7


Say = Callable[..., None]


def deliver(ledger: Ledger, owner: str, _: int, say: Say) -> None:
    """Claims and settles until nothing is left, telling what it delivered."""
    while claims := ledger.claim("siem", owner, 7, TTL):
        settled = ledger.settle("siem", [(claim, "delivered", "", None) for claim in claims])
        say(*(claim.record_id for claim in claims if claim.id in settled))


def ingest(ledger: Ledger, owner: str, count: int, say: Say) -> None:
    """Commits the same batches as everybody else, telling which verdicts it inserted itself; ``b`` counts backwards."""
    order = range(count) if owner == "a" else reversed(range(count))
    for number in order:
        ids = events(BATCH, number * BATCH)
        inserted = ledger.commit(batch(ids if owner == "a" else ids[::-1], start=number * BATCH)).inserted
        say(*inserted)


def admit(ledger: Ledger, owner: str, _: int, say: Say) -> None:
    """Runs actions below the cap and refuses the rest, telling which it ran."""
    since = datetime.now(UTC) - timedelta(days=1)
    rows = True
    while rows:
        admitted = []
        with ledger.claiming("dryrun", owner, TTL, 3) as admission:
            rows = bool(admission.rows)
            for row in admission.rows:
                if admission.count("rate", since, row.record_id) < CAP:
                    admission.run(row, ["rate"])
                    admitted.append(row)
                else:
                    admission.refuse(row, "rate cap")
        for claim in admitted:
            ledger.start_run(claim, RunRef(soar="dryrun", run_id=claim.record_id))
            say(claim.record_id)


def audit(ledger: Ledger, owner: str, count: int, _: Say) -> None:
    """Appends entries."""
    for number in range(count):
        ledger.audit(owner, "step", {"n": number})


def forever(ledger: Ledger, owner: str, _: int, say: Say) -> None:
    """Commits batch after batch from where the cursor stands, until it is killed."""
    while True:
        lease = ledger.acquire("src", owner, timedelta(0))
        place = ledger.reader("src", "q1", "", "forward")
        offset = 0 if place is None else place.offset
        ledger.commit(batch(events(BATCH, offset), start=offset, lease=lease))
        say(event(offset))


VERBS: dict[str, Callable[[Ledger, str, int, Say], None]] = {
    "deliver": deliver,
    "ingest": ingest,
    "admit": admit,
    "audit": audit,
    "forever": forever,
}


def work(verb: str, url: str, owner: str, count: int, told: Path) -> None:
    """The whole life of a worker."""
    with told.open("w", buffering=1) as out:

        def say(*words: str) -> None:
            out.writelines(f"{word}\n" for word in words)

        opened = open_ledger(url, lambda: datetime.now(UTC))
        VERBS[verb](opened, owner, count, say)
        opened.close()
