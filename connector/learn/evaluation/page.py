"""``evaluation.html``: one page that holds everything it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from connector.learn.evaluation import plots
from connector.learn.evaluation.bootstrap import Interval
from connector.learn.evaluation.result import Evaluation, Techniques

_STYLE = (
    "body{font:14px/1.45 sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:.6rem 0 1.4rem}td,th{border:1px solid #ccc;padding:.2rem .5rem;text-align:left}"
    "th{background:#f3f3f3}.missed{color:#a00}.met{color:#060}svg{max-width:34rem;height:auto}"
)
_MOST_LINES = 6
LABELS = 40
"""Techniques that the table of one source shows; the rest stand in the JSON."""


def written(found: Evaluation) -> str:
    """The whole page."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(found.bundle)}</title><style>{_STYLE}</style>",
        f"<h1>Evaluation of {escape(found.bundle)}</h1>",
        f"<p>Dataset {found.dataset[:12]}, {found.folds} folds, {found.seconds:.0f} s. Intervals are 95% by group bootstrap.</p>",
        "<p>Never pooled: each line is one source and one label basis, unless it says otherwise.</p>",
        *_targets(found),
        *_techniques(found),
        *_malice(found),
        *_streams(found),
        *_calibration(found),
        "</html>\n",
    ]
    return "\n".join(parts)


def _targets(found: Evaluation) -> Iterator[str]:
    yield "<h2>Targets</h2>"
    rows = [
        (
            t.name,
            t.wanted,
            t.measured,
            t.at_random,
            f"<span class={'met' if t.met else 'missed'}>{'met' if t.met else 'missed'}</span>",
        )
        for t in found.targets
    ]
    yield _table(("target", "wanted", "measured", "random rows", ""), rows, html=(4,))
    yield f"<p>Leaks between training and test: {escape('; '.join(found.leaks)) or 'none'}.</p>"


def _techniques(found: Evaluation) -> Iterator[str]:
    yield "<h2>Techniques</h2><p>The parent technique. By file: the mean over a file's events.</p>"
    head = ("suite", "model", "source", "basis", "events", "files")
    tops = ("top-1", "top-3", "top-5", "file hit@1", "hit@3", "hit@5", "micro-F1", "macro-F1", "file macro-F1")
    rows = [
        (
            *_place(entry),
            str(entry.events.top1.rows),
            str(entry.files.top1.rows),
            *(_short(each) for side in (entry.events, entry.files) for each in (side.top1, side.top3, side.top5)),
            *(_short(each) for each in (entry.event_f1.micro, entry.event_f1.macro, entry.file_f1.macro)),
        )
        for entry in found.techniques
    ]
    yield _table((*head, *tops), rows)
    for name in sorted({entry.source for entry in found.techniques}):
        values = {f"{e.suite}: {e.model}, {e.basis}": e.files.top1 for e in found.techniques if e.source == name}
        yield plots.bars(f"{name}: right first technique by file", "share", values)
    for entry in found.techniques:
        if entry.model in {"bundle", "text"}:
            yield from _details(entry)


def _details(entry: Techniques) -> Iterator[str]:
    yield f"<h3>{escape(', '.join(_place(entry)))}</h3>"
    few = ", ".join(f"{name} ({files})" for name, files in entry.event_f1.few.items())
    yield f"<p>F1 over {entry.event_f1.labels} techniques of 5 or more files. Fewer files: {escape(few) or 'none'}.</p>"
    rows = [
        (
            label.technique,
            str(label.rows),
            str(label.files),
            *(f"{x:.2f}" for x in (label.precision, label.recall, label.f1)),
        )
        for label in entry.table[:LABELS]
    ]
    yield _table(("technique", "rows", "files", "precision", "recall", "F1"), rows)
    pairs = [(pair.wanted, pair.guessed, str(pair.files), str(pair.rows)) for pair in entry.confusions]
    yield _table(("wanted", "taken for", "files", "rows"), pairs)


