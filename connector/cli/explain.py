"""``triaged policy explain``: what each rule says of an event, and what would be let through now."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from connector import events, wiring
from connector.cli import options
from connector.cli.past import KeptThresholds, uniqueness
from connector.cli.simulate import Output
from connector.cli.tables import show
from connector.errors import ConfigError
from connector.ledger import Ledger
from connector.models import Bundle
from connector.pipeline.admitting import context_of
from connector.policy import DecisionContext, Enrichment, Policy, Refuse, Wait, admit, decide
from connector.policy.decide import facts_of, proposals
from connector.policy.facts import Facts, facts_again
from connector.policy.matching import matching
from connector.policy.tried import Tried, tried
from connector.settings import Settings
from connector.siem.files import open_paths
from connector.types import Action, Event, Noun, Verdict, VerdictName

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Explanation(Noun, frozen=True):
    """One event. ``now``: what admission would say of its action now; ``then``: what became of it, if it was queued."""

    event_id: str
    verdict: VerdictName
    p_malicious: float | None
    listed: str | None
    rules: tuple[Tried, ...]
    action: str | None
    now: str
    then: str


def explain(
    event: Annotated[
        str, typer.Argument(help="The id of an event with a verdict, a file of raw events, or - for stdin.")
    ],
    output: Annotated[Output, typer.Option(help="Tables, or one JSON document an event.")] = Output.TABLE,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Say which rules an event was tried on, what each missed, and what would be let through now. Nothing is started."""
    settings = options.settings(config, secrets_dir)
    policy = wiring.load_policy(settings)
    wiring.check_policy(policy, settings)
    with wiring.opened_ledger(settings) as ledger, _judged(event, settings, policy, ledger) as judged:
        explainer = _Explainer(settings, policy, ledger)
        for verdict, facts in judged:
            explanation = explainer.of(verdict, facts)
            if output is Output.JSON:
                sys.stdout.write(msgspec.json.encode(explanation).decode() + "\n")
            else:
                _print(explanation)


class _Explainer:
    """The policy, and all that admission reads."""

    def __init__(self, settings: Settings, policy: Policy, ledger: Ledger) -> None:
        self._policy = policy
        self._ledger = ledger
        self._enrichment = wiring.load_enrichment(settings)
        self._uniqueness = uniqueness(settings, policy.soars)

    def of(self, verdict: Verdict, facts: Facts) -> Explanation:
        """The explanation of an event, as if its action was proposed now."""
        proposed = proposals(matching(facts, self._policy), verdict, facts.at)
        action = proposed[0] if proposed else None
        past = self._ledger.past_actions(action.soar, [action.key]) if action else {}
        then = next((f"{was.state}{was.reason and f': {was.reason}'}" for was in past.values()), "never queued")
        return Explanation(
            event_id=verdict.event_id,
            verdict=verdict.verdict,
            p_malicious=verdict.confidence,
            listed=facts.listed,
            rules=tried(facts, self._policy),
            action=action.key if action else None,
            now=self._admitted(action) if action else "nothing is proposed",
            then=then if action else "",
        )

    def _admitted(self, action: Action) -> str:
        with self._ledger.looking() as books:
            known = self._enrichment.known(action.entity)
            unique = self._uniqueness[action.soar]
            context = context_of(books, action, self._policy, known, bundle_ready=True, uniqueness=unique)
            now = datetime.now(UTC)
            # its key is that of then; whether it was too old by now is no question
            decision = admit(msgspec.structs.replace(action, proposed_at=now), context, self._policy, now)
        if isinstance(decision, Refuse):
            return f"refuse: {decision.reason}"
        if isinstance(decision, Wait):
            return f"wait until {decision.until.isoformat(timespec='seconds')}: {decision.reason}"
        return f"run {action.playbook} on {action.soar}"


@contextmanager
def _judged(
    event: str, settings: Settings, policy: Policy, ledger: Ledger
) -> Iterator[Iterator[tuple[Verdict, Facts]]]:
    """The events that are meant: verdicts of the ledger, or raw events that are scored now."""
    if event != "-" and not Path(event).is_file():
        yield _recorded(event, settings, ledger)
        return
    bundle = wiring.open_bundle(settings)
    try:
        with _as_file(event) as path:
            yield _scored(path, bundle, wiring.load_enrichment(settings), policy)
    finally:
        bundle.close()


def _recorded(event_id: str, settings: Settings, ledger: Ledger) -> Iterator[tuple[Verdict, Facts]]:
    verdict = ledger.verdict(event_id, 1) if _ID.fullmatch(event_id) else None
    if verdict is None:
        raise ConfigError(f"{event_id!r} is neither a file nor the id of an event with a verdict in the ledger")
    thresholds = KeptThresholds(settings)
    yield verdict, facts_again(verdict, thresholds(verdict.model), datetime.now(UTC))


def _scored(path: Path, bundle: Bundle, enrichment: Enrichment, policy: Policy) -> Iterator[tuple[Verdict, Facts]]:
    """Each event alone: members with state begin from none."""
    now = datetime.now(UTC)
    batch = DecisionContext(
        now=now, model=bundle.model, thresholds=bundle.thresholds, members=len(bundle.members), origin_key=None
    )
    for raw in open_paths([path]):
        event: Event = events.normalise(raw)
        (prediction,), _ = bundle.predict([event], {member: {} for member in bundle.state_keys([event])})
        context = enrichment.context(event, batch)
        yield decide(event, prediction, context, policy).verdict, facts_of(event, prediction, context)


@contextmanager
def _as_file(event: str) -> Iterator[Path]:
    """The file, or standard input as one: a format is told from what a file holds."""
    if event != "-":
        yield Path(event)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def _print(told: Explanation) -> None:
    p = "none" if told.p_malicious is None else f"{told.p_malicious:.4f}"
    listed = f", on the {told.listed} list" if told.listed else ""
    typer.echo(f"{told.event_id}: {told.verdict}, p_malicious {p}{listed}")
    show(
        ("rule", "mode", "playbook", "outcome"),
        [(one.rule, one.mode, one.playbook, _outcome(one)) for one in told.rules],
    )
    typer.echo(f"now: {told.now}")
    if told.then:
        typer.echo(f"on record: {told.then}")


def _outcome(one: Tried) -> str:
    if one.decides:
        return "decides"
    return f"missed {'; '.join(one.missed)}" if one.missed else "matches too, too late"
