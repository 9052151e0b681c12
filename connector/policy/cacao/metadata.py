"""Rules on what a playbook says of itself (sections 3.1 and 10)."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Final

from connector.policy.cacao.objects import Playbook, PlaybookAction
from connector.policy.cacao.vocabularies import ACTIVITIES, PLAYBOOK_TYPES, SECTORS

_MILLISECONDS: Final = re.compile(r"\.\d{3}Z$")
_TIMES: Final = ("created", "modified", "valid_from", "valid_until")


def playbook_id(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A playbook's id is ``playbook--<uuid>``."""
    if not playbook.id.startswith("playbook--"):
        yield "id", "must be playbook--<uuid>"


def unique_uuid(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """No two objects share a uuid, whatever their types."""
    keys = [
        playbook.id,
        *playbook.workflow,
        *playbook.agent_definitions,
        *playbook.target_definitions,
        *playbook.authentication_info_definitions,
        *playbook.extension_definitions,
        *playbook.data_marking_definitions,
    ]
    for uuid, count in Counter(key.split("--")[1].lower() for key in keys).items():
        if count > 1:
            yield "ids", f"the uuid {uuid} is used by {count} objects; each must have its own"


def foreign_id(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """An id that points outside names an object of the right type."""
    wanted = [("created_by", playbook.created_by, "identity")]
    wanted += [(f"derived_from[{i}]", origin, "playbook") for i, origin in enumerate(playbook.derived_from)]
    for key, step in playbook.workflow.items():
        if step.owner:
            wanted.append((f"workflow.{key}.owner", step.owner, "identity"))
        if isinstance(step, PlaybookAction):
            wanted.append((f"workflow.{key}.playbook_id", step.playbook_id, "playbook"))
    for place, given, kind in wanted:
        if given.partition("--")[0] != kind:
            yield place, f"must be {kind}--<uuid>"


def real_time(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A timestamp is a day of the calendar."""
    for name in _TIMES:
        given = getattr(playbook, name)
        if given is not None and moment(given) is None:
            yield name, f"{given} is no day of the calendar"


def milliseconds(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """``created`` and ``modified`` are given to the millisecond."""
    for name in ("created", "modified"):
        if not _MILLISECONDS.search(getattr(playbook, name)):
            yield name, "must be given to the millisecond (three digits)"


def modified_after_created(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """``modified`` is not before ``created``."""
    created, modified = moment(playbook.created), moment(playbook.modified)
    if created and modified and modified < created:
        yield "modified", "is earlier than created"


def valid_for_a_while(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """``valid_until`` is after ``valid_from``."""
    begin, end = moment(playbook.valid_from), moment(playbook.valid_until)
    if begin and end and end <= begin:
        yield "valid_until", "must be later than valid_from"


def not_revoked(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A playbook that its author has revoked is not run."""
    if playbook.revoked:
        yield "revoked", "its author says that it is no longer valid"


def vocabulary(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Types, activities and sectors come from the specification's vocabularies."""
    for name, given, known in (
        ("playbook_types", playbook.playbook_types, PLAYBOOK_TYPES),
        ("playbook_activities", playbook.playbook_activities, ACTIVITIES),
        ("industry_sectors", playbook.industry_sectors, SECTORS),
    ):
        for place, word in enumerate(given):
            if word not in known:
                yield f"{name}[{place}]", unknown(word, known)
    for where, command in playbook.commands():
        activity = command.get("playbook_activity")
        if isinstance(activity, str) and activity not in ACTIVITIES:
            yield f"{where}.playbook_activity", unknown(activity, ACTIVITIES)


def activity_given(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A playbook with types has activities."""
    if playbook.playbook_types and not playbook.playbook_activities:
        yield "playbook_activities", "at least one is needed where playbook_types is given"


def activity_done(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Each activity of the playbook is one of a command, unless another playbook may carry it out."""
    if any(isinstance(step, PlaybookAction) for step in playbook.workflow.values()):
        return
    for activity in sorted(set(playbook.playbook_activities) - playbook.commanded):
        yield "playbook_activities", f"no command of the workflow carries out {activity!r}"


def command_activity(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Each command names its activity: whether the playbook contains is judged by it."""
    for where, command in playbook.commands():
        if not command.get("playbook_activity"):
            yield where, "needs playbook_activity: whether the playbook contains is judged by it"


def sector_listed(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The sector of an agent or target is among those of the playbook."""
    for where, thing in playbook.definitions():
        if thing.get("type") == "sector" and thing.get("sector") not in playbook.industry_sectors:
            yield where, f"its sector {thing.get('sector')!r} must be among industry_sectors"


def reference_listed(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """What a step refers to outside is among the playbook's external references."""
    for key, step in playbook.workflow.items():
        for place, reference in enumerate(step.external_references):
            if reference not in playbook.external_references:
                where = f"workflow.{key}.external_references[{place}]"
                yield where, f"{reference.name!r} must be among the playbook's external_references too"


def moment(text: str | None) -> datetime | None:
    """The time that a timestamp gives; None where it gives none. A leap second counts as the one before it."""
    try:
        return None if text is None else datetime.fromisoformat(text.replace(":60", ":59"))
    except ValueError:
        return None


def unknown(word: str, known: Collection[str]) -> str:
    """That a word is in no vocabulary, and which one may be meant."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"no such word as {word!r}" + (
        f"; did you mean {near[0]!r}?" if near else f"; words: {', '.join(sorted(known))}"
    )
