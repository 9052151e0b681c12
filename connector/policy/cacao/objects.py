"""A playbook, its steps and its variables (sections 3, 4 and 10). Unknown properties are refused.

What agents, commands and the other definitions hold is left as it is here: the rules read it
(:mod:`~connector.policy.cacao.definitions`, :mod:`~connector.policy.cacao.commands`), and platforms get it unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from connector.policy.cacao.vocabularies import CONTAINING
from connector.types import Json

T = TypeVar("T")

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[1-5][0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
Identifier: TypeAlias = Annotated[str, Meta(pattern=rf"^[a-z][a-z0-9-]+[a-z0-9]--{UUID}$")]
Timestamp: TypeAlias = Annotated[
    str, Meta(pattern=r"^\d{4}-(0[1-9]|1[012])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?Z$")
]
VariableName: TypeAlias = Annotated[str, Meta(pattern=r"^__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__$")]
Percent: TypeAlias = Annotated[int, Meta(ge=0, le=100)]
Milliseconds: TypeAlias = Annotated[int, Meta(ge=0)]
Some: TypeAlias = Annotated[tuple[T, ...], Meta(min_length=1)]
"""A list that is left out rather than empty."""
Condition: TypeAlias = Annotated[str, Meta(min_length=1)]
"""An expression of the STIX patterning grammar, which is the engine's to read."""
Case: TypeAlias = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{0,250}$")]
Objects: TypeAlias = Mapping[Identifier, Mapping[str, Json]]


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of every object of the specification: its properties, and no others."""


class Reference(Strict, frozen=True, kw_only=True):
    """Where more is said: a name, and at least one way to it (section 10.9)."""

    name: str
    description: str | None = None
    source: str | None = None
    url: str | None = None
    external_id: str | None = None
    reference_id: str | None = None

    def __post_init__(self) -> None:
        """Refuses one that leads nowhere."""
        if not any((self.description, self.source, self.url, self.external_id, self.reference_id)):
            raise ValueError("needs description, source, url, external_id or reference_id beside its name")


class Summary(Strict, frozen=True, kw_only=True):
    """What a playbook uses, for those who do not read all of it (section 10.14)."""

    manual_playbook: bool = False
    external_playbooks: bool = False
    parallel_processing: bool = False
    if_logic: bool = False
    while_logic: bool = False
    switch_logic: bool = False
    temporal_logic: bool = False
    data_markings: bool = False
    digital_signatures: bool = False
    countersigned_signatures: bool = False
    extensions: bool = False


class Signature(Strict, frozen=True, kw_only=True):
    """A signature by JSON Signature Scheme (section 10.15). Nothing here verifies it."""

    type: Literal["jss"]
    id: Identifier
    created: Timestamp
    modified: Timestamp
    signee: str
    related_to: Identifier
    related_version: Timestamp
    hash_algorithm: str
    algorithm: str
    value: str
    created_by: Identifier | None = None
    revoked: bool = False
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    public_key: str | None = None
    public_cert_chain: Some[str] | None = None
    cert_url: str | None = None
    thumbprint: str | None = None
    signature: Signature | None = None

    def __post_init__(self) -> None:
        """Refuses one that nobody could verify."""
        keys = (self.public_key, self.public_cert_chain, self.cert_url, self.thumbprint)
        if sum(key is not None for key in keys) != 1:
            raise ValueError("needs exactly one of public_key, public_cert_chain, cert_url and thumbprint")


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
    external_references: Some[Reference] = ()
    delay: Milliseconds | None = None
    timeout: Milliseconds | None = None
    step_variables: Mapping[VariableName, Variable] = {}
    owner: Identifier | None = None
    on_completion: Identifier | None = None
    on_success: Identifier | None = None
    on_failure: Identifier | None = None
    step_extensions: Objects = {}

    @property
    def kind(self) -> str:
        """Its type, as its id begins."""
        return str(self.__struct_config__.tag)

    def branches(self) -> Mapping[str, str]:
        """The steps that begin a branch of their own, by the property that names them."""
        return {}

    def links(self) -> Mapping[str, str]:
        """All steps that this one leads to, by the property that names them."""
        followers = {name: getattr(self, name) for name in ("on_completion", "on_success", "on_failure")}
        return {**self.branches(), **{name: step for name, step in followers.items() if step}}


class Start(Step, tag="start", frozen=True, kw_only=True):
    """Where the workflow begins."""


class End(Step, tag="end", frozen=True, kw_only=True):
    """Where the workflow, or a branch of it, ends."""


class ActionStep(Step, tag="action", frozen=True, kw_only=True):
    """Commands that an agent carries out."""

    commands: Some[Mapping[str, Json]]
    agent: Identifier
    targets: Some[Identifier] = ()
    in_args: Some[VariableName] = ()
    out_args: Some[VariableName] = ()


class PlaybookAction(Step, tag="playbook-action", frozen=True, kw_only=True):
    """Another playbook, run as one step."""

    playbook_id: Identifier
    playbook_version: Timestamp | None = None
    in_args: Some[VariableName] = ()
    out_args: Some[VariableName] = ()


class Parallel(Step, tag="parallel", frozen=True, kw_only=True):
    """Branches that may run side by side."""

    next_steps: Annotated[tuple[Identifier, ...], Meta(min_length=2)]

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {f"next_steps[{place}]": step for place, step in enumerate(self.next_steps)}


class IfCondition(Step, tag="if-condition", frozen=True, kw_only=True):
    """One branch or the other."""

    condition: Condition
    on_true: Identifier
    on_false: Identifier | None = None

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {"on_true": self.on_true} | ({"on_false": self.on_false} if self.on_false else {})


class WhileCondition(Step, tag="while-condition", frozen=True, kw_only=True):
    """A branch, again and again."""

    condition: Condition
    on_true: Identifier

    def branches(self) -> Mapping[str, str]:
        """See :meth:`Step.branches`."""
        return {"on_true": self.on_true}


class SwitchCondition(Step, tag="switch-condition", frozen=True, kw_only=True):
    """A branch for each value."""

    switch: Annotated[str, Meta(pattern=r"^__[a-zA-Z_][a-zA-Z0-9_-]{0,199}__:value$")]
    cases: Annotated[Mapping[Case, Identifier], Meta(min_length=1)]

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
    name: Annotated[str, Meta(min_length=1)]
    created_by: Identifier
    created: Timestamp
    modified: Timestamp
    workflow_start: Identifier
    workflow: Mapping[Identifier, AnyStep]
    description: str = ""
    playbook_types: tuple[str, ...] = ()
    playbook_activities: Some[str] = ()
    playbook_processing_summary: Summary | None = None
    revoked: bool = False
    valid_from: Timestamp | None = None
    valid_until: Timestamp | None = None
    derived_from: Some[Identifier] = ()
    related_to: Some[Identifier] = ()
    priority: Percent | None = None
    severity: Percent | None = None
    impact: Percent | None = None
    industry_sectors: Some[str] = ()
    labels: Some[str] = ()
    external_references: Some[Reference] = ()
    markings: Some[Identifier] = ()
    playbook_variables: Mapping[VariableName, Variable] = {}
    workflow_exception: Identifier | None = None
    playbook_extensions: Objects = {}
    authentication_info_definitions: Objects = {}
    agent_definitions: Objects = {}
    target_definitions: Objects = {}
    extension_definitions: Objects = {}
    data_marking_definitions: Objects = {}
    signatures: Some[Signature] = ()

    def actions(self) -> Iterator[tuple[str, ActionStep]]:
        """Every action step, with its place."""
        for key, step in self.workflow.items():
            if isinstance(step, ActionStep):
                yield f"workflow.{key}", step

    def commands(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """Every command, with its place."""
        for where, step in self.actions():
            yield from ((f"{where}.commands[{index}]", command) for index, command in enumerate(step.commands))

    def definitions(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """Every agent and every target, with its place."""
        for name, defined in (
            ("agent_definitions", self.agent_definitions),
            ("target_definitions", self.target_definitions),
        ):
            yield from ((f"{name}.{key}", thing) for key, thing in defined.items())

    @property
    def commanded(self) -> frozenset[str]:
        """The activities of its commands."""
        return frozenset(
            str(command["playbook_activity"]) for _, command in self.commands() if "playbook_activity" in command
        )

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
