"""Rows as JSON lines and as Parquet: the same rows in the same order, and nothing that has to be unpickled."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import msgspec

from connector.errors import ConfigError
from connector.learn.export.rows import SCHEMA, Row

ROWS_A_GROUP: Final = 1_000
_LISTS: Final = frozenset({"techniques", "tags", "passed"})
_FLAGS: Final = frozenset({"malicious", "conflict"})
_TIMES: Final = frozenset({"scored_at", "changed_at", "observed_at"})


def write_jsonl(rows: Iterable[Row], path: Path) -> tuple[str, int]:
    """A row a line; the file is on the disk when this returns. Gives its SHA-256, which is the labels' digest, and its rows."""
    digest, count = hashlib.sha256(), 0
    encoder = msgspec.json.Encoder(order="deterministic")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        for row in rows:
            line = encoder.encode(row) + b"\n"
            digest.update(line)
            file.write(line)
            count += 1
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest(), count


def read_jsonl(data: bytes, path: Path) -> Iterator[Row]:
    """The rows of a file's bytes. Raises ``ConfigError`` for a line that is none."""
    decoder = msgspec.json.Decoder(Row)
    for number, line in enumerate(io.BytesIO(data), 1):
        try:
            yield decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path}:{number} is no row of an export: {error}") from error


def check_parquet() -> None:
    """Raises ``ConfigError`` where the package that writes Parquet is not installed."""
    if find_spec("pyarrow") is None:
        raise ConfigError("export.parquet needs the extra `train`: pip install 'triaged[train]'")


def write_parquet(rows: Iterable[Row], path: Path) -> str:
    """A column a field, ``event`` as JSON text. Gives the file's SHA-256."""
    import pyarrow as pa  # noqa: PLC0415 - an extra, which exporting JSON lines does not need
    import pyarrow.parquet as pq  # noqa: PLC0415

    kinds = {**dict.fromkeys(_LISTS, pa.list_(pa.string())), **dict.fromkeys(_FLAGS, pa.bool_())}
    kinds |= dict.fromkeys(_TIMES, pa.timestamp("us", "UTC")) | {"run": pa.int64(), "confidence": pa.float64()}
    fields = [(name, kinds.get(name, pa.string())) for name in Row.__struct_fields__]
    schema = pa.schema(fields, metadata={"triaged.export.schema": str(SCHEMA)})
    with (
        os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        for group in _grouped(rows):
            columns = {name: [_cell(getattr(row, name)) for row in group] for name in Row.__struct_fields__}
            writer.write_table(pa.table(columns, schema=schema))
    with path.open("rb") as written:
        os.fsync(written.fileno())
        return hashlib.file_digest(written, "sha256").hexdigest()


def _grouped(rows: Iterable[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_A_GROUP:
            yield group
            group = []
    if group:
        yield group


def _cell(value: object) -> object:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode()
    return list(value) if isinstance(value, tuple) else value
