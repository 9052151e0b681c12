"""Changes of alerts through Kibana, held against a stand-in that takes nothing but the documented requests.

Kibana itself runs nowhere here. The stand-in is a real HTTP server: it checks method, path, headers and the shape of each
body as the vendor documents them for version 2023-10-31, and keeps what it is told.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest
from pydantic import ValidationError

from connector.errors import ConfigError
from connector.policy import decide
from connector.siem.elastic.kibana import KINDS, Kibana, KibanaSettings
from connector.testing import examples
from connector.types import AlertUpdate, SourceRef
from tests.policy import cases
from tests.servers.process import Server, free_port
from tests.siem.elastic.test_elastic_writer import writing

ALERT = "a1b2"


class StandIn(ThreadingHTTPServer):
    """One space with one alert."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.tags: list[str] = []
        self.notes: list[dict[str, Any]] = []
        self.status = "open"
        self.seen: list[str] = []
        self.broken: list[str] = []
        self.answers: dict[str, tuple[int, Any]] = {}

    def take(self, method: str, path: str, headers: Any, body: Any) -> tuple[int, Any]:
        route = f"{method} {path}"
        self.seen.append(route)
        for wrong in _wrong(headers, body):
            self.broken.append(f"{route}: {wrong}")
        if route in self.answers:
            return self.answers[route]
        return self.routes[route](self, body) if route in self.routes else (404, {"message": "Not Found"})

    def tag(self, body: Any) -> tuple[int, Any]:
        self._shape(body, {"ids": list, "tags": dict})
        self._shape(body["tags"], {"tags_to_add": list, "tags_to_remove": list})
        if ALERT not in body["ids"]:
            return 200, changed(0)
        self.tags = [*dict.fromkeys([*self.tags, *body["tags"]["tags_to_add"]])]
        return 200, changed(1)

    def set_status(self, body: Any) -> tuple[int, Any]:
        self._shape(body, {"signal_ids": list, "status": str, "conflicts": str})
        if body["conflicts"] not in {"abort", "proceed"}:
            self.broken.append("conflicts")
        if ALERT not in body["signal_ids"]:
            return 200, changed(0)
        self.status = body["status"]
        return 200, changed(1)

    def note(self, body: Any) -> tuple[int, Any]:
        self._shape(body, {"note": dict})
        self._shape(body["note"], {"eventId": str, "note": str, "timelineId": str})
        self.notes.append(body["note"])
        return 200, {"note": body["note"]}

    def list_notes(self, query: Any) -> tuple[int, Any]:
        if set(query) - {"documentIds", "perPage"}:
            self.broken.append(f"query {query}")
        found = [note for note in self.notes if note["eventId"] in query["documentIds"]]
        return 200, {"notes": found, "totalCount": len(found)}

    def _shape(self, body: Any, wanted: dict[str, type]) -> None:
        if {name: type(value) for name, value in body.items()} != wanted:
            self.broken.append(f"body {body}")

    routes: ClassVar[Any] = {
        "POST /s/lab/api/detection_engine/signals/tags": tag,
        "POST /s/lab/api/detection_engine/signals/status": set_status,
        "PATCH /s/lab/api/note": note,
        "GET /s/lab/api/note": list_notes,
    }


def changed(total: int, **more: Any) -> dict[str, Any]:
    """The documented answer of the alert endpoints: that of an update by query."""
    return {
        "took": 3,
        "timed_out": False,
        "total": total,
        "updated": total,
        "version_conflicts": 0,
        "failures": [],
    } | more


def _wrong(headers: Any, body: Any) -> Iterator[str]:
    wanted = {"kbn-xsrf": "triaged", "elastic-api-version": "2023-10-31", "authorization": "ApiKey secret"}
    for name, value in wanted.items():
        if headers.get(name) != value:
            yield f"{name}: {headers.get(name)}"
    if body is not None and headers.get("content-type") not in {None, "application/json"}:
        yield f"content-type: {headers.get('content-type')}"


