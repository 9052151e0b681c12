"""A certificate authority, a server's certificate for 127.0.0.1, and a client's, made by ``openssl``."""

from __future__ import annotations

import hashlib
import shutil
import ssl
import subprocess
from pathlib import Path

from tests.servers.cache import Unavailable

_DAYS = "2"


class Certificates:
    """Files ``ca``, ``server``, ``client`` and ``stranger`` (an authority that signed nothing), each ``.crt`` and ``.key``."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            raise Unavailable("openssl is not installed: no certificates can be made")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for authority in ("ca", "stranger"):
            usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
            self._make(authority, *usage)
        self._make("server", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", signed=True)
        self._make("client", "-addext", "extendedKeyUsage=clientAuth", signed=True)

    @property
    def ca(self) -> Path:
        """The authority that signed the server's certificate and the client's."""
        return self.folder / "ca.crt"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's certificate, in hex."""
        pem = (self.folder / "server.crt").read_text()
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()

    def _make(self, name: str, *more: str, signed: bool = False) -> None:
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt")
        kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", _DAYS)
        by = ("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE") if signed else ()
        subprocess.run(
            ["openssl", "req", "-x509", *kind, "-subj", f"/CN=triaged-{name}", *files, *by, *more],
            cwd=self.folder,
            check=True,
            capture_output=True,
        )
