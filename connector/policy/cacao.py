"""The objects of a CACAO 2.0 playbook. Unknown properties are refused.

Source: OASIS, CACAO Security Playbooks Version 2.0 (CS01, 27 November 2023), sections 3, 4, 5, 7 and 10, and the JSON
schemas that the committee publishes beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

from connector.types import Json

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
Identifier: TypeAlias = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]+[a-z0-9]--{UUID}$")]
Timestamp: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-(0[1-9]|1[012])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?Z$")
]
VariableName: TypeAlias = Annotated[str, Meta(pattern=r"^__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__$")]
Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Names: TypeAlias = Annotated[tuple[VariableName, ...], Meta(min_length=1)]
Objects: TypeAlias = Mapping[Identifier, Mapping[str, Json]]

CONTAINING = frozenset({"restrict-access", "disconnect-system", "eliminate-risk", "configure-systems"})
"""Activities that change the world of the asset concerned: a playbook with one of them contains."""


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every object of the specification: its properties, and no others."""


class Variable(Strict, frozen=True, kw_only=True):
    """A variable. ``external``: its value comes from the verdict; ``value`` then stands in where there is none."""

    type: str
    description: str = ""
    value: str | None = None
    constant: bool = False
    external: bool = False


class Step(Strict, tag_field="type", frozen=True, kw_only=True):
    """What all workflow steps have."""

    name: str = ""
    description: str = ""
    external_references: tuple[Mapping[str, Json], ...] = ()
    delay: Annotated[int, Meta(ge=0)] | None = None
    timeout: Annotated[int, Meta(ge=0)] | None = None
    step_variables: Mapping[VariableName, Variable] = {}
    owner: Identifier | None = None
    on_completion: Identifier | None = None
    on_success: Identifier | None = None
    on_failure: Identifier | None = None
    step_extensions: Objects = {}

    def branches(self) -> Mapping[str, str]:
        """The steps that this one leads to besides its successor, by the property that names them."""
        return {}


class Start(Step, tag="start", frozen=True, kw_only=True):
    """Where the workflow begins."""


class End(Step, tag="end", frozen=True, kw_only=True):
    """Where the workflow, or a branch of it, ends."""


class ActionStep(Step, tag="action", frozen=True, kw_only=True):
    """Commands that an agent carries out."""

    commands: Annotated[tuple[Mapping[str, Json], ...], Meta(min_length=1)]
    agent: Identifier
    targets: Annotated[tuple[Identifier, ...], Meta(min_length=1)] | None = None
    in_args: Names | None = None
    out_args: Names | None = None


class PlaybookAction(Step, tag="playbook-action", frozen=True, kw_only=True):
    """Another playbook, run as one step."""

    playbook_id: Identifier
    playbook_version: Timestamp | None = None
    in_args: Names | None = None
    out_args: Names | None = None


class Parallel(Step, tag="parallel", frozen=True, kw_only=True):
    """Branches that may run side by side."""

    next_steps: Annotated[tuple[Identifier, ...], Meta(min_length=2)]

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {f"next_steps[{place}]": step for place, step in enumerate(self.next_steps)}


class IfCondition(Step, tag="if-condition", frozen=True, kw_only=True):
    """One branch or the other."""

    condition: str
    on_true: Identifier
    on_false: Identifier | None = None

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {"on_true": self.on_true} | ({"on_false": self.on_false} if self.on_false else {})


class WhileCondition(Step, tag="while-condition", frozen=True, kw_only=True):
    """A branch, again and again."""

    condition: str
    on_true: Identifier

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {"on_true": self.on_true}


class SwitchCondition(Step, tag="switch-condition", frozen=True, kw_only=True):
    """A branch for each value."""

    switch: str
    cases: Mapping[str, Identifier]

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {f"cases.{case}": step for case, step in self.cases.items()}


AnyStep: TypeAlias = (
    Start | End | ActionStep | PlaybookAction | Parallel | IfCondition | WhileCondition | SwitchCondition
)


class Playbook(Strict, frozen=True, kw_only=True):
    """A playbook. Policies call it by the name of its file."""

    type: Literal["playbook"]
    spec_version: Literal["cacao-2.0"]
    id: Identifier
    name: str
    created_by: Identifier
    created: Timestamp
    modified: Timestamp
    workflow_start: Identifier
    workflow: Mapping[Identifier, AnyStep]
    description: str = ""
    playbook_types: tuple[str, ...] = ()
    playbook_activities: tuple[str, ...] = ()
    playbook_processing_summary: Mapping[str, Json] = {}
    revoked: bool = False
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    derived_from: tuple[Identifier, ...] = ()
    related_to: tuple[Identifier, ...] = ()
    priority: Percent | None = None
    severity: Percent | None = None
    impact: Percent | None = None
    industry_sectors: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    external_references: tuple[Mapping[str, Json], ...] = ()
    markings: tuple[Identifier, ...] = ()
    playbook_variables: Mapping[VariableName, Variable] = {}
    workflow_exception: Identifier | None = None
    playbook_extensions: Objects = {}
    authentication_info_definitions: Objects = {}
    agent_definitions: Objects = {}
    target_definitions: Objects = {}
    extension_definitions: Objects = {}
    data_marking_definitions: Objects = {}
    signatures: tuple[Mapping[str, Json], ...] = ()

    @property
    def commanded(self) -> frozenset[str]:
        """The activities of its commands."""
        commands = (command for s in self.workflow.values() if isinstance(s, ActionStep) for command in s.commands)
        return frozenset(str(command["playbook_activity"]) for command in commands if "playbook_activity" in command)

    @property
    def containing(self) -> frozenset[str]:
        """The activities, of the playbook and of its commands, that contain."""
        return CONTAINING & self.commanded.union(self.playbook_activities)

    @property
    def contains(self) -> bool:
        """Whether it does what only tier ``contain`` may do.

        What another playbook does is not known here, so a step that runs one counts as containing.
        """
        return bool(self.containing) or any(isinstance(step, PlaybookAction) for step in self.workflow.values())
