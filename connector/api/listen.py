"""Where the API listens: this machine alone, or TLS; or a Unix socket that only its owner may open."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from contextlib import suppress
from pathlib import Path

import msgspec

from connector.errors import ConfigError
from connector.settings import ApiSettings

BACKLOG = 128
OWNER_ALONE = 0o600


class Listener(msgspec.Struct, frozen=True):
    """A socket that listens, its address for people, and the Unix socket's file with its inode, if it is one."""

    socket: socket.socket
    address: str
    file: tuple[Path, int] | None = None

    def close(self) -> None:
        """Stops listening, and removes the file if it is still ours."""
        self.socket.close()
        if self.file is not None:
            path, inode = self.file
            with suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()


def address(settings: ApiSettings) -> str:
    """Where these settings want it to listen."""
    if settings.socket is not None:
        return f"unix:{settings.socket}"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{'https' if settings.certificate else 'http'}://{host}:{settings.port}"


def listen(settings: ApiSettings) -> Listener:
    """Listens. Raises ``ConfigError`` where it cannot."""
    where = address(settings)
    try:
        if settings.socket is not None:
            return _unix(settings.socket, where)
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = found[0]
        return Listener(socket.create_server(place[:2], family=family, backlog=BACKLOG), where)
    except OSError as error:
        raise ConfigError(f"api: cannot listen on {where}: {error.strerror or error}") from error


def tls(settings: ApiSettings) -> ssl.SSLContext | None:
    """The server's side of TLS 1.2 and newer; None without a certificate. Raises ``ConfigError``."""
    if settings.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "not PEM, or they do not match"
        raise ConfigError(f"api: {settings.certificate} and {settings.key} cannot be used: {reason}") from error
    return context


def _unix(path: Path, where: str) -> Listener:
    _make_way(path, where)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(OSError):  # Linux makes the file with this mode at once
            os.fchmod(found.fileno(), OWNER_ALONE)
        found.bind(str(path))
        path.chmod(OWNER_ALONE)
        found.listen(BACKLOG)
    except BaseException:
        found.close()
        raise
    return Listener(found, where, (path, path.stat().st_ino))


def _make_way(path: Path, where: str) -> None:
    """Removes the socket that a process left behind which is gone. Raises ``ConfigError`` for anything else there."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(f"api: cannot listen on {where}: a file that is no socket is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise ConfigError(f"api: cannot listen on {where}: another process does")
