"""The daemon: it polls by schedule, follows files that grow, drains on SIGTERM, reloads on SIGHUP, and can be scraped."""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.daemon.site import Site, logged, stop, wait_until
from tests.environment import clean
from tests.models.tiny import tiny_store


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_it_follows_a_growing_file_and_drains_on_sigterm(tmp_path):
    site = Site(tmp_path, level="info")
    site.events(10)
    daemon = site.start()
    wait_until(lambda: len(site.verdict_ids()) == 10, "the first events are delivered", of=daemon)
    site.events(7, "b.jsonl")
    wait_until(lambda: len(site.verdict_ids()) == 17, "the new file is delivered", of=daemon)
    stop(daemon)
    assert logged(daemon)[:2] == ["model.threads_found", "daemon.started"]
    assert logged(daemon)[-1] == "daemon.stopped"


def test_it_reloads_on_sighup_and_keeps_what_runs_where_the_new_settings_are_wrong(tmp_path):
    site = Site(tmp_path, level="info")
    site.events(3)
    daemon = site.start()
    wait_until(lambda: len(site.verdict_ids()) == 3, "the first events are delivered", of=daemon)
    good = site.config.read_text()
    site.config.write_text(good + "\n[nonsense]\n")
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: "daemon.reload_refused" in logged(daemon), "the wrong settings are refused", of=daemon)
    site.events(2, "b.jsonl")
    wait_until(lambda: len(site.verdict_ids()) == 5, "the old settings go on", of=daemon)
    (tmp_path / "more").mkdir()
    site.config.write_text(good.replace('"]', f'", "{tmp_path}/more/*.jsonl"]'))
    daemon.send_signal(signal.SIGHUP)
    site.events(1)
    (tmp_path / "in" / "a.jsonl").rename(tmp_path / "more" / "c.jsonl")
    wait_until(lambda: len(site.verdict_ids()) == 6, "the new settings hold", of=daemon)
    wait_until(lambda: "daemon.reloaded" in logged(daemon), "the reload is told", of=daemon)
    stop(daemon)
    assert sorted(site.verdict_ids().values()) == [1] * 6


def test_a_reload_that_a_locked_store_stops_is_tried_again_and_signals_at_any_line_lock_nothing_up(tmp_path):
    site = Site(tmp_path, level="info")
    daemon = site.start("-m", "tests.daemon.interrupted", str(site.config))
    _, errors = daemon.communicate(timeout=120)
    assert daemon.returncode == 0, errors.decode()
    reloads = [event for event in logged(daemon) if event.startswith("daemon.reload")]
    assert reloads[:2] == ["daemon.reload_refused", "daemon.reloaded"]
    assert set(reloads[2:]) == {"daemon.reload_refused"}
    assert b"the store is locked; it is tried again" in errors


def test_no_new_batch_begins_after_sigterm_though_a_reload_is_under_way(tmp_path):
    site = Site(tmp_path, level="info")
    site.events(3)
    daemon = site.start("-m", "tests.daemon.stopped", str(site.config))
    wait_until(lambda: len(site.verdict_ids()) == 3, "the first events are delivered", of=daemon)
    daemon.send_signal(signal.SIGHUP)
    _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 0, errors.decode()
    assert logged(daemon)[-1] == "daemon.stopped"
    assert (tmp_path / "in" / "b.jsonl").is_file()
    assert len(site.verdict_ids()) == 3


def test_prometheus_can_scrape_what_the_loops_did(tmp_path):
    port = free_port()
    site = Site(tmp_path, extra=f"\n[metrics]\nport = {port}\n")
    site.events(4)
    daemon = site.start()
    wait_until(lambda: len(site.verdict_ids()) == 4, "all is delivered", of=daemon)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    stop(daemon)
    assert 'triaged_events_total{outcome="verdict",source="lab"} 4.0' in text
    assert "triaged_step_seconds_count" in text


