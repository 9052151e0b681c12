"""Trained members beside a text bundle, as one bundle: its files stay byte for byte, its manifest tells of all members."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from connector.errors import ConfigError
from connector.learn.corpora.source import Source as Upstream
from connector.learn.training.card import ALONE
from connector.learn.training.members import Report, TrainedMember
from connector.learn.training.served import free
from connector.models.ensemble import TEXT
from connector.models.integrity import MANIFEST
from connector.models.manifest import Calibration, Dataset, Manifest, Source, Thresholds, seal
from connector.models.sequence import vocabulary
from connector.models.store import Store
from connector.ports import Evidence, MemberSpec

SEQUENCE: Final = "sequence"
"""The kind of member that reads the text member's columns by their place."""

CARD: Final = "README.md"
HEADING: Final = "\n## Members\n\n"
MEMBERS, ENSEMBLE = "members", "ensemble"
"""Where the manifest's metrics tell of each member, and of how they are combined."""

RECORDS: Final = "source_records"
"""A member's sources as it read them: the bundle's list has one record a name, which may be of another commit."""

MOST_BYTES: Final = 40_000_000
"""What a bundle may weigh: it ships inside the package."""


class Bundled(msgspec.Struct, frozen=True, kw_only=True):
    """What a new bundle says of itself beside what its base and its members say."""

    name: str
    version: str
    calibration: Calibration
    thresholds: Thresholds
    metrics: Mapping[str, Any]


EVIDENCE: Final[Mapping[str, Evidence]] = {"payload": "found", "flow": "none"}
"""What a member's vote adds, by its kind, where it is not the whole: what is not taught by recordings of hosts.

Payloads are taught by attacks on web applications: a value that is none of these says nothing of what else a host does.
Flows are taught by one network, and on others they rank attacks no better than chance (docs/flow.md).
"""


def assemble(
    store: Path,
    base: str,
    members: Sequence[TrainedMember],
    bundled: Bundled,
    *,
    output: Path,
    pins: Mapping[str, Upstream],
) -> Path:
    """Writes the bundle and returns its folder.

    What else stands in the base beside its text member is left behind. Raises ``ConfigError`` for a base without a text
    member, a member named twice or trained with another text member, a source that may not train, a version that exists, and
    a bundle that would weigh too much.
    """
    origin = Store(store)
    if problems := origin.verify(base):
        raise ConfigError(f"bundle {base} is refused: {'; '.join(problems)}")
    before = text_alone(origin.manifest(base))
    _check(before, members, pins)
    others = {spec.directory for spec in origin.manifest(base).members} - {before.members[0].directory}
    folder = free(output, bundled.name, bundled.version)
    try:
        shutil.copytree(origin.directory(base), folder, ignore=shutil.ignore_patterns(MANIFEST, CARD, *others))
        for member in members:
            for path in member.files():
                place = folder / member.spec.directory / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(member.folder / path, place)
        manifest = _manifest(before, members, bundled)
        told = (origin.directory(base) / CARD).read_text("utf-8").partition(HEADING)[0]
        told = told.replace(f"# {before.name} {before.version}", f"# {bundled.name} {bundled.version}", 1)
        (folder / CARD).write_text(told.replace(ALONE, "", 1) + _card(before, members))
        seal(folder, manifest)
        _weigh(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def text_alone(manifest: Manifest) -> Manifest:
    """The manifest as it is without other members. Raises ``ConfigError`` where there is no text member."""
    text = next((spec for spec in manifest.members if spec.name == TEXT), None)
    if text is None:
        raise ConfigError(f"bundle {manifest.ref} has no text member")
    return msgspec.structs.replace(
        manifest,
        labels=text.labels,
        members=(text,),
        calibration=manifest.calibration_alone,
        dataset=_dataset(manifest.dataset, manifest.sources_alone),
        thresholds=manifest.thresholds_alone,
        text_thresholds=msgspec.UNSET,
        metrics={name: found for name, found in manifest.metrics.items() if name not in {MEMBERS, ENSEMBLE}},
    )


def carried(store: Store, ref: str, name: str) -> TrainedMember:
    """A member as it stands in a bundle, to stand in another: its files, and what the manifest tells of it."""
    manifest = store.manifest(ref)
    spec = next(spec for spec in manifest.members if spec.name == name)
    told = dict(manifest.metrics[MEMBERS][name])
    named = told.pop("sources")
    own = [source for source in manifest.dataset.sources if source.name in named]
    report = Report(
        recipe=told.pop("recipe"),
        dataset=told.pop("dataset"),
        sources=msgspec.convert(told.pop(RECORDS, own), tuple[Source, ...]),
        rows=told.pop("rows"),
        metrics=told,
    )
    return TrainedMember(store.directory(ref) / spec.directory, spec, report)


def _weigh(folder: Path) -> None:
    if (weight := sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())) > MOST_BYTES:
        raise ConfigError(f"the bundle weighs {weight:,} bytes, more than {MOST_BYTES:,}")


