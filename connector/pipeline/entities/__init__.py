"""The entity view: verdicts roll up per host, user and address into a decaying risk, and into incidents.

``points`` says what a verdict adds, ``who`` to whom, ``times`` when; ``fold`` adds it, ``incidents`` joins entities, and
``rollup`` does so for a batch, between scoring and deciding. All but ``rollup`` are pure. Nothing of it reaches a model.
"""

from connector.pipeline.entities.nouns import EntityState, IncidentState, Step
from connector.pipeline.entities.rollup import RolledUp, RollUp

__all__ = ["EntityState", "IncidentState", "RollUp", "RolledUp", "Step"]
