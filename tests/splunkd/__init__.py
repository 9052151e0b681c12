"""A stand-in of splunkd for tests: the search head's REST endpoints and the HTTP event collector, in this process.

No Splunk server can be installed where these tests run. This one is held to account by clients that were not written for it
(``test_splunklib.py``, ``test_javascript.py``), and what it doesn't know it refuses loudly.

    with Splunkd() as splunkd:
        splunkd.put({"EventID": 1}, "user=bob action=login", index="main", sourcetype="json", time=1767614400.5, indextime=1767614401)
        service = splunklib.client.connect(
            host=splunkd.host, port=splunkd.port, scheme="http", username=splunkd.username, password=splunkd.password
        )

``.url`` is the management port (searches, KV store, Enterprise Security), ``.hec_url`` the collector. ``.token`` is an
authentication token (``Bearer`` or ``Splunk``), ``.hec_token`` a collector token, ``.hec_ack_token`` one that acknowledges.
``.faults`` are the switches of :class:`Faults`; ``.refuse(503, "jobs/export")``, ``.forget_sessions()`` and
``.reset_channels()`` are faults of a moment. ``.events`` is all that was indexed, ``.requests`` and ``.asked("collector")``
all that was asked. ``clock`` may be any callable that gives seconds or a ``datetime``.

``Splunkd(version="8.2.0")`` has no ``search/v2``. ``python -m tests.splunkd --port P`` runs one until it is ended.

What is as in Splunk, since it is easily got wrong: a search without ``latest_time`` ends at now by ``_time``, whatever its
``index_latest``; events come newest first by ``_time``; a page of results holds 100 rows unless asked otherwise and never more
than 50,000, an export has no pages; ``sort`` leaves 10,000 rows unless it is told 0; messages of a search stand together in
one line of an export; every value is text; a search without ``index=`` looks into ``main`` alone.
"""

from __future__ import annotations

from tests.splunkd.auth import User
from tests.splunkd.events import Event
from tests.splunkd.faults import Cut, Faults, Refusal
from tests.splunkd.hec import HecToken
from tests.splunkd.server import HEC_ACK_TOKEN, HEC_TOKEN, PASSWORD, TOKEN, USERNAME, Splunkd

__all__ = [
    "HEC_ACK_TOKEN",
    "HEC_TOKEN",
    "PASSWORD",
    "TOKEN",
    "USERNAME",
    "Cut",
    "Event",
    "Faults",
    "HecToken",
    "Refusal",
    "Splunkd",
    "User",
]
