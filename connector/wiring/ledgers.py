"""The ledger, and what is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.errors import ConfigError
from connector.learn.export import Export, LabelMap, Machines
from connector.ledger import Ledger, open_ledger
from connector.ports import Clock
from connector.retries import retrying
from connector.settings import Settings
from connector.wiring.keys import long_enough
from connector.wiring.production import utc_now


def prepared(folder: Path) -> None:
    """Makes the data directory. Raises ``ConfigError`` where that cannot be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"data_dir {folder} cannot be made: {error.strerror}") from error


def ledger_url(settings: Settings) -> str:
    """The configured URL, or SQLite in the data directory."""
    if settings.ledger.url is not None:
        return settings.ledger.url.get_secret_value()
    return f"sqlite:///{settings.data_dir / 'ledger.sqlite'}"


@contextmanager
def opened_ledger(settings: Settings) -> Iterator[Ledger]:
    """The ledger alone, for commands that need nothing else."""
    prepared(settings.data_dir)
    ledger = retrying()(open_ledger, ledger_url(settings), utc_now)
    try:
        yield ledger
    finally:
        ledger.close()


def exporter(settings: Settings, ledger: Ledger, clock: Clock) -> Export | None:
    """The export of closed alerts; None without a key. Raises ``ConfigError`` for a key that could be guessed."""
    export = settings.export
    if export.key is None:
        return None
    return Export(
        ledger,
        export.folder or settings.data_dir / "export",
        key=long_enough(export.key.get_secret_value().encode(), "export.key"),
        clock=clock,
        labels=LabelMap.of(export),
        machines=Machines.of(export),
        queries={
            name: hashlib.sha256(f"{name}\0{config.model_dump_json()}".encode()).hexdigest()[:16]
            for name, config in settings.histories.items()
        },
        parquet=export.parquet,
    )
