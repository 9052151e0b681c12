"""What adapters of platforms share of a run: what it is called, what it shows, and how long each part may last.

Everything an event says may be chosen by an attacker: it is cut, kept printable where people read it as a line, and stands
as a value of its own, never inside a path, a query or a header.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connector import identity
from connector.errors import PermanentError, TransientError
from connector.policy import document
from connector.policy.document import address_of
from connector.retries import SECONDS
from connector.types import Action, Json, RunRef, RunState, RunStatus

LONGEST_LINE: Final = 120
"""Characters of a title."""

LONGEST_TEXT: Final = 4096
"""Characters of any one text: a value of a megabyte must not keep a playbook from being started."""


def platform_playbook(playbooks: Mapping[str, str], action: Action, soar: str) -> str:
    """What the platform calls the action's playbook. Raises ``PermanentError`` that names the known ones."""
    try:
        return playbooks[action.playbook]
    except KeyError:
        known = ", ".join(sorted(playbooks)) or "none"
        raise PermanentError(
            f"SOAR {soar!r} has no playbook {action.playbook!r}: `playbooks` of its settings has: {known}"
        ) from None


def title(action: Action) -> str:
    """One line for people: ``Triaged: malicious, T1059.001 on host-1``."""
    verdict, entity = action.verdict, action.entity
    shown = ", ".join(verdict.passed) or action.rule
    place = entity.host or entity.user or verdict.source.id
    return one_line(f"Triaged: {verdict.verdict}, {shown} on {place}")


def evidence(action: Action) -> dict[str, Json]:
    """The verdict as an ECS document, and what is to be done about it, each text cut."""
    entity = action.entity
    asked = {"key": action.key, "rule": action.rule, "playbook": action.playbook, "tier": action.tier}
    target = {
        "host": entity.host,
        "user": entity.user,
        "address": address_of(entity),
        "agent_id": entity.agent_id,
    }
    found: dict[str, Json] = cut({"action": asked, "entity": target, "verdict": document(action.verdict)})
    return found


def asks_for(shown: Mapping[str, Json]) -> str:
    """A sentence for people, of what ``evidence`` gave: which rule asks for which playbook."""
    return f"Rule {shown['action']['rule']} of Triaged asks for {shown['action']['playbook']}."


def cut(value: Json) -> Json:
    """The same JSON with no text longer than ``LONGEST_TEXT`` and none that UTF-8 cannot hold."""
    if isinstance(value, str):
        return value[:LONGEST_TEXT].encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {key: cut(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [cut(one) for one in value]
    return value


def one_line(text: str, longest: int = LONGEST_LINE) -> str:
    """A text as one short printable line."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:longest]).strip()


def status_of(action: Action, run: RunRef, state: RunState, detail: str, at: datetime) -> RunStatus:
    """How a run stands, as a follow-up of the verdict that caused it."""
    return RunStatus(
        record_id=identity.follow_up_id(action.cause, "run_status", f"{action.key}:{state}"),
        cause=action.cause,
        action_key=action.key,
        playbook=action.playbook,
        state=state,
        detail=detail,
        at=at,
        run_id=run.run_id,
    )


def moment_in(text: Any) -> datetime | None:
    """A platform's time; None where it gives none, or year 1, which is Go's."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    if found.year == 1:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_overdue(began: Any, now: datetime, limit: timedelta) -> bool:
    """Whether what began then has lasted too long; what has no beginning has not."""
    moment = moment_in(began)
    return moment is not None and now - moment > limit


@contextmanager
def starting_nothing() -> Iterator[None]:
    """What is asked inside starts no playbook: a lost answer leaves nothing in doubt."""
    try:
        yield
    except TransientError as error:
        raise TransientError(str(error)) from error


class Patience:
    """How long ``run`` may take until it tries no longer to send the request that starts the playbook.

    The wiring counts on what one call may try for: a request that is sent later could come after another worker has taken
    the expired claim and has looked for the run in vain.
    """

    def __init__(self, timeout: timedelta) -> None:
        self._until = time.monotonic() + min(SECONDS, timeout.total_seconds())

    def left(self) -> float:
        """Seconds that are left. Raises ``TransientError``, nothing sent, where none are."""
        seconds = self._until - time.monotonic()
        if seconds <= 0:
            raise TransientError("the platform is too slow: what comes before the start took all the time for it")
        return seconds
