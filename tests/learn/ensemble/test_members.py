"""A trained member's folder says the same when it is read as when it was written, and holds nothing that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConfigError
from connector.learn.training.members import MEMBER, Report, TrainedMember, read_member, write_member
from connector.models.manifest import Source
from connector.ports import MemberSpec

SPEC = MemberSpec(name="flow", kind="flow", directory="flow", labels=("T1046",), options={"calibration": {}})
REPORT = Report(
    recipe={"seed": 1},
    dataset="d" * 64,
    sources=(Source(name="otrf", upstream="u", commit="c", licence="MIT", rows=3, sha256=""),),
    rows={"train": 2, "dev": 1},
    metrics={"f1": 0.5},
)


def _written(folder: Path) -> TrainedMember:
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    return write_member(folder, SPEC, REPORT)


def test_a_member_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = _written(tmp_path / "flow")
    assert read_member(tmp_path / "flow") == written
    assert written.files() == (Path("model.onnx"),)


def test_a_file_that_could_run_code_when_read_is_refused(tmp_path: Path) -> None:
    _written(tmp_path / "flow")
    (tmp_path / "flow" / "trees.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(ConfigError, match=r"trees\.pkl is of a kind that no bundle ships"):
        read_member(tmp_path / "flow")


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    _written(tmp_path / "flow")
    (tmp_path / "flow" / "other.json").symlink_to("/etc/hostname")
    with pytest.raises(ConfigError, match=r"other\.json"):
        read_member(tmp_path / "flow")


def test_a_folder_without_its_report_is_no_trained_member(tmp_path: Path) -> None:
    _written(tmp_path / "flow")
    (tmp_path / "flow" / "report.json").unlink()
    with pytest.raises(ConfigError, match="is no trained member"):
        read_member(tmp_path / "flow")


def test_an_unreadable_specification_is_named(tmp_path: Path) -> None:
    _written(tmp_path / "flow")
    (tmp_path / "flow" / MEMBER).write_text('{"name": 1}')
    with pytest.raises(ConfigError, match=r"member\.json"):
        read_member(tmp_path / "flow")


def test_a_directory_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    with pytest.raises(ConfigError, match="is not its name"):
        write_member(tmp_path / "flow", MemberSpec(name="flow", kind="flow", directory="../x", labels=()), REPORT)
