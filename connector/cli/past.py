"""What the commands share that ask rules again: the thresholds of then, and what each SOAR offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connector import wiring
from connector.errors import ConfigError
from connector.models import Store
from connector.pipeline.admitting import Uniqueness
from connector.ports import Closes
from connector.resources import shipped
from connector.settings import Settings
from connector.types import ModelRef


class KeptThresholds:
    """The thresholds of the bundle that scored a verdict; those of production where it is gone from the store.

    ``gone`` names the bundles that were asked for and are not there.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = Store(settings.model.store or shipped("model_store"))
        self._production = settings.model.bundle or self._store.production()
        self._found: dict[str, Any] = {}
        self.gone: set[str] = set()

    def __call__(self, model: ModelRef) -> Any:
        """Raises ``ConfigError`` where there is no bundle at all."""
        ref = f"{model.name}/{model.version}"
        if ref not in self._found:
            self._found[ref] = self._thresholds(ref)
        return self._found[ref]

    def _thresholds(self, ref: str) -> Any:
        if ref in self._store.list():
            return self._store.manifest(ref).thresholds
        self.gone.add(ref)
        if self._production is None:
            raise ConfigError(f"neither bundle {ref} nor one in production is in the model store")
        return self._store.manifest(self._production).thresholds


def uniqueness(settings: Settings, soars: Iterable[str]) -> Mapping[str, Uniqueness]:
    """What each SOAR offers against a second run; it is made for that only where its class does not say."""
    found: dict[str, Uniqueness] = {}
    for name in soars:
        config = settings.soars[name]
        stated = getattr(wiring.plugins("triaged.soar")[config.type].soar, "uniqueness", None)
        if stated in {"key", "search", "none"}:
            found[name] = stated
            continue
        adapter = wiring.soar(name, config, wiring.utc_now)
        found[name] = adapter.uniqueness
        if isinstance(adapter, Closes):
            adapter.close()
    return found
