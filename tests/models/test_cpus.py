"""How many CPUs a process may use, by its control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connector.models.cpus import usable


@pytest.fixture(autouse=True)
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


def laid(root: Path, groups: str, **files: str) -> Path:
    """A system whose process is in these groups; ``files`` by their path under the mount, with ``__`` for a slash."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name.replace("__", "/").replace("_max", ".max").replace("cfs", "cpu.cfs")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_without_control_groups_the_cpus_that_it_is_bound_to_count(tmp_path: Path) -> None:
    assert usable(tmp_path) == 8


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("50000 100000", 1),
        ("1600000 100000", 8),
        ("?", 8),
    ],
)
def test_a_quota_is_rounded_up_and_never_more_than_what_it_is_bound_to(tmp_path: Path, limit: str, cpus: int) -> None:
    assert usable(laid(tmp_path, "0::/\n", cpu_max=limit)) == cpus


def test_the_tightest_of_the_groups_above_counts(tmp_path: Path) -> None:
    found = laid(
        tmp_path, "0::/slice/unit\n", slice__unit__cpu_max="max 100000", slice__cpu_max="300000 100000",
        other__cpu_max="100000 100000",
    )  # fmt: skip
    assert usable(found) == 3


def test_the_first_version_of_control_groups_is_read_too(tmp_path: Path) -> None:
    found = laid(
        tmp_path, "4:memory:/a\n2:cpu,cpuacct:/docker/a\n", cpu__cfs_quota_us="400000", cpu__cfs_period_us="100000"
    )
    assert usable(found) == 4


def test_no_quota_in_the_first_version_is_minus_one(tmp_path: Path) -> None:
    assert usable(laid(tmp_path, "2:cpu:/\n", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")) == 8


def test_on_this_machine_it_is_at_least_one() -> None:
    assert 1 <= usable() <= 8
