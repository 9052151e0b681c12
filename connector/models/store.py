"""The model store: ``<bundle>/<version>/`` folders, ``production.json``, which names the one in use, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from connector.attack import catalogue
from connector.attack.techniques import FACTS, FOLDER, Facts
from connector.errors import ConfigError
from connector.events import CANONICAL_VERSIONS
from connector.models import fingerprints, integrity, manifest as manifests, neighbours, reference
from connector.models.bundle import Bundle
from connector.models.cpus import usable
from connector.models.ensemble import TEXT
from connector.models.manifest import NAME, Manifest
from connector.models.promotions import Change, Production, Promotions, promoted
from connector.ports import Member, MemberFactory, MemberPlugin, MemberSpec

GROUP = "triaged.member"


class Store:
    """A folder of bundles. Everything that is opened was verified first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._promotions = Promotions(path)

    def list(self) -> list[str]:
        """Every ``name/version`` that has a manifest, sorted."""
        found = (file.parent for file in self._path.glob(f"*/*/{integrity.MANIFEST}"))
        return sorted(folder.relative_to(self._path).as_posix() for folder in found)

    def manifest(self, ref: str) -> Manifest:
        """A bundle's manifest, its files unread. Raises ``ConfigError``."""
        manifest = manifests.read(self.directory(ref))
        if manifest.ref != ref:
            raise ConfigError(
                f"{self.directory(ref)} holds a manifest of {manifest.ref}: the folder was moved or copied"
            )
        return manifest

    def verify(self, ref: str) -> tuple[str, ...]:
        """What is wrong with a bundle, every file hashed; empty where nothing is. Raises ``ConfigError`` for no bundle."""
        manifest = self.manifest(ref)
        return (
            *integrity.problems(self.directory(ref), manifest.files),
            *_other_canonical_forms(manifest),
            *_other_catalogue(manifest),
        )

    def production(self) -> str | None:
        """The bundle in production, or None where none was promoted yet."""
        state = self._promotions.production()
        return None if state is None else state.bundle

    def history(self) -> Sequence[Change]:
        """Every promotion and roll-back, oldest first. Raises ``ConfigError``."""
        return self._promotions.history()

    def open(
        self,
        ref: str | None = None,
        threads: int = 0,
        *,
        cache_entries: int = 200_000,
        kinds: Mapping[str, MemberPlugin] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        explains: bool = False,
    ) -> Bundle:
        """The bundle, ready to predict; without ``ref`` the one in production.

        ``threads`` a member, 0 for as many as this process may use CPUs; ``kinds`` are the known member plug-ins, by default the installed ones;
        ``options`` are the site's own, by kind of member, over those of the manifest; ``explains``: predictions that
        somebody will look at say why (``Bundle.explain`` always does).
        Raises ``ConfigError`` where it is not what its manifest says, or this installation cannot run it.
        """
        wanted = ref or self.production()
        if wanted is None:
            raise ConfigError(f"no bundle is in production in {self._path}; it has: {', '.join(self.list()) or 'none'}")
        manifest = self.manifest(wanted)
        if problems := self.verify(wanted):
            raise ConfigError(f"bundle {wanted} is refused: {'; '.join(problems)}")
        directory = self.directory(wanted)
        known = installed_kinds() if kinds is None else kinds
        own = options or {}
        if strangers := sorted(own.keys() - {spec.kind for spec in manifest.members}):
            raise ConfigError(
                f"bundle {wanted} has no member of kind {', '.join(strangers)}, for which there are settings"
            )
        for spec in manifest.members:
            if spec.kind not in known:
                raise ConfigError(
                    f"bundle {wanted}: member {spec.name!r} is of kind {spec.kind!r}; known kinds are: {', '.join(sorted(known))}"
                )
        seen = manifest.train_fingerprints
        return Bundle(
            manifest,
            [
                _member(known[spec.kind].member, _with(spec, own.get(spec.kind)), directory, threads or usable())
                for spec in manifest.members
            ],
            cache_entries=cache_entries,
            trained_on=None if seen is None else fingerprints.read(directory / seen),
            examples=neighbours.read(directory),
            explains=explains,
            attacks=_attacks(manifest, directory),
        )

    def promote(
        self,
        ref: str,
        *,
        who: str = "",
        why: str = "",
        gate: str | None = None,
        override: bool = False,
        expected: str | msgspec.UnsetType | None = msgspec.UNSET,
    ) -> None:
        """Puts a bundle in production in one step, and into the history; nothing where it is there already.

        ``gate`` is the SHA-256 of the gate's report; ``expected`` is what must be in production, as the gate found it.
        Raises ``ConfigError`` where it is not, and where the bundle does not verify.
        """
        if problems := self.verify(ref):
            raise ConfigError(f"bundle {ref} is not promoted: {'; '.join(problems)}")
        with self._promotions.changing():
            before = self.production()
            if expected not in {msgspec.UNSET, before}:
                raise ConfigError(
                    f"bundle {ref} is not promoted: meanwhile {before} was put in production in place of {expected}"
                )
            if before != ref:
                change = self._change("promote", ref, before, who=who, why=why)
                change = msgspec.structs.replace(change, gate=gate, override=override)
                self._promotions.put(Production(bundle=ref, previous=before, change=change))

    def rollback(self, *, who: str = "", why: str = "") -> str:
        """Puts the bundle that was in production before the present one back, and returns it.

        Raises ``ConfigError`` where there was none, or it does not verify any more.
        """
        with self._promotions.changing():
            *earlier, present = promoted(self._promotions.production(), self._promotions.history()) or [""]
            if not earlier:
                raise ConfigError(f"nothing was in production before {present or 'any bundle'} in {self._path}")
            *lower, wanted = earlier
            if problems := self.verify(wanted):
                raise ConfigError(f"bundle {wanted} is not put back: {'; '.join(problems)}")
            change = self._change("rollback", wanted, present, who=who, why=why)
            self._promotions.put(Production(bundle=wanted, previous=lower[-1] if lower else None, change=change))
        return wanted

    def directory(self, ref: str) -> Path:
        """Where a bundle lies. Raises ``ConfigError`` for a name that is not ``name/version``."""
        name, _, version = ref.partition("/")
        if not (NAME.fullmatch(name) and NAME.fullmatch(version)):
            raise ConfigError(f"{ref!r} is not name/version; {self._path} has: {', '.join(self.list()) or 'none'}")
        return self._path / name / version

    def _change(
        self, action: Literal["promote", "rollback"], bundle: str, before: str | None, *, who: str, why: str
    ) -> Change:
        number = max((change.number for change in self.history()), default=0) + 1
        return Change(
            number=number, action=action, bundle=bundle, before=before, at=datetime.now(UTC), who=who, why=why
        )


