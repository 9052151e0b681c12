"""What every suite may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORPORA = Path(os.environ.get("TRIAGED_CORPORA", ROOT.parent / "shared" / "corpora"))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of upstream corpora; the test is skipped where it is missing."""
    if not CORPORA.is_dir():
        pytest.skip(f"no corpora at {CORPORA}: set TRIAGED_CORPORA to the folder of upstream files")
    return CORPORA
