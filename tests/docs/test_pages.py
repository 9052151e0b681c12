"""The documentation's links lead somewhere, and its example files load."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from connector import wiring
from connector.policy import Policy
from connector.resources import shipped

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for folder in (
        "",
        "docs",
        "docs/decisions",
        "deploy",
        "elastic_ingest",
        "splunk_app",
        "playbooks",
        "connector/events",
    )
    for page in (ROOT / folder).glob("*.md")
)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    found = set()
    for heading in re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_internal_links_resolve(page: Path) -> None:
    broken = []
    for target in re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


def test_every_page_is_reached_from_the_index_or_the_readme() -> None:
    linked = set()
    for page in (ROOT / "README.md", ROOT / "docs" / "README.md"):
        for target in re.findall(r"\]\(([^)#\s]+)", prose(page)):
            linked.add((page.parent / target).resolve())
    pages = set((ROOT / "docs").glob("*.md")) - {ROOT / "docs" / "README.md"}
    assert {page.name for page in pages if page.resolve() not in linked} == set()


def test_every_decision_record_has_a_date_and_the_alternatives_that_lost() -> None:
    records = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert records
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert re.search(r"^Date: \d{4}-\d\d-\d\d$", text, re.MULTILINE), record.name
        assert "\n## What lost" in text, record.name
        assert f"]({record.name})" in (record.parent / "README.md").read_text(encoding="utf-8"), record.name


def test_the_changelog_begins_with_what_is_unreleased() -> None:
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_the_example_settings_load() -> None:
    loaded = wiring.load_settings(ROOT / "deploy" / "triaged.toml")
    assert set(loaded.sources) == {"windows"}
    assert loaded.metrics.port == 9464


def test_the_example_policy_loads_with_a_shipped_playbook(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    example = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)[0]
    table = tomllib.loads((shipped("playbooks") / "policy.toml").read_text(encoding="utf-8"))
    ticket = next(rule["playbook"] for rule in table["rules"] if rule["tier"] == "ticket")
    path = tmp_path / "policy.toml"
    path.write_text(example.replace("PLAYBOOK", ticket), encoding="utf-8")
    assert [rule.name for rule in Policy.load(path, shipped("playbooks")).rules] == ["credential dumping"]


def test_the_systemd_unit_refers_to_the_files_that_the_guide_installs() -> None:
    unit = (ROOT / "deploy" / "triaged.service").read_text(encoding="utf-8")
    guide = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"/etc/triaged/\S+", unit):
        assert path.partition(":")[0] in guide
