"""How a document is known: the identity that the cluster gives it, of which every event id is derived."""

from __future__ import annotations


def native_id(index: str, number: str) -> str:
    """A document's identity by the concrete index that holds it and its id there. No index's name has a slash."""
    return f"{index}/{number}"
