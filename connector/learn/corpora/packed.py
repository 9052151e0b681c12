"""Archives inside corpora, unpacked in memory up to a bound: nobody vouches for a tree that a user unpacked."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Final

from connector.errors import ConfigError

MOST_UNPACKED: Final = 512 << 20
"""Bytes of one archive's files; the largest of OTRF's recordings holds 90 MB."""


def zipped(path: str, content: bytes, *suffixes: str) -> Iterator[bytes]:
    """The files of a zip with one of these suffixes, by name.

    Raises ``ConfigError`` for a broken one, and beyond :data:`MOST_UNPACKED`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = sorted((info for info in archive.infolist() if info.filename.endswith(suffixes)), key=_name)
            _check(path, (info.file_size for info in found))
            for info in found:
                with archive.open(info) as member:
                    yield member.read(info.file_size)  # no more is unpacked than is stated, whatever it holds
    except zipfile.BadZipFile as error:
        raise ConfigError(f"{path} is a broken zip: {error}") from error


def recorded(path: str, content: bytes) -> Iterator[bytes]:
    """The files of JSON lines of one of OTRF's recordings, a zip or a tar. Raises ``ConfigError`` as :func:`zipped` does."""
    if path.endswith(".zip"):
        yield from zipped(path, content, ".json", ".log")
        return
    sizes: list[int] = []
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() and member.name.endswith(".json") else None
            if stream is not None:
                sizes.append(member.size)
                _check(path, sizes)
                yield stream.read()


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename


def _check(path: str, sizes: Iterable[int]) -> None:
    if (whole := sum(sizes)) > MOST_UNPACKED:
        raise ConfigError(f"{path} would unpack to {whole:,} bytes, at most {MOST_UNPACKED:,} are read")
