"""A day in the life of splunklib, whichever version runs this: prints what it saw as JSON. ``drive.py HOST PORT USER PASSWORD TOKEN``."""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version

from splunklib import client, results


def main(host: str, port: str, user: str, password: str, token: str) -> dict[str, object]:
    """Logs in both ways, writes, searches in three ways, exports, and keeps documents and secrets."""
    seen: dict[str, object] = {}
    service = client.connect(
        host=host,
        port=int(port),
        scheme="http",
        username=user,
        password=password,
        owner="nobody",
        app="search",
        autologin=True,
    )
    seen["version"] = service.info["version"]
    by_token = client.connect(host=host, port=int(port), scheme="http", splunkToken=token)
    seen["guid"] = by_token.info["guid"]

    for number in range(3):
        service.post(
            "/services/receivers/simple",
            index="main",
            sourcetype="drive",
            host=f"h{number}",
            body=json.dumps({"number": number}),
        )
    search = "search index=main sourcetype=drive"
    seen["oneshot"] = [
        row["number"] for row in _read(service.jobs.oneshot(f"{search} | sort number", output_mode="json"))
    ]
    seen["export"] = sorted(row["host"] for row in _read(service.jobs.export(search, output_mode="json")))
    job = service.jobs.create(f"{search} | stats count by host")
    while not job.is_done():
        time.sleep(0.01)
    seen["count"] = job["resultCount"]
    seen["job"] = [dict(row) for row in _read(job.results(output_mode="json", count=0))]
    seen["listed"] = [one.sid for one in service.jobs] == [job.sid]
    job.cancel()
    seen["refused"] = _refused(service, "search index=main | nonsense")
    seen["collections"] = _documents(service)
    seen["secrets"] = _secrets(service)
    seen["sdk"] = version("splunk-sdk")
    return seen


def _read(stream: object) -> list[dict[str, str]]:
    return [row for row in results.JSONResultsReader(stream) if isinstance(row, dict)]


def _refused(service: client.Service, search: str) -> list[object]:
    try:
        service.jobs.create(search)
    except Exception as error:  # noqa: BLE001 - the class's place differs between versions
        return [type(error).__name__, getattr(error, "status", 0)]
    return []


def _documents(service: client.Service) -> list[object]:
    service.kvstore.create("drive")
    data = service.kvstore["drive"].data
    key = data.insert(json.dumps({"a": 1, "name": "first"}))["_key"]
    data.batch_save({"_key": "two", "a": 2}, {"_key": "three", "a": 3})
    data.update("two", json.dumps({"a": 22}))
    found = data.query(query=json.dumps({"a": {"$gt": 1}}), sort="a")
    data.delete_by_id(key)
    left = len(data.query())
    service.kvstore["drive"].delete()
    return [[row["a"] for row in found], left, "drive" in [one.name for one in service.kvstore]]


def _secrets(service: client.Service) -> list[str]:
    service.storage_passwords.create("s3cret", "name", "realm")
    found = [f"{one.realm}/{one.username}/{one.clear_password}" for one in service.storage_passwords]
    service.storage_passwords.delete("name", "realm")
    return found + [one.name for one in service.storage_passwords]


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