def _malice(found: Evaluation) -> Iterator[str]:
    yield "<h2>Malicious against benign, within one kind of event</h2>"
    rows = [
        (e.suite, e.model, e.kind, str(e.malicious), str(e.benign), _short(e.auc), _short(e.average_precision))
        for e in found.separation
    ]
    yield _table(("suite", "model", "kind", "malicious", "benign", "AUC", "average precision"), rows)
    for suite, model in dict.fromkeys((e.suite, e.model) for e in found.separation):
        here = [e for e in found.separation if (e.suite, e.model) == (suite, model)]
        most = sorted(here, key=lambda e: -min(e.malicious, e.benign))[:_MOST_LINES]
        yield plots.lines(f"{suite}: {model}", ("recall", "precision"), {e.kind: e.curve for e in most})
    yield "<h2>Flagged per 10,000</h2><p>Recall where malicious, false alarms where benign.</p>"
    levels = sorted({level for entry in found.flagged for level in entry.levels})
    flagged = [
        (*_place(e), "malicious" if e.malicious else "benign", *(_short(e.levels[level], 0) for level in levels))
        for e in found.flagged
    ]
    yield _table(("suite", "model", "source", "basis", "rows are", *levels), flagged)


def _streams(found: Evaluation) -> Iterator[str]:
    yield "<h2>Whole streams of left-out sites</h2><p>False alarms per 10,000 background events, level malicious.</p>"
    rows = [
        (e.model, e.basis, str(e.every["malicious"].rows), _short(e.every["malicious"], 1),
         str(e.absent["malicious"].rows), _short(e.absent["malicious"], 1))
        for e in found.background
    ]  # fmt: skip
    yield _table(("model", "site", "events", "all", "absent from training", "of these"), rows)
    for entry in found.background:
        if entry.basis.startswith("every") and entry.model == "text":
            hosts = [(host, str(events), str(alarms)) for host, events, alarms in entry.hosts]
            yield _table(("host", "events absent from training", "flagged"), hosts)
    yield "<p>Recordings with at least one flagged event of the attack's process tree.</p>"
    levels = sorted({level for entry in found.recordings for level in entry.levels})
    shares = [
        (e.model, *(_short(e.levels[level]) if level in e.levels else "" for level in levels), ", ".join(e.missed))
        for e in found.recordings
    ]
    yield _table(("model", *levels, "missed at malicious"), shares)


def _calibration(found: Evaluation) -> Iterator[str]:
    yield "<h2>Calibration</h2><p>Equal-mass ECE, 10 bins, groups weigh the same; malicious at prior 0.5.</p>"
    rows = [
        (*_place(e), e.head, _short(e.ece, 3), f"{e.perfect:.3f}", f"{e.perfect_by_group:.3f}", f"{e.excess:.3f}", _short(e.brier_skill))
        for e in found.calibration
    ]  # fmt: skip
    head = ("suite", "model", "source", "basis", "head", "ECE", "perfect", "perfect by group", "excess", "Brier skill")
    yield _table(head, rows)
    for head_name in ("malicious", "technique"):
        series = {
            f"{e.suite}: {e.model}": e.bins
            for e in found.calibration
            if e.head == head_name and e.source == "every source"
        }
        yield plots.reliability(f"{head_name}, every source", series)
    stated = [(e.suite, e.model, e.level, f"{e.stated:g}", _short(e.observed, 1)) for e in found.stated]
    yield _table(("suite", "model", "level", "stated per 10,000", "observed"), stated)


def _place(entry: object) -> tuple[str, ...]:
    return tuple(str(getattr(entry, name)) for name in ("suite", "model", "source", "basis"))


def _short(seen: Interval, digits: int = 2) -> str:
    return f"{seen.value:.{digits}f} [{seen.low:.{digits}f}, {seen.high:.{digits}f}]"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], html: tuple[int, ...] = ()) -> str:
    lines = ["<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for row in rows:
        cells = (cell if place in html else escape(cell) for place, cell in enumerate(row))
        lines.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join([*lines, "</table>"])
