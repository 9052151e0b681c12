"""What is written about installing holds: extras exist, the image finds settings and secrets, `make lock` says what it needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests import environment

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "deploy/README.md", "deploy/Dockerfile"])
def test_what_is_installed_is_the_built_wheel_with_extras_that_exist(name: str) -> None:
    (extras,) = re.findall(r"\.whl\)?\[([a-z,]+)\]", text(name))
    assert set(extras.split(",")) == {"evtx", "postgres"} <= PYPROJECT["project"]["optional-dependencies"].keys()
    assert "pip install triaged" not in text(name)


def test_every_command_in_the_image_finds_settings_and_secrets() -> None:
    image = text("deploy/Dockerfile")
    assert "TRIAGED_CONFIG=/etc/triaged/triaged.toml" in image
    assert "TRIAGED_SECRETS_DIR=/run/secrets" in image


def test_the_readme_names_the_extras_and_the_command() -> None:
    for word in ("`evtx`", "`postgres`", "`train`", ".venv/bin/triaged", "../shared/corpora"):
        assert word in text("README.md")


def test_lock_without_uv_says_that_it_needs_uv() -> None:
    done = subprocess.run(["make", "lock", "UV="], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.returncode
    assert "make lock needs uv" in done.stderr


def test_training_packages_are_forbidden_in_every_module_but_training_and_evaluation() -> None:
    _, training = PYPROJECT["tool"]["importlinter"]["contracts"]
    learn = ROOT / "connector" / "learn"
    everything = {*modules(learn.parent), *modules(learn)} - {
        "connector.learn",
        "connector.learn.training",
        "connector.learn.evaluation",
    }
    assert set(training["source_modules"]) == everything


def modules(folder: Path) -> set[str]:
    """The modules and packages that lie in a package."""
    files = (path for path in folder.glob("*.py") if path.stem != "__init__")
    found = (*files, *(path.parent for path in folder.glob("*/__init__.py")))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in found}


def test_the_callers_settings_do_not_reach_what_tests_start(monkeypatch) -> None:
    monkeypatch.setenv("TRIAGED_DATA_DIR", "theirs")
    monkeypatch.setenv("TRIAGED_CORPORA", "kept")
    assert [name for name in environment.clean() if name.startswith("TRIAGED_")] == ["TRIAGED_CORPORA"]
