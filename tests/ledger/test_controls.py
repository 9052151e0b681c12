"""What people set, and the chain that remembers it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from connector.errors import PermanentError
from connector.ledger import Ledger
from connector.ledger.schema import audit
from tests.ledger.make import MINUTE, TTL, FakeClock, action, action_row, batch, events


def test_a_switch_holds_its_last_position(ledger: Ledger) -> None:
    ledger.set_switch("kill", on=True, who="ana")
    ledger.set_switch("kill", on=False, who="ben")
    assert ledger.switches() == {"kill": False}
    assert [(switch.name, switch.on, switch.who) for switch in ledger.status().switches] == [("kill", False, "ben")]


def test_a_silence_ends_by_itself_or_by_hand(ledger: Ledger, clock: FakeClock) -> None:
    first = ledger.add_silence("entity:host:h1", clock.now + MINUTE, "ana", "patching")
    second = ledger.add_silence("rule:r", clock.now + 2 * MINUTE, "ana", "noisy")
    assert ledger.silences() == (first, second)
    clock.advance(MINUTE)
    assert ledger.silences() == (second,)
    assert ledger.end_silence(second.id, "ben")
    assert not ledger.end_silence(second.id, "ben")
    assert ledger.silences() == ()


def test_the_first_decision_stands(ledger: Ledger, clock: FakeClock) -> None:
    key = action(1).key
    ledger.set_approval(key, "pending", "policy", expires_at=clock.now + MINUTE)
    assert [entry.key for entry in ledger.approvals("pending")] == [key]
    assert ledger.set_approval(key, "rejected", "ana", reason="benign").state == "rejected"
    held = ledger.set_approval(key, "approved", "ben")
    assert (held.state, held.who, held.reason) == ("rejected", "ana", "benign")
    assert ledger.approvals("pending") == []


def test_an_approval_that_has_expired_gives_way_to_a_new_decision(ledger: Ledger, clock: FakeClock) -> None:
    key = action(1).key
    ledger.set_approval(key, "approved", "ana", expires_at=clock.now + MINUTE)
    assert ledger.set_approval(key, "rejected", "ben").who == "ana"
    clock.advance(MINUTE)
    held = ledger.set_approval(key, "approved", "ben", expires_at=clock.now + MINUTE)
    assert (held.who, held.expires_at) == ("ben", clock.now + MINUTE)
    assert [entry.actor for entry in ledger.audit_entries()] == ["ana", "ben"]


def test_a_decision_wakes_its_action(ledger: Ledger, clock: FakeClock) -> None:
    (one,) = events(1)
    proposed = action(1, cause=one)
    ledger.commit(batch([one], outbox=[action_row(proposed, cause=one)]))
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        admission.wait(admission.rows[0], clock.now + 60 * MINUTE, "approval")
    ledger.set_approval(proposed.key, "pending", "policy")
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        assert admission.rows == ()
    ledger.set_approval(proposed.key, "approved", "ana")
    with ledger.claiming("dryrun", "w", TTL, 1) as admission:
        assert len(admission.rows) == 1


def test_every_change_by_a_person_is_in_the_chain(ledger: Ledger, clock: FakeClock) -> None:
    ledger.set_switch("kill", on=True, who="ana")
    ledger.add_silence("rule:r", clock.now + MINUTE, "ben", "noisy")
    ledger.set_approval(action(1).key, "approved", "cat")
    last = ledger.audit("dan", "config", {"b": 1, "a": [2]})
    assert [(entry.actor, entry.what) for entry in ledger.audit_entries()] == [
        ("ana", "switch"), ("ben", "silence"), ("cat", "approval approved"), ("dan", "config"),
    ]  # fmt: skip
    assert last.detail == '{"a":[2],"b":1}'
    assert ledger.verify_audit() == (4, last.hash)


def test_the_database_refuses_to_change_the_chain(ledger: Ledger) -> None:
    ledger.audit("ana", "one", {})
    for forbidden in (sa.update(audit).values(actor="eve"), sa.delete(audit)):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), ledger._db.write() as tx:
            tx.execute(forbidden)
    assert ledger.verify_audit()[0] == 1


@pytest.mark.parametrize("tampering", ["change", "remove", "reorder"])
def test_a_forged_chain_is_found_at_its_place(ledger: Ledger, tampering: str) -> None:
    for number in range(4):
        ledger.audit("ana", f"step {number}", {"n": number})
    forge(ledger, tampering)
    with pytest.raises(PermanentError, match="broken at entry"):
        ledger.verify_audit()


def forge(ledger: Ledger, tampering: str) -> None:
    """As somebody who owns the database would: without the triggers."""
    with ledger._db.write() as tx:
        if ledger._db.is_sqlite:
            tx.execute(sa.text("DROP TRIGGER audit_no_update"))
            tx.execute(sa.text("DROP TRIGGER audit_no_delete"))
        else:
            tx.execute(sa.text("SET LOCAL session_replication_role = replica"))
        if tampering == "change":
            tx.execute(sa.update(audit).where(audit.c.seq == 2).values(detail='{"n":7}'))
        elif tampering == "remove":
            tx.execute(sa.delete(audit).where(audit.c.seq == 2))
        else:
            tx.execute(sa.update(audit).where(audit.c.seq == 2).values(seq=99))
