"""Changes of notables (findings) of Enterprise Security: a comment, and what else the record names and nothing more.

A status, a disposition or an urgency is sent only where the record says one: nothing is ever closed otherwise. Comments
have no unique key, so each ends with the record's id, and is looked for in the review history before it is written.

Source: "Notable Event API reference" of Enterprise Security (``notable_update``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from connector.errors import ConfigError, PermanentError, TransientError
from connector.siem.splunk.client import Splunk, path_of
from connector.siem.splunk.faults import LONGEST_REASON
from connector.types import AlertUpdate, Delivery

STATUSES: Final[Mapping[str, str]] = {
    "unassigned": "0",
    "new": "1",
    "open": "1",
    "in progress": "2",
    "acknowledged": "2",
    "pending": "3",
    "resolved": "4",
    "closed": "5",
}
"""Statuses as Enterprise Security is shipped with them, in lower case, and the words that other SIEMs have for them."""

DISPOSITIONS: Final[Mapping[str, str]] = {
    "true_positive": "disposition:1",
    "benign_positive": "disposition:2",
    "false_positive": "disposition:3",
    "other": "disposition:5",
    "undetermined": "disposition:6",
}
"""Dispositions by the words that :class:`connector.types.DispositionChange` has for them."""

URGENCIES: Final = ("informational", "low", "medium", "high", "critical")

CAPABILITY: Final = "edit_notable_events"
LONGEST_COMMENT: Final = 4000

_DELIVERED: Final = Delivery(outcome="delivered")
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]+")
_CONTEXT: Final = path_of("services", "authentication", "current-context")
_UPDATE: Final = path_of("services", "notable_update")
_REVIEWS: Final = path_of(
    "servicesNS", "nobody", "SA-ThreatIntelligence", "storage", "collections", "data", "incident_review"
)
_LABELS: Final = path_of("servicesNS", "nobody", "SA-ThreatIntelligence", "alerts", "reviewstatuses")
_MOST_REVIEWS: Final = 1000
_FORBIDDEN: Final = re.compile(r"permission|capabilit|not authori[sz]ed|not allowed to", re.IGNORECASE)


class Notables:
    """The notables of one deployment."""

    def __init__(self, splunk: Splunk, deployment: str) -> None:
        self._splunk = splunk
        self._deployment = deployment
        self._labels: Mapping[str, str] | None = None

    def prove(self) -> None:
        """Whether we may change notables. Raises what keeps us from it."""
        what = "asking what we may do"
        answer = self._splunk.request(what, "GET", _CONTEXT, query={"output_mode": "json"}).json()
        entries = answer.get("entry") if isinstance(answer, Mapping) else None
        can = [name for entry in entries or () for name in entry.get("content", {}).get("capabilities", ())]
        if CAPABILITY not in can:
            raise ConfigError(f"{what} on {self._splunk.address}: the role needs the capability {CAPABILITY}")

    def apply_all(self, updates: Sequence[AlertUpdate]) -> list[Delivery]:
        """One outcome an update. Once one was not answered, the others wait unasked: each would wait as long by itself.

        Raises ``TransientError`` where nothing was answered and nothing changed, and ``ConfigError`` where Splunk refuses us.
        """
        outcomes: list[Delivery] = []
        waits: Delivery | None = None
        asked = False
        for update in updates:
            if update.alert.siem != self._deployment:
                outcomes.append(_DELIVERED)
                continue
            try:
                outcome = waits or self.apply(update)
            except TransientError as error:
                if not asked:
                    raise
                outcome = Delivery(outcome="retry", reason=str(error))
            asked = True
            if outcome.outcome in {"retry", "unknown"}:
                waits = Delivery(outcome="retry", reason=outcome.reason)
            outcomes.append(outcome)
        return outcomes

    def apply(self, update: AlertUpdate) -> Delivery:
        """Brings one notable to what the record says; of other deployments there is nothing to do.

        Raises ``TransientError`` where a look-up before the change is not answered, and ``ConfigError`` where Splunk refuses us.
        """
        if update.alert.siem != self._deployment:
            return _DELIVERED
        try:
            change = self._change(update)
            if not self._stands(update):
                return self._sent({"ruleUIDs": update.alert.id, **change})
        except PermanentError as error:
            return Delivery(outcome="rejected", reason=str(error))
        return _DELIVERED

    def _change(self, update: AlertUpdate) -> dict[str, str]:
        """The fields of the form. Raises ``PermanentError`` for a word that this site does not know."""
        change = {"comment": comment_of(update)}
        if update.status is not None:
            change["status"] = self._number(update.status, "status", r"\d{1,4}", STATUSES)
        if update.disposition is not None:
            change["disposition"] = self._number(
                update.disposition, "disposition", r"disposition:\d{1,4}", DISPOSITIONS
            )
        if update.urgency is not None:
            if update.urgency.lower() not in URGENCIES:
                raise PermanentError(f"an urgency is one of {', '.join(URGENCIES)}, not {update.urgency!r}")
            change["urgency"] = update.urgency.lower()
        return change

    def _number(self, word: str, kind: str, number: str, shipped: Mapping[str, str]) -> str:
        """A status or disposition as Splunk numbers it: a number as it is, else the site's own label, else a known word."""
        if re.fullmatch(number, word):
            return word
        own = {label: name for label, name in self._site_labels().items() if re.fullmatch(number, name)}
        known = {**shipped, **own}
        found = known.get(word.lower())
        if found is None:
            raise PermanentError(f"a {kind} is one of {', '.join(sorted(known))}, not {word!r}")
        return found

    def _site_labels(self) -> Mapping[str, str]:
        """The site's own statuses and dispositions: number by label, in lower case. Empty where we may not see them."""
        if self._labels is None:
            try:
                query = {"output_mode": "json", "count": "0"}
                self._labels = _labels(self._splunk.request("reading statuses", "GET", _LABELS, query=query).json())
            except ConfigError:
                self._labels = {}
        return self._labels

    def _stands(self, update: AlertUpdate) -> bool:
        """Whether the change was made before: the history has its comment. No where we may not look."""
        query = {
            "query": msgspec.json.encode({"rule_id": update.alert.id}).decode(),
            "fields": "comment",
            "sort": "time:-1",
            "limit": str(_MOST_REVIEWS),
        }
        try:
            rows = self._splunk.request("reading reviews", "GET", _REVIEWS, query=query).json()
        except ConfigError:
            return False
        mark = mark_of(update)
        return any(isinstance(row, Mapping) and mark in str(row.get("comment")) for row in rows or ())

    def _sent(self, form: Mapping[str, str]) -> Delivery:
        """The outcome of a change; one that a search head fails to make may be that update's own, so it raises nothing."""
        try:
            self._send(form)
        except TransientError as error:
            return Delivery(outcome="unknown" if error.sent else "retry", reason=str(error))
        return _DELIVERED

    def _send(self, form: Mapping[str, str]) -> None:
        what = "changing a notable"
        answer = self._splunk.request(what, "POST", _UPDATE, form=form).json()
        if isinstance(answer, Mapping) and answer.get("success") is True:
            return
        told = answer.get("message") if isinstance(answer, Mapping) else answer
        message = f"{what} on {self._splunk.address}: {str(told)[:LONGEST_REASON]}"
        if _FORBIDDEN.search(str(told)):
            raise ConfigError(f"{message}. The role needs the capability {CAPABILITY}")
        raise PermanentError(message)


def comment_of(update: AlertUpdate) -> str:
    """The comment: the note, the tags, and the mark by which it is found again. Some of it may be an event's text."""
    note = _CONTROLS.sub(" ", update.note).strip()[:LONGEST_COMMENT]
    tags = ", ".join(_CONTROLS.sub(" ", tag) for tag in update.tags)[:LONGEST_COMMENT]
    return "\n".join(part for part in (note, f"Tags: {tags}" if tags else "", mark_of(update)) if part)


def mark_of(update: AlertUpdate) -> str:
    """What is looked for in a notable's history."""
    return f"Triaged {update.record_id}"


def _labels(answer: Any) -> dict[str, str]:
    entries = answer.get("entry") if isinstance(answer, Mapping) else None
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else ():
        content = entry.get("content") if isinstance(entry, Mapping) else None
        label = content.get("label") if isinstance(content, Mapping) else None
        if isinstance(label, str) and isinstance(entry.get("name"), str):
            found[label.lower()] = entry["name"]
    return found
