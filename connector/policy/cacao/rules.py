"""Every rule that a playbook must keep, by its name. The first line of a rule's docstring says what it demands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from connector.policy.cacao import defined, filling, metadata, workflow
from connector.policy.cacao.objects import Playbook

Rule: TypeAlias = Callable[[Playbook], Iterator[tuple[str, str]]]
"""Gives each place where it is broken, with what is wrong there."""

STRUCTURE: Final = "structure"
"""The rule that a playbook's objects have the properties of the specification, of the right types, and no others."""

RULES: Final[Mapping[str, Rule]] = {
    rule.__name__.replace("_", "-"): rule
    for rule in (
        metadata.playbook_id,
        metadata.unique_uuid,
        metadata.foreign_id,
        metadata.real_time,
        metadata.milliseconds,
        metadata.modified_after_created,
        metadata.valid_for_a_while,
        metadata.not_revoked,
        metadata.vocabulary,
        metadata.activity_given,
        metadata.activity_done,
        metadata.command_activity,
        metadata.sector_listed,
        metadata.reference_listed,
        workflow.step_id,
        workflow.step_uuid,
        workflow.needed_steps,
        workflow.begins_with_start,
        workflow.starts_once,
        workflow.step_exists,
        workflow.successor,
        workflow.reachable,
        workflow.no_loop,
        workflow.own_end,
        defined.definition_id,
        defined.definition,
        defined.command,
        defined.agent_defined,
        defined.target_defined,
        defined.authentication_defined,
        defined.marking_defined,
        defined.extension_defined,
        defined.no_secret,
        filling.variable_type,
        filling.variable_value,
        filling.variable_source,
        filling.argument_declared,
        filling.result_changeable,
        filling.reference_place,
        filling.reference_alone,
        filling.reference_declared,
        filling.reference_plain,
    )
}
"""The rules beyond structure, in the order in which they are told."""


class Problem(NamedTuple):
    """A broken rule: its name, the place in the playbook, and what is wrong there."""

    rule: str
    place: str
    what: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.what} [{self.rule}]"


def problems(playbook: Playbook) -> list[Problem]:
    """Every rule that the playbook breaks; empty where it is sound."""
    return [Problem(name, place, what) for name, rule in RULES.items() for place, what in rule(playbook)]
