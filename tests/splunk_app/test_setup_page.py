"""The set-up page's script, run by node: what it asks of Splunk Web, and what it tells."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.splunk_app.search import APP

BASE = "/root/en-US/splunkd/__raw/servicesNS/nobody/triaged"
STORED = {"method": "GET", "path": "/configs/conf-triaged/daemon", "status": 200}
TYPED = {"url": "https://triaged.example:9443", "deployment": "prod", "ca": "", "search": "s3cret", "inlet": ""}


def saved(answers=(), **typed):
    """Fills the page in, saves, and returns what happened."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    content = {"url": "https://old", "deployment": "old"}
    script = {
        "cookie": "a=b; splunkweb_csrf_token_443=wrong; splunkweb_csrf_token_8000=right%3D",
        "answers": [*answers, {**STORED, "body": {"entry": [{"content": content}]}}],
        "typed": {**TYPED, **typed},
    }
    command = [
        "node",
        Path(__file__).with_name("browser.js"),
        APP / "appserver" / "static" / "setup.js",
        json.dumps(script),
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def posted(found):
    return {one["address"]: one["body"] for one in found["requests"] if one["method"] == "POST"}


def test_the_page_shows_what_is_stored_and_saves_what_was_typed():
    found = saved()
    assert found["loaded"] == {"url": "https://old", "deployment": "old"}
    assert posted(found) == {
        f"{BASE}/configs/conf-triaged/daemon?output_mode=json": {
            "url": "https://triaged.example:9443",
            "deployment": "prod",
            "ca_file": "",
        },
        f"{BASE}/storage/passwords/triaged%3Asearch%3A?output_mode=json": {"password": "s3cret"},
        f"{BASE}/configs/conf-app/install?output_mode=json": {"is_configured": "true"},
    }
    assert found["told"].startswith("Saved.")
    assert found["kept"] == ""


def test_every_request_carries_the_form_key_of_this_port():
    assert {one["headers"]["X-Splunk-Form-Key"] for one in saved()["requests"]} == {"right="}


def test_a_token_that_is_new_is_created():
    missing = {"method": "POST", "path": "/storage/passwords/triaged%3Asearch%3A", "status": 404, "body": {}}
    found = posted(saved([missing]))
    assert found[f"{BASE}/storage/passwords?output_mode=json"] == {
        "realm": "triaged",
        "name": "search",
        "password": "s3cret",
    }


@pytest.mark.parametrize("url", ["http://triaged.example", "triaged.example:9443", "", "https://", "unix:relative"])
def test_a_url_that_is_no_safe_way_is_not_saved(url):
    found = saved(url=url)
    assert posted(found) == {}
    assert found["told"].startswith("Not saved: the URL must begin with")


def test_what_splunk_refuses_is_told_in_its_words_and_the_page_is_not_done():
    refusal = {"messages": [{"type": "ERROR", "text": "you may not"}]}
    found = saved([{"method": "POST", "path": "/storage/passwords/", "status": 403, "body": refusal}])
    assert found["told"] == "Not saved: you may not"
    assert not [address for address in posted(found) if "conf-app" in address]
