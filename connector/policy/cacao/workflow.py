"""Rules on the steps of a workflow and on how they follow each other (section 4).

One is ours: steps form no loop (``while-condition`` repeats its branch, which ends in an end step).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from graphlib import CycleError, TopologicalSorter
from itertools import combinations
from typing import Final

from connector.policy.cacao.objects import End, Playbook, Start

UUID4: Final = re.compile(r"--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
NEEDED: Final = (frozenset({"start"}), frozenset({"end"}), frozenset({"action", "playbook-action"}))


def step_id(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The id of a step begins with its type."""
    for key, step in playbook.workflow.items():
        if key.partition("--")[0] != step.kind:
            yield f"workflow.{key}", f"a step of type {step.kind!r} has an id that says otherwise"


def step_uuid(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """The uuid of a step is a UUIDv4."""
    for key in playbook.workflow:
        if not UUID4.search(key):
            yield f"workflow.{key}", "the uuid of a step must be a UUIDv4"


def needed_steps(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A workflow has a start, an end, and something to do."""
    kinds = {step.kind for step in playbook.workflow.values()}
    for needed in NEEDED:
        if kinds.isdisjoint(needed):
            yield "workflow", f"needs a step of type {' or '.join(sorted(needed))}"


def begins_with_start(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """``workflow_start`` is a start step of the workflow."""
    if not isinstance(playbook.workflow.get(playbook.workflow_start), Start):
        yield "workflow_start", f"{playbook.workflow_start} is not a start step of the workflow"


def starts_once(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """No step leads to a start step."""
    for key, step in playbook.workflow.items():
        for name, follower in step.links().items():
            if isinstance(playbook.workflow.get(follower), Start):
                yield f"workflow.{key}.{name}", f"{follower} is a start step, which nothing may lead to"


def step_exists(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """What a step leads to is a step of the workflow."""
    for key, step in playbook.workflow.items():
        for name, follower in step.links().items():
            if follower not in playbook.workflow:
                yield f"workflow.{key}.{name}", f"{follower} is not a step of the workflow"
    if playbook.workflow_exception and playbook.workflow_exception not in playbook.workflow:
        yield "workflow_exception", f"{playbook.workflow_exception} is not a step of the workflow"


def successor(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A step leads on either in any case or by its success, and only an end step leads nowhere."""
    for key, step in playbook.workflow.items():
        where = f"workflow.{key}"
        if isinstance(step, End):
            if step.links():
                yield where, "an end step leads nowhere"
        elif step.on_completion and (step.on_success or step.on_failure):
            yield where, "on_completion excludes on_success and on_failure"
        elif isinstance(step, Start) and (step.on_success or step.on_failure):
            yield where, "a start step has on_completion only"
        elif not step.on_completion and not step.on_success:
            yield where, "needs on_completion, or on_success"


def reachable(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Every step can be reached."""
    begins = [playbook.workflow_start, *([playbook.workflow_exception] if playbook.workflow_exception else [])]
    for key in playbook.workflow.keys() - reached(playbook, begins):
        yield f"workflow.{key}", "cannot be reached from workflow_start"


def no_loop(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """Steps form no loop of their own."""
    try:
        TopologicalSorter({key: set(step.links().values()) for key, step in playbook.workflow.items()}).prepare()
    except CycleError as error:
        yield "workflow", f"steps form a loop: {' -> '.join(error.args[1])}"


def own_end(playbook: Playbook) -> Iterator[tuple[str, str]]:
    """A branch ends in an end step of its own, by which an engine knows that it is over."""
    for key, step in playbook.workflow.items():
        branches = step.branches()
        after = [follower for name, follower in step.links().items() if name not in branches]
        ends = {name: _ends(playbook, [head]) for name, head in branches.items()}
        if ends and after:
            ends["what follows"] = _ends(playbook, after)
        for (one, its), (other, others) in combinations(ends.items(), 2):
            for shared in sorted(its & others):
                yield f"workflow.{key}", f"{one} and {other} share {shared}: a branch ends in an end step of its own"


def reached(playbook: Playbook, begins: Iterable[str]) -> set[str]:
    """The steps that can be reached from these, and they themselves."""
    found: set[str] = set()
    waiting = list(begins)
    while waiting:
        key = waiting.pop()
        if key in playbook.workflow and key not in found:
            found.add(key)
            waiting.extend(playbook.workflow[key].links().values())
    return found


def _ends(playbook: Playbook, begins: Iterable[str]) -> set[str]:
    return {key for key in reached(playbook, begins) if isinstance(playbook.workflow[key], End)}
