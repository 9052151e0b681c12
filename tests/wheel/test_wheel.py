"""The wheel, in a bare environment outside the checkout: light, complete, and able to run the demo."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environment import clean

ROOT = Path(__file__).parent.parent.parent
HEAVY = ("torch", "transformers", "sklearn", "pyarrow", "onnx", "evtx")


def run(*command: str | Path, cwd: Path, timeout: int = 400) -> str:
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, env=clean(), capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Path:
    """A fresh environment with the wheel and the locked runtime packages, and nothing else."""
    home = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", home / "dist", ROOT, cwd=home)
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv", cwd=home)
    (wheel,) = (home / "dist").glob("*.whl")
    for what in (["--require-hashes", "-r", ROOT / "requirements" / "runtime.txt"], ["--no-deps", wheel]):
        run(*installer(home / "venv" / "bin" / "python"), *what, cwd=home)
    return home


def installer(python: Path) -> list[str | Path]:
    """The command that the Makefile installs with too; what it leaves uncompiled is compiled as it is imported."""
    if uv := shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", python]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    return [*pip, "--no-compile"]


def test_the_runtime_install_carries_no_training_package(bare):
    code = f"import importlib.util as u; print([m for m in {HEAVY!r} if u.find_spec(m)])"
    assert run(bare / "venv" / "bin" / "python", "-c", code, cwd=bare).strip() == "[]"


def test_the_demo_runs_from_the_wheel_outside_the_checkout(bare):
    out = run(bare / "venv" / "bin" / "triaged", "demo", cwd=bare)
    summary = json.loads(out.splitlines()[-1])
    assert summary["events"] == summary["verdicts"] == summary["written"] >= 500
    assert summary["dead"] == 0
    assert summary["techniques"] >= 6


def test_the_shipped_model_verifies_from_the_wheel(bare):
    assert ": ok" in run(bare / "venv" / "bin" / "triaged", "model", "verify", cwd=bare)


def test_training_without_its_extra_says_what_to_install(bare):
    done = subprocess.run(
        [bare / "venv" / "bin" / "triaged", "train", "text"], cwd=bare, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "triaged[train]" in done.stderr
    assert "Traceback" not in done.stderr
