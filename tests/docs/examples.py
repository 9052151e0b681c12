"""Code and settings as the guides show them, made importable."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).parents[2] / "docs"


def block(page: str, language: str, number: int = 0) -> str:
    """A fenced block of a page, counted from 0 among those of its language."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)[number]


def module(page: str, name: str, folder: Path, number: int = 0) -> ModuleType:
    """A Python block of a page, written to a file of that name and imported under it."""
    file = folder / f"{name}.py"
    file.write_text(block(page, "python", number), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[name] = found
    spec.loader.exec_module(found)
    return found
