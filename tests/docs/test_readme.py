"""The README's example is what the code makes of it, and its commands exist."""

from __future__ import annotations

import re

from connector.attack import catalogue
from tests.docs.readme import README, examples, made_of


def test_the_example_verdict_is_what_the_example_event_gets() -> None:
    raw, shown = examples()
    assert made_of(raw, shown) == shown, "run: python -m tests.docs.readme"


def test_the_example_names_the_catalogues_attack_version() -> None:
    _, shown = examples()
    assert shown["triaged"]["model"]["attack_version"] == catalogue().version


def test_every_make_target_that_the_readme_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (README.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"^make ([a-z-]+)", README.read_text(encoding="utf-8"), re.MULTILINE))
    assert named
    assert named <= targets
