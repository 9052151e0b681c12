"""The tiny corpora folder, and a tiny encoder with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.learn.corpora.source import Corpora
from tests.learn import corpus


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Corpora:
    folder = tmp_path_factory.mktemp("corpora")
    return Corpora(folder, corpus.build(folder))


@pytest.fixture(scope="session")
def tiny_pins(tiny: Corpora) -> Path:
    """The pins as a file, for commands that read them."""
    path = tiny.folder / "sources.toml"
    lines = []
    for name, source in tiny.sources.items():
        lines.append(f"[{name}]")
        fields = ("upstream", "commit", "archive", "sha256", "root", "licence", "credit")
        lines += [f'{field} = "{getattr(source, field)}"' for field in fields]
        lines.append("may_train = true\n")
    path.write_text("\n".join(lines))
    return path
