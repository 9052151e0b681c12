"""``triaged audit verify|export``: who did what, and the proof that nobody changed it since."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer

from connector import wiring
from connector.cli import options
from connector.errors import ConfigError, PermanentError
from connector.ledger import AuditEntry, chained

app = typer.Typer(help="The audit log: check its chain, and take it elsewhere.", no_args_is_help=True)
FOUND = 1


class Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry as it is exported; ``detail`` stands there byte for byte as it was hashed."""

    seq: int
    at: datetime
    actor: str
    what: str
    detail: msgspec.Raw
    prev: str
    hash: str

    @classmethod
    def of(cls, entry: AuditEntry) -> Line:
        """The line of an entry."""
        detail = msgspec.Raw(entry.detail.encode())
        return cls(entry.seq, entry.at, entry.actor, entry.what, detail, entry.prev, entry.hash)

    @property
    def entry(self) -> AuditEntry:
        """The entry of a line. Raises ``UnicodeDecodeError`` where it is damaged."""
        fields = {name: getattr(self, name) for name in ("seq", "at", "actor", "what", "prev", "hash")}
        return AuditEntry(**fields, detail=bytes(self.detail).decode())


_LINE = msgspec.json.Decoder(Line)


@app.command()
def verify(
    file: Annotated[Path | None, typer.Argument(help="An exported log; default: the ledger's own.")] = None,
    kept: Annotated[
        str | None, typer.Option(help="A hash that you kept: if the chain lacks it, its end was cut off.")
    ] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Check the whole chain, and print the newest hash, to be kept elsewhere. Exits 1 where it is broken."""
    hashes = {kept} - {None}
    with _entries(file, config, secrets_dir) as entries:
        count, newest = _walked(entries, lambda entry: hashes.discard(entry.hash))
    typer.echo(_whole(count, newest))
    if hashes:
        typer.echo(f"the hash {kept} is not in the chain: its end was cut off, or all of it was written anew")
        raise typer.Exit(FOUND)


@app.command()
def export(
    output: Annotated[Path | None, typer.Option(help="A file that is not there yet; default: standard output.")] = None,
    config: options.Config = None,
    secrets_dir: options.Secrets = None,
) -> None:
    """Write the log as JSON lines, oldest first; the newest hash goes to standard error. Exits 1 where it is broken."""
    with _entries(None, config, secrets_dir) as entries, _opened(output) as file:
        count, newest = _walked(entries, lambda entry: file.write(msgspec.json.encode(Line.of(entry)) + b"\n"))
    typer.echo(_whole(count, newest), err=True)


def _walked(entries: Iterable[AuditEntry], told: Callable[[AuditEntry], object]) -> tuple[int, str]:
    """Tells each entry once it is proven; returns how many there are, and the newest hash. A broken chain exits 1."""
    count, newest = 0, "none"
    try:
        for entry in chained(entries):
            told(entry)
            count, newest = entry.seq, entry.hash
    except PermanentError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(FOUND) from error
    return count, newest


def _whole(count: int, newest: str) -> str:
    return f"{count} entries, unbroken; newest hash: {newest}"


@contextmanager
def _entries(file: Path | None, config: Path | None, secrets_dir: Path | None) -> Iterator[Iterable[AuditEntry]]:
    if file is not None:
        yield _read(file)
        return
    with wiring.opened_ledger(options.settings(config, secrets_dir)) as ledger:
        yield ledger.audit_entries()


def _read(path: Path) -> Iterator[AuditEntry]:
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield _LINE.decode(line).entry
                except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
                    raise PermanentError(f"{path}:{number} is no entry of an audit log: {error}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """A file that nothing stands in yet: an export replaces no other."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    try:
        with path.open("xb") as file:
            yield file
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
