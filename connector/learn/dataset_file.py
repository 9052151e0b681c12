"""A dataset on disk: rows as Parquet (zstd), facts as JSON beside them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from connector.errors import ConfigError
from connector.learn.dataset import Dataset, Facts, Row, digest_of

LISTS = ("techniques", "fields")
ROWS, FACTS = "rows.parquet", "dataset.json"


def write(dataset: Dataset, folder: Path) -> None:
    """Writes ``rows.parquet`` and ``dataset.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {name: [getattr(row, name) for row in dataset.rows] for name in Row.__struct_fields__}
    for name in LISTS:
        columns[name] = [list(found) for found in columns[name]]
    types = {**dict.fromkeys(LISTS, pa.list_(pa.string())), "malicious": pa.bool_()}
    schema = pa.schema([(name, types.get(name, pa.string())) for name in Row.__struct_fields__])
    pq.write_table(pa.table(columns, schema=schema), folder / ROWS, compression="zstd")
    (folder / FACTS).write_bytes(msgspec.json.format(msgspec.json.encode(dataset.facts, order="sorted")) + b"\n")


def read(folder: Path) -> Dataset:
    """Reads a dataset back. Raises ``ConfigError`` where the rows are not those that the facts describe."""
    facts = msgspec.json.decode((folder / FACTS).read_bytes(), type=Facts)
    rows = tuple(msgspec.convert(item, Row) for item in pq.read_table(folder / ROWS).to_pylist())
    if digest_of(rows) != facts.digest:
        raise ConfigError(f"{folder / ROWS} is not the dataset that {FACTS} describes")
    return Dataset(rows, facts)
