import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The corpora folder: the repository's sibling ``shared/corpora``, or ``TRIAGED_CORPORA``."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "corpora"
    folder = Path(os.environ.get("TRIAGED_CORPORA", beside))
    if not folder.is_dir():
        pytest.skip(f"no corpora: {folder} does not exist and TRIAGED_CORPORA is not set")
    return folder
