"""What GitHub posts to a webhook, in ECS (dataset ``github.webhook``).

A body does not say which event it is (a header does): the object that it brings tells. Texts that people wrote (titles,
messages, branches) are where commands are smuggled into workflows.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from typing import Final

from connector.events.declared import declared
from connector.events.family import Family, Node
from connector.events.paths import copier, first, inner, moment, path, put, said, scalars
from connector.events.scrub import scrubbed
from connector.types import Document, Json

_DATASET: Final = "github.webhook"
_DECLARED: Final = frozenset({"github.webhook", "github.cloud.webhook"})

_OBJECTS: Final = (
    "workflow_job", "workflow_run", "check_run", "check_suite", "review", "comment", "pull_request", "issue", "discussion",
    "release", "deployment_status", "deployment", "forkee", "member", "membership", "team", "invitation", "alert",
    "security_advisory", "rule", "repository_ruleset", "pages", "hook", "key", "package", "installation", "label",
    "milestone", "commits",
)  # fmt: skip
"""The objects that tell an event, the most telling first: a comment comes with its issue."""

_EVENTS: Final = {
    "commits": "push",
    "pages": "gollum",
    "forkee": "fork",
    "comment": "issue_comment",
    "review": "pull_request_review",
    "rule": "branch_protection_rule",
    "key": "deploy_key",
}
_FIELDS: Final = {
    "user.name": ("sender.login", "pusher.name"),
    "user.email": ("pusher.email",),
    "user.target.name": ("member.login", "invitation.login", "membership.user.login"),
    "github.sender_type": ("sender.type",),
    "github.repo": ("repository.full_name",),
    "github.org": ("organization.login",),
    "github.private": ("repository.private",),
    "github.ref": ("ref", "workflow_run.head_branch", "workflow_job.head_branch", "pull_request.head.ref"),
    "github.trigger": ("workflow_run.event",),
    "github.status": ("workflow_job.status", "workflow_run.status", "review.state", "issue.state"),
    "github.conclusion": ("workflow_job.conclusion", "workflow_run.conclusion"),
    "github.workflow": ("workflow_job.name", "workflow_run.name"),
    "github.runner_group": ("workflow_job.runner_group_name",),
    "github.permission": ("invitation.role", "changes.permission.from"),
    "github.forced": ("forced",),
}
_copy: Final = copier(_FIELDS)
_time: Final = first(("workflow_job.completed_at", "workflow_run.updated_at", "head_commit.timestamp", "p_event_time"))
_TEXTS: Final = tuple(
    path(text)
    for text in (
        *("head_commit.message", "commits.message"),
        *("pull_request.title", "pull_request.body", "pull_request.head.ref", "issue.title", "issue.body"),
        *("comment.body", "review.body", "discussion.title", "discussion.body", "pages.page_name", "pages.title"),
        *("workflow_run.head_branch", "workflow_run.display_title", "release.name", "release.body", "ref"),
    )
)
_AUTHORS: Final = tuple(path(text) for text in ("head_commit.author.name", "commits.author.name"))
_SHELL: Final = frozenset("$`;|&<>")
"""A name with one of these is no name but a command for the workflow that prints it."""

_OUTCOMES: Final = {"success": "success", "failure": "failure", "timed_out": "failure", "startup_failure": "failure"}


def read(record: Document) -> Node | None:
    """A webhook's body as an ECS document."""
    if not _is_webhook(record):
        return None
    document: Node = {"event": {"kind": "event", "dataset": _DATASET, "action": _action(record)}}
    put(document, "@timestamp", moment(_time(record)))
    _copy(record, document)
    conclusion = document.get("github", {}).get("conclusion")
    put(document, "event.outcome", _OUTCOMES.get(conclusion) if type(conclusion) is str else None)
    pull, repository = _head(record), inner(record, "repository").get("full_name")
    if said(pull) and said(repository):
        put(document, "github.from_fork", pull != repository)
    names = [name for name in (document.get("user") or {}).values() if type(name) is str and len(name) > 3]
    texts = [scrubbed(get(record), names) for get in _TEXTS]
    texts += [
        scrubbed(name, ()) for get in _AUTHORS if type(name := get(record)) is str and not _SHELL.isdisjoint(name)
    ]
    put(document, "github.text", list(dict.fromkeys(text for text in texts if type(text) is str)) or None)
    return document


def _is_webhook(record: Document) -> bool:
    repository = record.get("repository")
    if type(repository) is not dict or "full_name" not in repository:
        return False
    posted = ("sender" in record or "pusher" in record) and ("action" in record or "ref" in record)
    return posted or declared(record) in _DECLARED


def _action(record: Document) -> str:
    """``pull_request.opened``: the event, and what its body calls the action."""
    told = next((name for name in _OBJECTS if record.get(name) not in (None, [], {})), "repository")
    event = _EVENTS.get(told, told)
    if told == "comment" and "pull_request" in record:
        event = "pull_request_review_comment"
    action = record.get("action")
    return f"{event}.{action}" if type(action) is str and action else event


def _head(record: Document) -> Json:
    """The repository that a pull request's changes come from."""
    run = inner(inner(record, "workflow_run", "pull_request") or record, "pull_requests") or inner(
        record, "pull_request"
    )
    return scalars(inner(inner(run, "head"), "repo").get("full_name"))


FAMILY: Final = Family("github_webhook", datasets=frozenset({_DATASET}), read=read)
