"""The code that docs/soars.md tells users of n8n to copy: whom it believes, run by Node.js as n8n runs it."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from connector.soar.webhook import signature
from tests.servers.npm import node
from tests.soar.n8n import CODE, SECRET

BODY = json.dumps({"action": {"playbook": "notify-on-call"}}).encode()
FORGED = json.dumps({"believed": True, "key": "forged", "action": {"playbook": "isolate-host"}}).encode()
ALONE = """
const [code, secret, headers, body] = JSON.parse(require("fs").readFileSync(0));
const step = new (async () => {}).constructor("require", "$input", "$env", code);
const helpers = { getBinaryDataBuffer: async () => Buffer.from(body, "base64") };
step.call({ helpers }, require, { item: { json: { headers } } }, { WEBHOOK_SECRET: secret }).then(
    (item) => console.log(JSON.stringify(item.json)),
);
"""


def believed(headers: dict[str, str], body: bytes, secret: str = SECRET) -> Any:
    """What the node hands on."""
    asked = json.dumps([Path(CODE).read_text(encoding="utf-8"), secret, headers, base64.b64encode(body).decode()])
    done = subprocess.run(
        [str(node((18, 0))), "-e", ALONE], input=asked, capture_output=True, text=True, timeout=30, check=True
    )
    return json.loads(done.stdout)


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    key = base64.b64decode(secret.removeprefix("whsec_"))
    made = signature(key, "the-key", moment, body)
    return {"webhook-id": "the-key", "webhook-timestamp": str(moment), "webhook-signature": f"v1a,x {made}"}


def test_what_is_signed_is_believed_under_its_signed_id() -> None:
    told = believed({**signed(BODY), "idempotency-key": "another"}, BODY)
    assert (told["believed"], told["key"], told["action"]["playbook"]) == (True, "the-key", "notify-on-call")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"idempotency-key": "forged"},
        {**signed(BODY)},
        signed(FORGED, "whsec_YW5vdGhlciBzZWNyZXQgdGhhdCBpcyBsb25nIGVub3VnaA=="),
        signed(FORGED, at=time.time() - 360),
    ],
    ids=["no signature", "a key alone", "another body's", "another secret's", "an old one"],
)
def test_no_body_makes_itself_believed(headers: dict[str, str]) -> None:
    told = believed(headers, FORGED)
    assert told["believed"] is False
    assert told.get("key") == headers.get("webhook-id")


def test_a_secret_that_is_not_there_believes_nobody() -> None:
    assert believed(signed(FORGED, "whsec_"), FORGED, "whsec_")["believed"] is False
