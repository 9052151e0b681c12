"""How many CPUs this process may use: those that it is bound to, and no more than its control groups' quota pays for.

A container that may use two of a host's 64 CPUs sees all 64; threads for all of them only stand in each other's way. Sources:
sched_getaffinity(2); Linux kernel, Control Group v2, ``cpu.max``; CFS Bandwidth Control, ``cpu.cfs_quota_us``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def usable(root: Path = ROOT) -> int:
    """CPUs, at least one. ``root`` holds ``proc`` and ``sys``; on a system without them all CPUs count."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([bound, *_quotas(root)]))


def _quotas(root: Path) -> Iterator[int]:
    """What each control group above the process may use, rounded up; groups without a limit say nothing."""
    for line in _read(root / "proc/self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            for group in _above(root / "sys/fs/cgroup", path):
                quota, _, period = _read(group / "cpu.max").partition(" ")
                yield from _whole(quota, period)
        elif "cpu" in controllers.split(","):
            for group in _above(root / "sys/fs/cgroup/cpu", path):
                yield from _whole(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))


def _above(mount: Path, path: str) -> Iterator[Path]:
    """The group and those above it; inside a container its own group is what is mounted."""
    group = mount / path.strip("/")
    yield group
    while group != mount:
        group = group.parent
        yield group


def _whole(quota: str, period: str) -> Iterator[int]:
    if quota.strip().isdecimal() and period.strip().isdecimal() and int(period):
        yield math.ceil(int(quota) / int(period))


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""
