"""CACAO 2.0 playbooks: the objects of the specification, and the rules that a playbook must keep.

Source: OASIS, CACAO Security Playbooks Version 2.0 (CS01, 27 November 2023), and the JSON schemas that the committee
publishes beside it. :mod:`~connector.policy.cacao.rules` lists every rule by its name.
"""

from connector.policy.cacao.objects import (
    ActionStep,
    AnyStep,
    End,
    Parallel,
    Playbook,
    PlaybookAction,
    Start,
    Step,
    Variable,
)
from connector.policy.cacao.vocabularies import CONTAINING

__all__ = [
    "CONTAINING",
    "ActionStep",
    "AnyStep",
    "End",
    "Parallel",
    "Playbook",
    "PlaybookAction",
    "Start",
    "Step",
    "Variable",
]
