"""A site's layers: ``<version>/`` folders, and ``production.json``, which names the one that is applied.

It is kept as the model store is: a version is written once, everything that is opened was hashed first, and promoting or
rolling back is one file replaced in one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.models import integrity
from connector.models.manifest import NAME
from connector.models.site import SiteLayer, SiteManifest, read_manifest

PRODUCTION: Final = "production.json"


def replace(path: Path, body: bytes, mode: int = 0o666) -> None:
    """Writes a file in one step: a crash or a power cut leaves the old one or the new one, whole."""
    fresh = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class InUse(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``production.json`` says. ``previous`` is where a roll-back goes; ``held``: only a person promotes now."""

    layer: str | None
    previous: str | None = None
    held: bool = False


class SiteStore:
    """A folder of layers. It need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list(self) -> list[str]:
        """Every version that has a manifest, oldest first."""
        found = (file.parent.name for file in self.path.glob(f"*/{integrity.MANIFEST}"))
        return sorted(name for name in found if NAME.fullmatch(name))

    def fresh(self) -> str:
        """The version that the next layer will have."""
        taken = [int(folder.name) for folder in self.path.glob("*/") if folder.name.isdecimal()]
        return f"{max(taken, default=0) + 1:06d}"

    @contextmanager
    def adding(self, version: str) -> Iterator[Path]:
        """A folder to write a layer in: the version's own once all of it is on the disk, and gone where that fails."""
        folder = self.directory(version)
        fresh = folder.with_name(f".{version}.{os.getpid()}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            yield fresh
            for path in (*fresh.iterdir(), fresh):
                _sync(path)
            fresh.rename(folder)
            _sync(self.path)
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise

    def directory(self, version: str) -> Path:
        """Where a version lies. Raises ``ConfigError`` for what is no version."""
        if not NAME.fullmatch(version):
            raise ConfigError(f"{version!r} is no version of a site layer; there are: {self._known()}")
        return self.path / version

    def manifest(self, version: str) -> SiteManifest:
        """A layer's manifest. Raises ``ConfigError``."""
        manifest = read_manifest(self.directory(version))
        if manifest.version != version:
            raise ConfigError(f"{self.directory(version)} holds layer {manifest.version}: it was moved or copied")
        return manifest

    def in_use(self) -> InUse | None:
        """What was promoted, or None. Raises ``ConfigError``."""
        state = self._state()
        return None if state is None or state.layer is None else state

    @property
    def held(self) -> bool:
        """Whether a layer was rolled back and none promoted since: nothing is put in use by itself."""
        state = self._state()
        return state is not None and state.held

    def mark(self) -> tuple[int, int] | None:
        """Changes whenever a layer is promoted or rolled back, by whichever process; None before the first time."""
        try:
            stat = (self.path / PRODUCTION).stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns

    def _state(self) -> InUse | None:
        path = self.path / PRODUCTION
        try:
            return msgspec.json.decode(path.read_bytes(), type=InUse)
        except FileNotFoundError:
            return None
        except (OSError, RecursionError, UnicodeDecodeError, msgspec.DecodeError) as error:
            raise ConfigError(f"{path} does not name the site layer in use: {error}") from error

    def open(self, bundle: str, bundle_digest: str) -> SiteLayer | None:
        """The layer in use, else the newest of this bundle, in shadow; None where there is none.

        Raises ``ConfigError`` where the layer in use is damaged, or was learnt on another bundle.
        """
        used = self.in_use()
        if used is not None and used.layer is not None:
            return self._opened(used.layer, bundle, bundle_digest, shadow=False)
        mine = [version for version in self.list() if self.manifest(version).bundle_digest == bundle_digest]
        return self._opened(mine[-1], bundle, bundle_digest, shadow=True) if mine else None

    def promote(self, version: str) -> None:
        """Puts a layer in use in one step. Raises ``ConfigError`` where it is damaged."""
        self._check(version)
        before = self.in_use()
        previous = None if before is None else (before.previous if before.layer == version else before.layer)
        self._put(InUse(layer=version, previous=previous))

    def roll_back(self) -> str | None:
        """Puts the layer before in use and returns it; None: there was none, and now none is in use.

        From then on only :meth:`promote` puts another in use: what is learnt again is as wrong as what was taken back.
        Raises ``ConfigError`` where none is in use.
        """
        used = self.in_use()
        if used is None:
            raise ConfigError(f"no site layer is in use in {self.path}; there are: {self._known()}")
        if used.previous is not None:
            self._check(used.previous)
        self._put(InUse(layer=used.previous, held=True))
        return used.previous

    def keep(self, most: int) -> None:
        """Deletes the oldest layers beyond so many, but never the one in use nor the one that a roll-back goes to."""
        used = self.in_use()
        bound = set() if used is None else {used.layer, used.previous}
        for version in self.list()[:-most]:
            if version not in bound:
                shutil.rmtree(self.directory(version))

    def _put(self, use: InUse) -> None:
        replace(self.path / PRODUCTION, msgspec.json.encode(use) + b"\n")

    def _check(self, version: str) -> SiteManifest:
        manifest = self.manifest(version)
        if problems := integrity.problems(self.directory(version), manifest.files):
            raise ConfigError(f"site layer {version} in {self.path} is refused: {'; '.join(problems)}")
        return manifest

    def _opened(self, version: str, bundle: str, bundle_digest: str, *, shadow: bool) -> SiteLayer:
        manifest = self._check(version)
        if manifest.bundle_digest != bundle_digest:
            raise ConfigError(
                f"site layer {version} in {self.path} was learnt on bundle {manifest.bundle}, and {bundle} is another one: "
                "learn it again with `triaged baseline learn`, or roll the bundle back"
            )
        return SiteLayer(self.directory(version), manifest, shadow=shadow)

    def _known(self) -> str:
        return ", ".join(self.list()) or "none"