def test_settings_that_cannot_work_stop_it_at_once_with_one_line(tmp_path):
    site = Site(tmp_path)
    site.config.write_text(site.config.read_text() + "\n[nonsense]\n")
    daemon = site.start()
    _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 2
    assert "nonsense" in errors.decode()
    assert "Traceback" not in errors.decode()


def test_secrets_never_reach_the_log(tmp_path):
    site = Site(tmp_path, level="debug")
    site.events(2)
    daemon = site.start()
    wait_until(lambda: len(site.verdict_ids()) == 2, "all is delivered", of=daemon)
    lines = stop(daemon)
    assert lines
    assert not any("a key for tests alone" in line for line in lines)


@pytest.mark.parametrize("broken", ["model.onnx", "manifest.json"])
def test_a_tampered_bundle_is_never_loaded(tmp_path, broken):
    site = Site(tmp_path)
    (path,) = (tmp_path / "store").rglob(broken)
    path.write_bytes(path.read_bytes().replace(b"a", b"b", 1) + b" ")
    daemon = site.start()
    _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 2
    assert "Traceback" not in errors.decode()


def test_a_promoted_bundle_is_taken_up_while_the_daemon_runs(tmp_path):
    site = Site(tmp_path)
    site.events(3)
    daemon = site.start("-m", "tests.daemon.impatient", str(site.config))
    wait_until(lambda: len(site.verdict_ids()) == 3, "the first events are delivered", of=daemon)
    tiny_store(tmp_path / "store", version="2")
    wait_until(lambda: (site.events(1), site.model_versions() == {"1", "2"})[1], "the new bundle scores", of=daemon)
    stop(daemon)


def test_a_daemon_without_sources_says_what_to_do(tmp_path):
    site = Site(tmp_path)
    site.config.write_text(f'data_dir = "{tmp_path}/data"\n')
    daemon = site.start()
    _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 2
    assert "triaged demo" in errors.decode()


def test_a_signal_that_the_kernel_hands_to_another_thread_reloads_as_well(tmp_path):
    site = Site(tmp_path, level="info")
    daemon = site.start()
    wait_until(lambda: "daemon.started" in logged(daemon), "the daemon runs", of=daemon)
    other = max(int(thread.name) for thread in Path(f"/proc/{daemon.pid}/task").iterdir())
    assert other != daemon.pid
    assert ctypes.CDLL(None).tgkill(daemon.pid, other, signal.SIGHUP) == 0
    wait_until(lambda: "daemon.reloaded" in logged(daemon), "the reload is told", of=daemon)
    stop(daemon)


@pytest.mark.parametrize("harm", ["a folder", "not text"])
def test_a_settings_file_that_cannot_be_read_stops_no_daemon_that_runs(tmp_path, harm):
    site = Site(tmp_path, level="info")
    daemon = site.start()
    wait_until(lambda: "daemon.started" in logged(daemon), "the daemon runs", of=daemon)
    good = site.config.read_text()
    site.config.unlink()
    if harm == "a folder":
        site.config.mkdir()
    else:
        site.config.write_bytes(good.encode() + b"# \xff\n")
    daemon.send_signal(signal.SIGHUP)
    wait_until(lambda: "daemon.reload_refused" in logged(daemon), "the damaged settings are refused", of=daemon)
    site.events(3)
    wait_until(lambda: len(site.verdict_ids()) == 3, "the old settings go on", of=daemon)
    stop(daemon)


def test_a_metrics_port_that_is_taken_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        site = Site(tmp_path, extra=f"\n[metrics]\nport = {taken.getsockname()[1]}\n")
        daemon = site.start()
        _, errors = daemon.communicate(timeout=60)
    assert daemon.returncode == 2
    assert "cannot listen on 127.0.0.1" in errors.decode()
    assert "Traceback" not in errors.decode()


def test_linear_algebra_stays_on_the_thread_that_asks_for_it():
    told = "print({pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'})"
    code = f"import numpy; from threadpoolctl import threadpool_info; from connector.daemon import tune; tune(); {told}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean() | {"OPENBLAS_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout == "{1}\n"