class Requests(BaseHTTPRequestHandler):
    def _take(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        parts = urlsplit(self.path)
        body = json.loads(self.rfile.read(size)) if size else parse_qs(parts.query)
        assert isinstance(self.server, StandIn)
        status, answer = self.server.take(self.command, parts.path, self.headers, body)
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=utf-8")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PATCH = _take  # noqa: N815 - the names are the base class's

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Says nothing."""


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with StandIn() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
        assert not server.broken


@contextmanager
def kibana(server: StandIn, **more: str) -> Iterator[Kibana]:
    config = {"url": f"http://127.0.0.1:{server.server_port}", "space": "lab", "api_key": "secret", **more}
    with closing(Kibana(KibanaSettings.model_validate(config))) as client:
        yield client


def update(**more: Any) -> AlertUpdate:
    fields: dict[str, Any] = {"tags": ("triaged", "T1059"), "note": "looks like whoami", "status": None, **more}
    ref = SourceRef(siem="site", index=".alerts-security.alerts-lab", id=fields.pop("alert", ALERT))
    return AlertUpdate(record_id="r-1", cause="c-1", alert=ref, **fields)


def test_tags_and_a_note_are_added_once_however_often_the_record_comes(stand_in: StandIn) -> None:
    with kibana(stand_in) as client:
        for _ in range(3):
            assert client.apply(update()).outcome == "delivered"
    assert stand_in.tags == ["triaged", "T1059"]
    (note,) = stand_in.notes
    assert note == {"eventId": ALERT, "note": "looks like whoami\n\nTriaged r-1", "timelineId": ""}


def test_what_a_rule_says_of_an_alert_gets_there(stand_in: StandIn) -> None:
    wanted = {"tags": ["triaged"], "note": True, "status": "acknowledged"}
    ref = SourceRef(siem="site", index=".internal.alerts-security.alerts-lab-000001", id=ALERT, alert=ALERT)
    event = msgspec.structs.replace(cases.event(), ref=ref)
    made = decide(event, cases.prediction(), cases.context(), cases.policy(cases.rule(alert=wanted))).alert
    assert made is not None
    with kibana(stand_in, deployment="site") as client:
        assert client.apply(made).outcome == "delivered"
    assert (stand_in.tags, stand_in.status) == (["triaged"], "acknowledged")
    (note,) = stand_in.notes
    assert note["note"].startswith("Triaged: malicious \\(0.95\\), T1003 OS Credential Dumping")
    assert note["note"].endswith(f"Triaged {made.record_id}")


def test_an_alert_of_another_siem_is_not_asked_for(stand_in: StandIn) -> None:
    with kibana(stand_in, deployment="site") as client:
        elsewhere = SourceRef(siem="splunk-prod", index="notable", id=ALERT)
        assert client.apply(msgspec.structs.replace(update(), alert=elsewhere)).outcome == "delivered"
        assert not stand_in.seen
        assert client.apply(update()).outcome == "delivered"
        assert stand_in.tags == ["triaged", "T1059"]


def test_nothing_is_closed_unless_the_record_says_so(stand_in: StandIn) -> None:
    with kibana(stand_in) as client:
        client.apply(update())
        assert stand_in.status == "open"
        assert not any("status" in route for route in stand_in.seen)
        assert client.apply(update(status="acknowledged", tags=(), note="")).outcome == "delivered"
        assert stand_in.status == "acknowledged"
        assert client.apply(update(status="deleted")).outcome == "rejected"
        assert stand_in.status == "acknowledged"


def test_an_alert_is_named_by_its_id_and_one_that_is_not_there_is_a_dead_letter(stand_in: StandIn) -> None:
    with kibana(stand_in) as client:
        outcome = client.apply(update(alert="gone"))
    assert outcome.outcome == "rejected"
    assert "there is no alert gone" in outcome.reason
    assert stand_in.notes == []


def test_text_of_an_event_stays_text_in_a_note(stand_in: StandIn) -> None:
    with kibana(stand_in) as client:
        client.apply(update(note="[click](https://evil.example) ![x](y) <b>"))
    assert stand_in.notes[0]["note"].startswith(r"\[click\]\(https://evil.example\) \!\[x\]\(y\) \<b\>")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (changed(1, version_conflicts=1), "unknown"),
        (changed(1, failures=[{"id": ALERT}]), "unknown"),
        (changed(0), "rejected"),
    ],
)
def test_an_answer_of_200_is_read_to_its_end(stand_in: StandIn, answer: Any, outcome: str) -> None:
    stand_in.answers["POST /s/lab/api/detection_engine/signals/tags"] = 200, answer
    with kibana(stand_in) as client:
        assert client.apply(update()).outcome == outcome


@pytest.mark.parametrize("status", [*KINDS, 418, 500, 502, 503])
def test_every_status_has_its_reaction(stand_in: StandIn, status: int) -> None:
    stand_in.answers["POST /s/lab/api/detection_engine/signals/tags"] = status, {"message": "Kibana's words"}
    with kibana(stand_in) as client:
        if KINDS.get(status) is ConfigError:
            with pytest.raises(ConfigError, match="Kibana's words"):
                client.apply(update())
            return
        outcome = client.apply(update())
    assert outcome.outcome == ("rejected" if status in {400, 404, 418} else "unknown")
    assert "Kibana's words" in outcome.reason


def test_a_kibana_that_refuses_us_holds_up_no_record_beside_it(stand_in: StandIn, elasticsearch: Server) -> None:
    stand_in.answers["POST /s/lab/api/detection_engine/signals/tags"] = 403, {"message": "no privilege"}
    table = {"url": f"http://127.0.0.1:{stand_in.server_port}", "space": "lab", "api_key": "secret"}
    with writing(elasticsearch, f"k{stand_in.server_port}", kibana=table) as writer:
        written, held_up = writer.write([examples.verdict(1), update()])
        assert (written.outcome, held_up.outcome) == ("delivered", "retry")
        assert "no privilege" in held_up.reason
        with pytest.raises(ConfigError):
            writer.write([update()])


def test_a_password_travels_as_basic_authentication(stand_in: StandIn) -> None:
    table = {"url": f"http://127.0.0.1:{stand_in.server_port}", "space": "lab", "username": "u", "password": "p"}
    with closing(Kibana(KibanaSettings.model_validate(table))) as client:
        client.apply(update(note=""))
    expected = "Basic " + base64.b64encode(b"u:p").decode()
    (told,) = stand_in.broken
    stand_in.broken.clear()
    assert told.endswith(f"authorization: {expected}")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"url": "http://kibana.example:5601", "api_key": "k"}, "in the open"),
        ({"url": "https://kibana.example"}, "exactly one of"),
        ({"url": "https://kibana.example", "username": "u"}, "belong together"),
        ({"url": "https://user:pass@kibana.example", "api_key": "k"}, "pattern"),
        ({"url": "https://kibana.example", "api_key": "k", "space": "../x"}, "pattern"),
    ],
)
def test_settings_that_would_leak_or_mislead_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KibanaSettings.model_validate(table)


@pytest.mark.full
def test_a_kibana_that_is_not_there_is_tried_again_later() -> None:
    table = {"url": f"http://127.0.0.1:{free_port()}", "api_key": "k", "timeout": 1}
    with closing(Kibana(KibanaSettings.model_validate(table))) as client:
        assert client.apply(update()).outcome == "retry"
