"""The package: the same bytes each time, nothing in it that does not belong there, and clean by Splunk's own validators."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import tarfile

import pytest
from typer.testing import CliRunner

import connector
from connector import packaging
from connector.cli import app as cli
from connector.errors import ConfigError
from tests.splunk_app.search import APP
from tests.splunk_app.tools import tools

UNAVOIDABLE = {"check_for_python_script_existence", "check_collections_conf", "check_for_possible_threading"}
"""Warnings that only say that something is there."""


def built(folder):
    """The one file that the command writes."""
    done = CliRunner().invoke(cli, ["splunk", "package", "--output", str(folder)])
    assert done.exit_code == 0, done.output
    (found,) = folder.iterdir()
    assert done.output.strip() == str(found)
    return found


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return built(tmp_path_factory.mktemp("package") / "dist")


@pytest.fixture(scope="module")
def validators():
    return tools()


def run(tmp_path, *command) -> subprocess.CompletedProcess[str]:
    """A validator, at home in a folder of the test."""
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [str(part) for part in command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )


def test_the_package_carries_the_version_in_its_name(package):
    assert package.name == f"triaged-{connector.__version__}.tar.gz"


def test_the_same_content_gives_the_same_bytes_whoever_builds_it_and_when(package, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(APP, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for number, path in enumerate(sorted(copy.rglob("*"), reverse=True)):
        path.chmod(0o700 if path.is_dir() else 0o600)
        os.utime(path, (number, number))
    assert packaging.archive(copy) == package.read_bytes()


def test_a_single_changed_byte_gives_another_package(package, tmp_path):
    copy = tmp_path / "changed"
    shutil.copytree(APP, copy)
    (copy / "README.md").write_text((APP / "README.md").read_text() + "\n")
    assert packaging.archive(copy) != package.read_bytes()


def test_nothing_of_the_builders_machine_gets_in(tmp_path):
    copy = tmp_path / "app"
    shutil.copytree(APP, copy)
    for name in (
        "local/triaged.conf",
        "bin/__pycache__/x.pyc",
        ".git/config",
        "metadata/local.meta",
        "default/.app.conf.swp",
    ):
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("secret")
    (copy / "lookups" / "link.csv").symlink_to("/etc/passwd")
    assert packaging.archive(copy) == packaging.archive(APP)


def test_every_entry_is_a_plain_file_or_folder_of_nobody_below_one_folder(package):
    with tarfile.open(package) as tar:
        entries = tar.getmembers()
    assert {entry.name.partition("/")[0] for entry in entries} == {"triaged"}
    assert all(entry.isfile() or entry.isdir() for entry in entries)
    assert {(entry.uid, entry.gid, entry.uname, entry.gname, entry.mtime) for entry in entries} == {
        (0, 0, "", "", packaging.EPOCH)
    }
    assert {stat.S_IMODE(entry.mode) for entry in entries if entry.isfile()} == {0o644}
    assert {"triaged/bin/triage.py", "triaged/default/app.conf", "triaged/app.manifest"} <= {e.name for e in entries}


def test_a_folder_without_an_app_is_told(tmp_path):
    with pytest.raises(ConfigError, match="no Splunk app"):
        packaging.package(tmp_path, "1", tmp_path)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        packaging.package(APP, "1", tmp_path / "file" / "below")


def test_appinspect_for_the_cloud_finds_nothing_but_what_cannot_be_avoided(validators, package, tmp_path):
    report = tmp_path / "report.json"
    done = run(
        tmp_path,
        *(validators / "splunk-appinspect", "inspect", package, "--mode", "precert", "--included-tags", "cloud"),
        *("--skip-trusted-libraries-update", "--ci", "--output-file", report),
    )
    assert report.is_file(), done.stdout + done.stderr
    found = json.loads(report.read_text())
    summary = found["summary"]
    assert (summary["error"], summary["failure"], summary["future_failure"]) == (0, 0, 0), done.stdout
    assert summary["success"] > 100
    checks = [check for one in found["reports"] for group in one["groups"] for check in group["checks"]]
    warned = {check["name"]: check["messages"] for check in checks if check["result"] == "warning"}
    assert set(warned) <= UNAVOIDABLE, warned


def test_slim_validates_the_package_without_a_word(validators, package, tmp_path):
    done = run(tmp_path, validators / "slim", "validate", package)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    assert "App validation complete" in told
    assert "[WARNING]" not in told
    assert "[ERROR]" not in told


def test_ksconf_reads_every_configuration_file_of_the_package(validators, package, tmp_path):
    with tarfile.open(package) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    files = sorted((tmp_path / "out").rglob("*.conf"))
    assert len(files) > 10
    done = run(tmp_path, validators / "ksconf", "check", *files, tmp_path / "out/triaged/metadata/default.meta")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 files failed" in done.stdout + done.stderr
