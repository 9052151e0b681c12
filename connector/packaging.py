"""The Splunk app as the archive that Splunk installs: the same bytes for the same content, whoever builds it and when.

Only what Splunk may get goes in: no caches, nothing hidden, and no ``local`` settings of whoever built it. Tar headers
carry no owner, one fixed time, and modes by kind; gzip carries neither name nor time.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from connector.errors import ConfigError

APP = "triaged"
EPOCH = 1_577_836_800
"""2020-01-01: some time must stand there, and one of before 1980 is refused by some unpackers."""
_LEFT_OUT = frozenset({"__pycache__", "local", "local.meta"})
_LEVEL = 9


def package(source: Path, version: str, folder: Path) -> Path:
    """Writes ``triaged-<version>.tar.gz`` into a folder, which is made if need be, and returns its path.

    Raises ``ConfigError`` where the app is not in ``source`` or the archive cannot be written.
    """
    if not (source / "default" / "app.conf").is_file():
        raise ConfigError(f"there is no Splunk app in {source}")
    target = folder / f"{APP}-{version}.tar.gz"
    try:
        data = archive(source)
        folder.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"the Splunk app cannot be written to {target}: {error}") from error
    return target


def archive(source: Path) -> bytes:
    """The app as a gzipped tar, below one folder of its name."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        tar.addfile(_entry(APP, tarfile.DIRTYPE, 0o755))
        for path in _content(source):
            name = str(PurePosixPath(APP, *path.relative_to(source).parts))
            if path.is_dir():
                tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
                continue
            data = path.read_bytes()
            tar.addfile(_entry(name, tarfile.REGTYPE, 0o644, len(data)), io.BytesIO(data))
    packed = io.BytesIO()
    # not gzip.compress, whose header says which Python wrote it
    with gzip.GzipFile(filename="", mode="wb", compresslevel=_LEVEL, fileobj=packed, mtime=0) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


def _content(folder: Path) -> Iterator[Path]:
    """Folders and files below, each folder before what is in it, in an order that no file system chooses."""
    for path in sorted(folder.iterdir(), key=lambda found: found.name):
        if path.name in _LEFT_OUT or path.name.startswith(".") or path.is_symlink():
            continue
        yield path
        if path.is_dir():
            yield from _content(path)


def _entry(name: str, kind: bytes, mode: int, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.mtime = kind, mode, size, EPOCH
    return entry