def installed_kinds() -> dict[str, MemberPlugin]:
    """The member plug-ins that are installed, by the kind that a manifest names. Raises ``ConfigError``."""
    kinds: dict[str, MemberPlugin] = {}
    for point in entry_points(group=GROUP):
        plugin = point.load()
        if not isinstance(plugin, MemberPlugin):
            raise ConfigError(f"entry point {point.name!r} of {GROUP} is not a MemberPlugin: {point.value}")
        kinds[point.name] = plugin
    return kinds


def _with(spec: MemberSpec, options: Mapping[str, Any] | None) -> MemberSpec:
    return msgspec.structs.replace(spec, options={**spec.options, **options}) if options else spec


def _member(factory: MemberFactory, spec: MemberSpec, directory: Path, threads: int) -> Member:
    return factory(spec, directory / spec.directory, threads)


def _attacks(manifest: Manifest, directory: Path) -> NDArray[np.float64] | None:
    """The bundle's attack reference, in the columns of its text member."""
    text = next((spec for spec in manifest.members if spec.name == TEXT), None)
    return None if text is None else reference.read(directory, len(text.labels))


def _other_catalogue(manifest: Manifest) -> list[str]:
    """The version of ATT&CK whose ids its labels are, where this installation reads another one's."""
    spoken, here = manifest.attack_version, catalogue().version
    if spoken == here:
        return []
    packaged = msgspec.json.decode(FACTS.read_bytes(), type=Facts).version
    way = f"unset {FOLDER}" if spoken == packaged else f"name the folder of {spoken}'s catalogue in {FOLDER}"
    return [f"its labels are ids of ATT&CK {spoken}, and the catalogue here is of {here}: {way}"]


def _other_canonical_forms(manifest: Manifest) -> list[str]:
    """Kinds whose canonical form is no longer the one that the members were trained on."""
    return [
        f"events of kind {kind} are read in another canonical form than the bundle was trained on: train it again"
        for kind, digest in sorted(manifest.canonical_versions.items())
        if CANONICAL_VERSIONS.get(kind, digest) != digest
    ]
