"""TLS for the stand-in: a certificate for 127.0.0.1 of an authority that was made for it."""

from __future__ import annotations

import ssl
from pathlib import Path

from tests.servers.certificates import Certificates


def context(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """What ``Splunkd(tls=…)`` takes, and the file of the authority to trust. Raises ``Unavailable`` without openssl."""
    made = Certificates(folder)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    return server, made.ca
