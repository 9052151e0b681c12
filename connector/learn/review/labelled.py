"""Which events people have labelled already: by the rules of the export, so that both mean the same."""

from __future__ import annotations

from datetime import UTC, datetime

from connector.learn.export import Fact, LabelMap, Machines
from connector.learn.export.view import Rules, view
from connector.learn.export.words import shortened
from connector.ledger import Ledger, Noted

_ALWAYS = datetime.min.replace(tzinfo=UTC)


def labelled(ledger: Ledger, labels: LabelMap, machines: Machines) -> frozenset[str]:
    """Ids of events with a label that stands; what machines closed, and what was re-opened, has none.

    Reads every change of the ledger: linear in what was closed, not in events.
    """
    facts = [_fact(noted) for noted in ledger.dispositions_beside(())]
    there = dict.fromkeys((event_id for fact in facts for event_id in fact.event_ids), _ALWAYS)
    found = view(facts, there, Rules(labels, machines)).labels
    return frozenset(one.event_id for one in found if one.meaning.malicious is not None and one.superseded_by is None)


def _fact(noted: Noted) -> Fact:
    """The change as it is: nothing of it leaves this process, so no name is taken out."""
    change = noted.change
    return Fact(
        id=noted.id,
        history=noted.history,
        alert=change.alert_id,
        event_ids=change.event_ids,
        status=change.status,
        disposition=change.disposition,
        changed_at=change.changed_at,
        observed_at=change.observed_at,
        analyst=change.analyst.strip().lower() if change.analyst else None,
        comment=shortened(change.comment),
        tags=change.tags,
        techniques=change.techniques,
        machine=change.machine,
        query="",
        run=0,
    )