def may_ship(members: Sequence[TrainedMember], pins: Mapping[str, Upstream]) -> None:
    """Raises ``ConfigError`` for a member that was trained on what may not train."""
    closed = sorted(
        {
            source.name
            for member in members
            for source in member.report.sources
            if source.name not in pins or not pins[source.name].may_train
        }
    )
    if closed:
        raise ConfigError(f"a member was trained on {', '.join(closed)}, which may not train what ships")


def _check(before: Manifest, members: Sequence[TrainedMember], pins: Mapping[str, Upstream]) -> None:
    names = [TEXT, *(member.spec.name for member in members)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"members are given twice: {', '.join(twice)}")
    may_ship(members, pins)
    text = before.members[0].labels
    for member in members:  # serving can count the columns of the text member, not tell their order
        if member.spec.kind == SEQUENCE and vocabulary.read(member.folder).text != text:
            raise ConfigError(
                f"member {member.spec.name!r} was trained with a text member of other labels, or another order"
            )


def _manifest(before: Manifest, members: Sequence[TrainedMember], bundled: Bundled) -> Manifest:
    labels = {label for member in members for label in member.spec.labels}
    found = {source.name: source for member in members for source in member.report.sources}
    sources = tuple(sorted((found | {one.name: one for one in before.dataset.sources}).values(), key=_name))
    told: dict[str, Any] = {TEXT: {"sources": [source.name for source in before.dataset.sources]}}
    told |= {
        member.spec.name: {
            "dataset": member.report.dataset,
            "rows": dict(member.report.rows),
            "sources": [source.name for source in member.report.sources],
            RECORDS: [msgspec.to_builtins(source) for source in member.report.sources],
            "recipe": dict(member.report.recipe),
            **member.report.metrics,
        }
        for member in members
    }
    return msgspec.structs.replace(
        before,
        name=bundled.name,
        version=bundled.version,
        created=datetime.now(UTC).replace(microsecond=0),
        labels=(*before.labels, *sorted(labels - set(before.labels))),
        members=(*before.members, *(_weighed(member.spec) for member in members)),
        dataset=_dataset(before.dataset, sources),
        calibration=bundled.calibration,
        thresholds=bundled.thresholds,
        text_thresholds=before.thresholds,
        metrics={
            **before.metrics,
            MEMBERS: told,
            ENSEMBLE: dict(bundled.metrics),
        },
        files={},
        train_fingerprints=before.train_fingerprints,
    )


def _weighed(spec: MemberSpec) -> MemberSpec:
    return msgspec.structs.replace(spec, evidence=EVIDENCE.get(spec.kind, spec.evidence))


def _dataset(before: Dataset, sources: tuple[Source, ...]) -> Dataset:
    """A dataset with other sources: of a bundle those of every member, since a licence asks to be named whoever learnt from it."""
    return msgspec.structs.replace(before, sources=sources)


def _name(source: Source) -> str:
    return source.name


def _card(before: Manifest, members: Sequence[TrainedMember]) -> str:
    lines = [
        HEADING,
        f"The text member is that of `{before.ref}`, byte for byte; all above is said of it. Beside it stand:\n\n",
        "| member | kind | labels | trained on | licences |\n|---|---|---|---|---|\n",
    ]
    for member in members:
        sources, spec = member.report.sources, member.spec
        licences = ", ".join(sorted({source.licence for source in sources}))
        names = ", ".join(f"{source.name} @{source.commit}" for source in sources)
        lines.append(f"| {spec.name} | {spec.kind} | {len(spec.labels)} | {names} | {licences} |\n")
    authors = {source.name: source.authors for member in members for source in member.report.sources if source.authors}
    lines += ["\n", *(f"- {name}: {by}\n" for name, by in sorted(authors.items()))]
    lines.append("\nHow they are measured together: `triaged evaluate ensemble`, and docs/ensemble.md.\n")
    return "".join(lines)
