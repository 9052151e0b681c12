"""Rows of a CSV file with a header, or of a TOML array of tables."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from connector.errors import ConfigError

Row: TypeAlias = Mapping[str, Any]
Model = TypeVar("Model", bound=BaseModel)


def rows(path: Path, table: str) -> Iterator[tuple[str, Row]]:
    """(place, row) of each row; a TOML file holds them as ``[[table]]``. Raises ``ConfigError``."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            yield from _csv(path, text)
        elif path.suffix.lower() == ".toml":
            yield from _toml(path, text, table)
        else:
            raise ConfigError(f"{path}: neither .csv nor .toml")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (RecursionError, ValueError) as error:
        raise ConfigError(f"{path} is neither CSV nor TOML in UTF-8: {error}") from error


def checked(model: type[Model], row: Row, place: str) -> Model:
    """The row as a model. Raises ``ConfigError`` with every problem and its place."""
    try:
        return model.model_validate(row)
    except ValidationError as error:
        known = ", ".join(model.model_fields)
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'row'}: "
            + (f"unknown; columns are: {known}" if problem["type"] == "extra_forbidden" else problem["msg"])
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigError(f"{place}: {problems}") from error


def _csv(path: Path, text: str) -> Iterator[tuple[str, Row]]:
    """Empty cells are absent."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        if len(set(header)) < len(header) or not all(header):
            raise ConfigError(f"{path}:1: the header must name each column, and each once")
        for cells in reader:
            place = f"{path}:{reader.line_num}"
            if len(cells) > len(header):
                raise ConfigError(f"{place}: {len(cells)} cells under {len(header)} columns")
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=False) if cell.strip()}
            if row:
                yield place, row
    except csv.Error as error:
        raise ConfigError(f"{path}:{reader.line_num}: {error}") from error


def _toml(path: Path, text: str, table: str) -> Iterator[tuple[str, Row]]:
    document = tomllib.loads(text)
    if strangers := sorted(document.keys() - {table}):
        raise ConfigError(f"{path}: unknown: {', '.join(strangers)}; the file holds [[{table}]] alone")
    found = document.get(table, [])
    for number, row in enumerate(found if isinstance(found, list) else [found], 1):
        if not isinstance(row, dict):
            raise ConfigError(f"{path}: {table} {number} is no table; write [[{table}]]")
        yield f"{path}: {table} {number}", row
