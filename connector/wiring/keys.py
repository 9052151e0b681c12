"""Keys that must not be guessed."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from connector.errors import ConfigError
from connector.settings import Settings

SHORTEST_KEY = 16
"""Bytes; a shorter origin key could be guessed, and an empty one is no key."""


def origin_key(settings: Settings) -> bytes:
    """The key that marks our records: configured, or made once and kept readable by its owner alone.

    Raises ``ConfigError`` for a key that is too short, an empty file among them.
    """
    if settings.origin_key is not None:
        return long_enough(settings.origin_key.get_secret_value().encode(), "origin_key")
    path = settings.data_dir / "origin.key"
    try:
        if not path.exists():
            _make_key(path)
        return long_enough(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"origin key {path} cannot be kept: {error.strerror}") from error


def _make_key(path: Path) -> None:
    """A key file appears whole or not at all, and the first of several processes wins."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_hex(32).encode())
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(fresh)
    finally:
        fresh.unlink(missing_ok=True)


def long_enough(key: bytes, where: str) -> bytes:
    """The key. Raises ``ConfigError`` for one that could be guessed; ``where`` names it."""
    if len(key.strip()) < SHORTEST_KEY:
        raise ConfigError(
            f"{where} must hold at least {SHORTEST_KEY} bytes, not {len(key.strip())}: `openssl rand -hex 32` makes a key"
        )
    return key
