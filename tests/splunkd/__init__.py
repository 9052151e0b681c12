"""A stand-in of splunkd for tests: the search head's REST endpoints and the HTTP event collector, in this process.

No Splunk server can be installed where these tests run. This one is held to account by clients that were not written for it
(``test_other_clients.py``), and what it doesn't know it refuses loudly. A mistake of its own is answered with 500 and raised
where the ``with`` ends.

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

``.review`` are the notables' history, statuses and dispositions, ``.kv`` and ``.tables`` collections and lookups,
``.passwords`` the credential store. ``.install(folder)`` makes an app known: its macros, collections and lookups, and its
search commands, which run as processes in the chunked protocol. ``.stop()`` and ``.start()`` end it and bring it back at its
ports; ``Splunkd(beside=other)`` is a second search head and collector over the same indexers. ``Splunkd(tls=context)`` speaks
TLS (``tls.context(folder)`` makes one). ``users`` and ``hec_tokens`` may be given, with what each may do.

``Splunkd(version="8.2.0")`` has no ``search/v2``. ``python -m tests.splunkd --port P`` runs one until it is ended.

What is as in Splunk, since it is easily got wrong: a search without ``latest_time`` ends at now by ``_time``, whatever its
``index_latest``; events come newest first by ``_time``; a page of results holds 100 rows unless asked otherwise and never more
than 50,000, an export has no pages; ``sort`` leaves 10,000 rows unless it is told 0; messages of a search stand together in
one line of an export; every value is text; a search without ``index=`` looks into ``main`` alone; a search that fails as it runs is an empty export.

Not known from a real server, and therefore a choice: the wording of messages, which events before an invalid one a collector
keeps (here: all), how findings answer an update, and what a channel that is not known says of its numbers (here: false).
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
