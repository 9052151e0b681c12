"""A trained member as a folder, between the command that trains it and the one that assembles a bundle of members.

The folder holds the member's own files (ONNX, JSON and texts: what serving verifies by hash and never unpickles),
``member.json``, the :class:`~connector.ports.MemberSpec` that a manifest will list, and ``report.json``: from what the
member was made, and every number that was measured. Those two are not copied into a bundle: its manifest says the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from connector.errors import ConfigError
from connector.models.integrity import ACCEPTED
from connector.models.manifest import NAME, Part, Source
from connector.ports import MemberSpec

MEMBER, REPORT = "member.json", "report.json"

RECORDINGS = "recordings"
"""The metric that names the recordings that a member was fitted on: the promotion gate judges by none of them."""

T = TypeVar("T")


class Report(Part, frozen=True, kw_only=True):
    """From what a member was made, and how good it is.

    ``recipe`` are the options that training ran with, seed included; ``dataset`` is the digest of its rows, and ``rows``
    counts them by split. ``metrics`` is free-form JSON: a bundle's manifest keeps it under the member's name.
    """

    recipe: Mapping[str, Any]
    dataset: str
    sources: tuple[Source, ...]
    rows: Mapping[str, int]
    metrics: Mapping[str, Any]


class TrainedMember(msgspec.Struct, frozen=True):
    """A member's folder, read."""

    folder: Path
    spec: MemberSpec
    report: Report

    def files(self) -> tuple[Path, ...]:
        """The member's own files, relative to its folder, sorted."""
        return tuple(path for path in _files(self.folder) if path.as_posix() not in {MEMBER, REPORT})


def write_member(folder: Path, spec: MemberSpec, report: Report) -> TrainedMember:
    """Completes a folder that holds the member's files already. Raises ``ConfigError`` for a file that may not ship."""
    folder.mkdir(parents=True, exist_ok=True)
    member = TrainedMember(folder, spec, report)
    _check(member)
    for name, part in ((MEMBER, spec), (REPORT, report)):
        (folder / name).write_bytes(msgspec.json.format(msgspec.json.encode(part, order="sorted"), indent=1) + b"\n")
    return member


def read_member(folder: Path) -> TrainedMember:
    """A member's folder. Raises ``ConfigError`` that says what is wrong with it."""
    member = TrainedMember(folder, _read(folder / MEMBER, MemberSpec), _read(folder / REPORT, Report))
    _check(member)
    return member


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise ConfigError(f"{path.parent} is no trained member: {path} cannot be read: {error.strerror}") from error
    except (RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def _check(member: TrainedMember) -> None:
    spec, problems = member.spec, []
    if spec.directory != spec.name or not NAME.fullmatch(spec.name):
        problems.append(f"its directory {spec.directory!r} is not its name {spec.name!r}, one plain path segment")
    problems += [
        f"{path} is of a kind that no bundle ships; those are {', '.join(sorted(ACCEPTED))}"
        for path in member.files()
        if path.suffix not in ACCEPTED or (member.folder / path).is_symlink()
    ]
    if problems:
        raise ConfigError(f"member {spec.name!r} in {member.folder}: {'; '.join(problems)}")


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir())
