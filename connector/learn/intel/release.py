"""A newer ATT&CK release beside the catalogue: what it adds and gives up, and its own catalogue for those who go over to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from connector.attack import Catalogue
from connector.attack.generate import FOLDERS, build
from connector.attack.techniques import FACTS, Facts
from connector.errors import ConfigError
from connector.learn.intel.stix import Stix

COLLECTION: Final = "x-mitre-collection"
DOMAIN: Final = "Enterprise ATT&CK"


def read(items: Sequence[Stix]) -> Facts | None:
    """The facts of a whole release of the Enterprise domain; None for any other bundle.

    Raises ``ConfigError`` for one that says that it is a release, and is damaged.
    """
    versions = [item.get("x_mitre_version") for item in items if item.get("type") == COLLECTION]
    named = [item.get("name") for item in items if item.get("type") == COLLECTION]
    if named != [DOMAIN] or not isinstance(versions[0], str):
        return None
    try:
        return build((item for item in items if item.get("type") in FOLDERS), versions[0])
    except (KeyError, TypeError, StopIteration) as error:
        raise ConfigError(f"ATT&CK {versions[0]}: an object of the release lacks {error}") from error


def is_newer(release: Facts, known: Catalogue) -> bool:
    """Whether the release comes after the catalogue's."""
    return _number(release.version) > _number(known.version)


def lines(release: Facts, known: Catalogue) -> Iterator[str]:
    """What changes for who goes over to it: ids that are new, and what became of those that it gave up."""
    live = {one.id for one in release.techniques}
    fresh = [one for one in release.techniques if one.id not in known.techniques]
    lost = [one for one in known.techniques if one not in live]
    yield f"ATT&CK {release.version} has {len(fresh)} techniques that {known.version} lacks, and gave up {len(lost)}"
    for technique in fresh:
        yield f"  new: {technique.id} ({technique.name})"
    for one in lost:
        heirs = ", ".join(release.revoked.get(one, ()))
        yield f"  gone: {one} ({known.techniques[one].name}), {f'now {heirs}' if heirs else 'no successor'}"
    ours, theirs = ({one.shortname for one in tactics} for tactics in (known.tactics.values(), release.tactics))
    if ours != theirs:
        named = [", ".join(sorted(tactics)) or "none" for tactics in (theirs - ours, ours - theirs)]
        yield f"  tactics: new {named[0]}; gone {named[1]}: a policy that names one of these is refused until it is changed"


def write(release: Facts, folder: Path) -> Path:
    """Writes the release's catalogue, and returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS.name).write_bytes(msgspec.json.format(msgspec.json.encode(release), indent=1) + b"\n")
    return folder


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
