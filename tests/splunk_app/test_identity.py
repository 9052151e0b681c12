"""An event has one id, whoever derives it: the source that polls, or the command in a search."""

from __future__ import annotations

from uuid import UUID

import triaged_identity
from hypothesis import given, strategies as st

from connector import identity
from connector.siem.splunk import identity as polled

TEXT = st.text(min_size=1, max_size=60)


def test_the_namespace_is_the_daemons():
    assert identity.NAMESPACE.bytes == triaged_identity.NAMESPACE


@given(deployment=TEXT, bucket=TEXT, address=TEXT)
def test_the_command_derives_the_id_that_the_source_derives(deployment, bucket, address):
    native = polled.native_id({"_bkt": bucket, "_cd": address, "index": "other", "_raw": "text"})
    assert triaged_identity.native_id(bucket, address) == native
    assert triaged_identity.event_id(deployment, native) == identity.event_id(deployment, native)
    assert UUID(triaged_identity.event_id(deployment, native)).version == 5


@given(bucket=TEXT)
def test_the_alert_action_names_the_index_that_the_source_names(bucket):
    bucket = f"main~{bucket}"
    assert triaged_identity.index_of(bucket) == polled.index_of({"_bkt": bucket, "index": "claimed"}) == "main"


def test_an_id_stays_what_it_was():
    native = triaged_identity.native_id("main~12~5B2E5B1A", "12:34567")
    assert triaged_identity.event_id("splunk-prod", native) == "63e7f76b-97d0-5b8d-88af-b34614a47bbd"
