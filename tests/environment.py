"""The environment for a process that a test starts: without the caller's settings, which win over a settings file."""

from __future__ import annotations

import os


def clean() -> dict[str, str]:
    """Ours without ``TRIAGED_…``, but with where the corpora are."""
    return {k: v for k, v in os.environ.items() if not k.upper().startswith("TRIAGED_") or k == "TRIAGED_CORPORA"}
