"""Elasticsearch 9.5.0: search, points in time, bulk, data streams, security with file users and roles.

The build has no ingest processor, no script and no enrich, and does not answer ``GET /``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import ssl
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.cache import alone, cached, jdk, maven
from tests.servers.certificates import Certificates
from tests.servers.process import QUICK, Server

VERSION = "9.5.0"
_ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
_ITERATIONS = 1000
Roles = Mapping[str, Mapping[str, object]]


def archive() -> Path:
    """The distribution, fetched where it is not in the cache."""
    folder = cached("es")
    found = folder / f"elasticsearch-{VERSION}.zip"
    with alone(folder):
        if not found.exists():
            maven("dependency:copy", f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={folder}", folder=folder)
    return found


class Elasticsearch(Server):
    """A single node without security."""

    name = "elasticsearch"
    flavour = "elasticsearch"

    def __init__(self, settings: Mapping[str, str] | None = None, *, heap: str = "512m", java: str = QUICK) -> None:
        self.java = jdk()
        packed = archive()
        super().__init__(settings)
        self._java = f"-Xms{heap} -Xmx{heap} {java}"
        self.folder.chmod(0o755)
        with zipfile.ZipFile(packed) as files:
            files.extractall(self.folder)
        self.home = self.folder / f"elasticsearch-{VERSION}"
        for tool in (self.home / "bin").iterdir():
            tool.chmod(0o755)

    def all_settings(self) -> Mapping[str, str]:
        """Settings of the node."""
        return {
            "http.port": str(self.port),
            "transport.port": "0",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "path.data": str(self.folder / "data"),
            "path.logs": str(self.folder / "logs"),
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "xpack.security.enabled": "false",
            **self.settings,
        }

    def command(self) -> Sequence[str]:
        """The launcher of the distribution."""
        settings = (f"-E{name}={value}" for name, value in self.all_settings().items())
        return [str(self.home / "bin" / "elasticsearch"), *settings]

    def environment(self) -> Mapping[str, str]:
        """Which Java, and how much of the memory."""
        return {"ES_JAVA_HOME": str(self.java), "ES_JAVA_OPTS": self._java}


class SecuredElasticsearch(Elasticsearch):
    """With security and TLS: users and roles come from files.

    ``admin`` may do everything. ``roles`` are role descriptors as the vendor writes them; ``users`` map a name to the
    roles that it has; everybody's password is ``password``.
    """

    scheme = "https"
    password = "correct horse battery"

    def __init__(
        self,
        roles: Roles | None = None,
        users: Mapping[str, Sequence[str]] | None = None,
        settings: Mapping[str, str] | None = None,
        *,
        heap: str = "512m",
        java: str = QUICK,
    ) -> None:
        super().__init__(settings, heap=heap, java=java)
        self._config = self.home / "config"
        self.certificates = Certificates(self._config / "certs")
        self.set_roles(roles or {}, users or {})

    def set_roles(self, roles: Roles, users: Mapping[str, Sequence[str]]) -> None:
        """Writes users and roles; a server that runs reads the files anew within five seconds."""
        everybody = {"admin": ("superuser",), **users}
        # JSON is YAML, but the server splits this file by its lines before it reads it as YAML: a role a line
        self._put("roles.yml", [f"{name}: {json.dumps(role)}" for name, role in roles.items()])
        self._put("users", [f"{name}:{_hashed(self.password)}" for name in everybody])
        held = {
            role: [n for n, mine in everybody.items() if role in mine] for mine in everybody.values() for role in mine
        }
        self._put("users_roles", [f"{role}:{','.join(names)}" for role, names in held.items()])

    def _put(self, name: str, lines: Sequence[str]) -> None:
        path = self._config / name
        path.write_text("".join(f"{line}\n" for line in lines))

    def all_settings(self) -> Mapping[str, str]:
        """With TLS on the side of clients; a client's own certificate is checked where it shows one."""
        certs = self.certificates.folder
        return {
            **super().all_settings(),
            "xpack.security.enabled": "true",
            "xpack.security.transport.ssl.enabled": "false",
            "xpack.security.http.ssl.enabled": "true",
            "xpack.security.http.ssl.certificate": str(certs / "server.crt"),
            "xpack.security.http.ssl.key": str(certs / "server.key"),
            "xpack.security.http.ssl.certificate_authorities": str(certs / "ca.crt"),
            "xpack.security.http.ssl.client_authentication": "optional",
            **self.settings,
        }

    def ssl_context(self) -> ssl.SSLContext:
        """Trusts the authority of this server alone."""
        return ssl.create_default_context(cafile=self.certificates.ca)

    def credentials(self) -> tuple[str, str]:
        """The user that may do everything."""
        return "admin", self.password


def _hashed(password: str) -> str:
    """A password as the file realm keeps it: ``{PBKDF2}iterations$salt$key``, so that no tool has to be started."""
    salt = os.urandom(32)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS, 32)
    return "{PBKDF2}" + f"{_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"
