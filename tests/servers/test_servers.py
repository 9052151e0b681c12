"""The launchers hold what the other tests build on."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

import pytest

from tests.servers import cache
from tests.servers.cache import Unavailable


def test_a_machine_without_java_is_told_of_as_a_skip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(cache, "_JVM_FOLDERS", (str(tmp_path),))
    cache.jdk.cache_clear()
    with pytest.raises(Unavailable, match="no JDK 21"):
        cache.jdk()
    cache.jdk.cache_clear()


def test_a_machine_without_maven_and_with_an_empty_cache_is_told_of_as_a_skip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="mvn"):
        cache.maven("dependency:copy", folder=tmp_path)


def get(url: str) -> object:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.full
def test_what_a_server_holds_outlives_its_restart(search_server) -> None:
    request = urllib.request.Request(
        f"{search_server.url}/kept/_doc/1?refresh=true", b'{"a":1}', {"Content-Type": "application/json"}, method="PUT"
    )
    urllib.request.urlopen(request, timeout=30).close()
    search_server.restart()
    assert get(f"{search_server.url}/kept/_doc/1")["_source"] == {"a": 1}
    search_server.kill()
    assert not search_server.running
    search_server.start()
    assert get(f"{search_server.url}/kept/_doc/1")["_source"] == {"a": 1}
