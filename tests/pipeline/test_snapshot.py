"""What the ledger keeps of an event holds nothing that a client sent, and says the same to models and exports."""

from __future__ import annotations

import base64
import copy
import itertools
import json
import zlib
from collections.abc import Callable
from typing import Any

from connector import identity
from connector.events import canonical
from connector.events.normalise import to_ecs
from connector.events.paths import put
from connector.models.payload.parts import table
from connector.pipeline.snapshot import BODIES, without_bodies
from connector.settings import RetentionSettings
from tests.events import vectors
from tests.pipeline.house import House
from tests.pipeline.test_act import SOURCE

SECRET = "correct-horse-battery"
FORM = f"user=anna&password={SECRET}"
REQUEST = f"POST /login HTTP/1.1\r\nHost: shop.example\r\n\r\n{FORM}"


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


SURICATA: dict[str, Any] = {
    "timestamp": "2017-04-07T22:24:37.251547+0100",
    "flow_id": 586497171462735,
    "event_type": "alert",
    "src_ip": "192.168.2.14",
    "dest_ip": "209.53.113.5",
    "proto": "TCP",
    "alert": {"action": "allowed", "signature_id": 1, "signature": "ET WEB_SERVER HTTP request to a login page"},
}
ZEEK: dict[str, Any] = {
    "ts": 1300475168.0,
    "uid": "CHhAvVGS1DHFjwGM9",
    "id.orig_h": "10.0.0.5",
    "id.resp_h": "10.0.0.80",
    "id.orig_p": 50000,
    "id.resp_p": 80,
}
LOGINS: dict[str, dict[str, Any]] = {
    "suricata, the payload": SURICATA | {"payload": in_base64(REQUEST), "payload_printable": REQUEST},
    "suricata, the packet": SURICATA | {"packet": in_base64(REQUEST)},
    "suricata, the body": SURICATA
    | {"http": {"url": "/login", "http_request_body": in_base64(FORM), "http_request_body_printable": FORM}},
    "suricata, as Elastic's integration ships it": {
        "ecs": {"version": "8.11.0"},
        "event": {"dataset": "suricata.eve", "kind": "alert", "original": json.dumps(SURICATA | {"payload": REQUEST})},
        "suricata": {"eve": {"payload_printable": REQUEST, "packet": in_base64(REQUEST)}},
    },
    "zeek, a form": ZEEK | {"trans_depth": 1, "method": "POST", "host": "a.example", "uri": "/", "post_body": FORM},
    "zeek, a connection": ZEEK | {"proto": "tcp", "conn_state": "SF", "orig_payload": in_base64(REQUEST)},
    "splunk stream": {"msg": "POST", "uri_path": "/login", "form_data": FORM, "src_content": REQUEST},
    "packetbeat": {
        "event": {"dataset": "http", "kind": "event"},
        "ecs.version": "8.0.0",
        "request": REQUEST,
    },
}


def test_every_part_of_a_payload_that_no_canonical_form_reads_is_left_out() -> None:
    read = {path for part in table() for path in (*part.paths, part.text) if path is not None}
    kept = read - {".".join(place) for place in BODIES}
    assert kept == {"url.query", "url.path", "url.original", "url.full", "http.request.body.content"}


def test_no_canonical_form_reads_what_is_left_out() -> None:
    for name, raw in vectors.golden().items():
        kind, ecs = to_ecs(raw)
        whole = copy.deepcopy(ecs)
        for place in BODIES:
            put(whole, ".".join(place), FORM)
        assert FORM in str(whole)
        assert FORM not in str(without_bodies(whole))
        assert canonical(without_bodies(whole), kind) == canonical(whole, kind) == canonical(ecs, kind), name


def test_an_event_without_a_body_is_kept_as_it_is() -> None:
    _, ecs = to_ecs({"message": "nothing was sent", "url": "https://shop.example/?q=1"})
    assert ecs["event"]["original"]
    assert without_bodies(ecs) is ecs


def test_the_input_is_not_changed() -> None:
    _, ecs = to_ecs(LOGINS["suricata, the body"])
    before = copy.deepcopy(ecs)
    without_bodies(ecs)
    assert ecs == before


def test_no_snapshot_holds_what_a_login_form_sent(house: Callable[..., House]) -> None:
    one = house(source=SOURCE)
    kept = (name for name in (f"n{n}" for n in itertools.count()) if _is_kept(identity.event_id("lab", name)))
    names = dict(zip(kept, LOGINS, strict=False))
    one.siem.put(list(LOGINS.values()), ids=list(names))
    one.run(60)
    ids = {identity.event_id("lab", native): name for native, name in names.items()}
    told = {ids[id_]: zlib.decompress(document).decode() for id_, document in one.ledger.snapshots(list(ids)).items()}
    assert told.keys() == LOGINS.keys()
    forms = (SECRET, in_base64(REQUEST), in_base64(FORM))
    assert [name for name, text in told.items() if any(form in text for form in forms)] == []


def _is_kept(event_id: str) -> bool:
    """Whether a benign event of this id is among those that are kept."""
    return int(event_id[:8], 16) < RetentionSettings().snapshot_share * 0x1_0000_0000
