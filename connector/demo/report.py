"""The demo's report: per host, what was found, how sure, in which event, and the playbook that would run.

Pure: it takes rows and returns text. Names and summaries come from events, so an intruder may have chosen them: they are
printed as text, never as markup, and without control characters.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from connector.attack import catalogue
from connector.ledger.times import moment
from connector.pipeline.entities import IncidentState
from connector.pipeline.entities.chain import tactics_of, techniques_of
from connector.types import Document, Json, Noun

_CONFIDENT = 0.9
_TELLING = (
    ("process", "command_line"),
    ("powershell", "file", "script_block_text"),
    ("service", "name"),
    ("registry", "path"),
    ("dll", "path"),
    ("file", "path"),
    ("dns", "question", "name"),
)
_TELLING_DATA = (
    "CommandLine",
    "ScriptBlockText",
    "Payload",
    "ImagePath",
    "ServiceFileName",
    "TaskName",
    "TargetObject",
    "ImageLoaded",
    "TargetFilename",
    "QueryName",
    "TargetImage",
    "RelativeTargetName",
    "ShareName",
    "DestinationIp",
    "PrivilegeList",
    "TargetUserName",
    "SubjectUserName",
)


class Finding(Noun, frozen=True):
    """One technique seen in one event.

    ``confidence`` is the verdict's, ``probability`` the technique's own, None where the verdict does not list it.
    ``playbook`` is None where none ran. ``votes`` are the members' own probabilities, None of one without a view.
    """

    host: str
    technique: str
    name: str
    confidence: float | None
    event: str
    at: str = ""
    probability: float | None = None
    playbook: str | None = None
    votes: Mapping[str, float | None] = {}


class Found(Noun, frozen=True):
    """A technique on a host: its most confident finding, in how many events it was seen, and the playbooks they run."""

    best: Finding
    events: int
    playbooks: tuple[str, ...] = ()


class Ran(Noun, frozen=True):
    """A playbook that ran, the rule that asked for it, and the event whose verdict met the rule.

    ``confidence`` and ``votes`` are that verdict's.
    """

    playbook: str
    rule: str
    host: str
    event: str
    confidence: float | None
    votes: Mapping[str, float | None] = {}


def strongest(findings: Iterable[Finding]) -> dict[str, list[Found]]:
    """Per host, one row a technique, in the order in which the techniques were first seen (by ``at``)."""
    hosts: dict[str, dict[str, list[Finding]]] = {}
    for finding in sorted(findings, key=lambda finding: finding.at):
        hosts.setdefault(finding.host, {}).setdefault(finding.technique, []).append(finding)
    return {
        host: [
            Found(
                best=max(seen, key=lambda finding: (finding.confidence or 0.0, finding.probability or 0.0)),
                events=len(seen),
                playbooks=tuple(dict.fromkeys(finding.playbook for finding in seen if finding.playbook)),
            )
            for seen in techniques.values()
        ]
        for host, techniques in sorted(hosts.items())
    }


def report(
    findings: Iterable[Finding],
    *,
    steps: tuple[int, int] | None = None,
    incidents: Sequence[IncidentState] = (),
    runs: Sequence[Ran] = (),
) -> RenderableType:
    """One table a host, each incident, and what ran. ``steps``: how many of the planted steps were found, and of how many."""
    hosts = strongest(findings)
    parts: list[RenderableType] = [_table(host, found) for host, found in hosts.items()]
    if not parts:
        parts.append(Text("Nothing was found."))
    if silent := _silent([row.best.votes for found in hosts.values() for row in found]):
        parts.append(Text(f"Without a view of these events, and so without a vote: {', '.join(silent)}.\n"))
    parts += map(incident, sorted(incidents, key=lambda found: found.opened))
    parts += map(ran, runs)
    if steps is not None:
        parts.append(Text(f"{steps[0]} of the {steps[1]} planted steps were tagged with a technique that they show."))
    return Group(*parts)


def incident(found: IncidentState) -> Text:
    """An incident: whose it is, since when, how high the risk was, and how it went on, tactic by tactic."""
    attack = catalogue()
    whose = ", ".join(printable(e.host or e.user or e.address or key) for key, e in found.entities)
    tactics = " → ".join(attack.tactics[tactic].name for tactic in tactics_of(found.steps)) or "no known technique"
    since, newest = (moment(at).isoformat(sep=" ", timespec="seconds") for at in (found.opened, found.newest))
    return Text.assemble(
        ("Incident", "bold red"),
        f" {found.id}: {whose}\n  opened {since}, newest event {newest}; {found.events} events; "
        f"risk {found.peak:.0f}\n  {tactics}\n  {' → '.join(techniques_of(found.steps))}\n",
    )


def ran(found: Ran) -> Text:
    """A playbook that ran: by which rule, on what event, how sure the verdict was and what each member said."""
    return Text.assemble(
        ("Playbook", "bold"),
        f" {printable(found.playbook)} ran on {printable(found.host)}: rule {printable(found.rule)!r}, "
        f"{_figure(found.confidence)} sure\n  {printable(found.event)}",
        f"\n  {votes}\n" if (votes := _votes(found.votes)) else "\n",
    )


def render(
    findings: Iterable[Finding], *, steps: tuple[int, int] | None = None, width: int = 120, color: bool = False
) -> str:
    """The report as text of at most ``width`` columns, with terminal colours or without any escape sequence."""
    stream = io.StringIO()
    console = Console(
        file=stream, width=width, force_terminal=color, no_color=not color, color_system="standard" if color else None
    )
    console.print(report(findings, steps=steps))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines()) + "\n"


def printable(text: str) -> str:
    """The text on one line, without control, format and other invisible characters."""
    folded = " ".join(text.split())
    return "".join(character for character in folded if not unicodedata.category(character).startswith("C"))


def _table(host: str, found: Sequence[Found]) -> Table:
    table = Table(title=Text(printable(host), style="bold"), title_justify="left", expand=True)
    table.add_column("Technique", no_wrap=True)
    table.add_column("Sure", justify="right", no_wrap=True)
    table.add_column("Likely", justify="right", no_wrap=True)
    table.add_column("Events", justify="right", no_wrap=True)
    header = Text("What was seen, in which event → the playbook", overflow="ellipsis", no_wrap=True)
    table.add_column(header, ratio=1)
    for row in found:
        best = row.best
        table.add_row(
            Text(best.technique),
            Text(_figure(best.confidence), style="bold red" if (best.confidence or 0.0) >= _CONFIDENT else "yellow"),
            Text(_figure(best.probability)),
            Text(str(row.events)),
            Group(*_seen(row)),
        )
    return table


def _seen(row: Found) -> Iterator[Text]:
    """A line each of technique, event and playbooks, cut where the table is narrow; the votes are told whole."""
    best = row.best
    yield Text.assemble((best.name, "bold"), overflow="ellipsis", no_wrap=True)
    yield Text(printable(best.event), overflow="ellipsis", no_wrap=True)
    if votes := _votes(best.votes):
        yield Text(votes)
    for name in row.playbooks:
        yield Text(f"→ {name}", overflow="ellipsis", no_wrap=True)


def _votes(votes: Mapping[str, float | None]) -> str:
    """What each member with a view says by itself; nothing of a member that is alone, since its vote is the verdict's."""
    told = [f"{name} {_figure(vote)}" for name, vote in votes.items() if vote is not None]
    return f"votes: {', '.join(told)}" if len(votes) > 1 else ""


def _silent(rows: Sequence[Mapping[str, float | None]]) -> list[str]:
    """The members that have no view of any row."""
    names = dict.fromkeys(name for votes in rows for name in votes)
    return [name for name in names if all(votes.get(name) is None for votes in rows)]


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g}"


def summary(ecs: Document, limit: int = 200) -> str:
    """An event in one line: its code and the field that tells most, cut to ``limit`` characters."""
    data = _at(ecs, "winlog", "event_data") or _at(ecs, "winlog", "user_data") or {}
    telling = next((value for path in _TELLING if isinstance(value := _at(ecs, *path), str)), None) or next(
        (str(data[name]) for name in _TELLING_DATA if data.get(name)), str(ecs.get("message", ""))
    )
    code = _at(ecs, "event", "code")
    return printable(f"{code}: {telling}" if code else telling)[:limit]


def _at(document: Json, *path: str) -> Json:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document
