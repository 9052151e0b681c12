"""Is a bundle what its manifest says? Nothing of a bundle is used before every file of it was hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

MANIFEST = "manifest.json"

ACCEPTED = frozenset({".onnx", ".json", ".md", ".bin"})
"""Graphs, facts and prose. Pickles and anything else that runs code when it is loaded are refused by name."""


def digest(path: Path) -> str:
    """The SHA-256 of a file in hex, read in a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def contents(directory: Path) -> Iterator[tuple[str, Path]]:
    """Every entry below a bundle that is not a plain folder, the manifest left out, as (relative path, path)."""
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        if name != MANIFEST and (path.is_symlink() or not path.is_dir()):
            yield name, path


def digests(directory: Path) -> dict[str, str]:
    """Relative path → SHA-256 of every file of the bundle but its manifest."""
    return {name: digest(path) for name, path in contents(directory)}


def problems(directory: Path, files: Mapping[str, str]) -> list[str]:
    """Where the directory and the manifest's ``files`` differ: one sentence each, none where all is well.

    A link is refused because what it points to may change after it was hashed.
    """
    found: list[str] = []
    present = dict(contents(directory))
    for name, path in present.items():
        if path.is_symlink() or not path.is_file():
            found.append(f"{name} is not a plain file")
        elif PurePosixPath(name).suffix.lower() not in ACCEPTED:
            found.append(f"{name} has a type that is never loaded; accepted are {', '.join(sorted(ACCEPTED))}")
        elif name not in files:
            found.append(f"{name} is not listed in the manifest")
        elif digest(path) != files[name]:
            found.append(f"{name} differs from the SHA-256 in the manifest")
    found += [f"{name} is listed in the manifest but missing" for name in sorted(files) if name not in present]
    return found
