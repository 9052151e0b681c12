"""Events: raw → ECS (``normalise``), ECS → canonical form → fingerprint, canonical form → model text (``render``)."""

from connector.events.canonical import CANONICAL_VERSIONS, canonical, kind_of
from connector.events.decode import decode
from connector.events.fingerprint import fingerprint
from connector.events.normalise import normalise
from connector.events.render import render

__all__ = ["CANONICAL_VERSIONS", "canonical", "decode", "fingerprint", "kind_of", "normalise", "render"]
