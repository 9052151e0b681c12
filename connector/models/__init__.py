"""Models: the store of bundles, their members, and the ensemble that turns member scores into predictions."""

from connector.models.bundle import Bundle
from connector.models.store import Store

__all__ = ["Bundle", "Store"]
