"""Playbooks on the command line: listed, checked, and filled as a SOAR is sent them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner, Result

from connector import wiring
from connector.cli import app, options
from connector.errors import ConfigError
from connector.policy import document
from connector.policy.cacao.rules import RULES
from connector.soar.dryrun import recorded
from connector.testing import examples
from tests.daemon.site import Site
from tests.policy.cases import LOADED, PLAYBOOKS
from tests.policy.editing import edited, put, step
from tests.soar.soarca import SoarcaPlatform

Triaged = Callable[..., Result]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """One event that was judged; the playbook ran dry."""
    site = Site(tmp_path_factory.mktemp("site"))
    site.events(1)
    done = CliRunner().invoke(app, ["run", "--drain", "--config", str(site.config)])
    assert done.exit_code == 0, done.output
    return site


@pytest.fixture(scope="module")
def triaged(site: Site) -> Triaged:
    def run(*arguments: str, text: str | None = None) -> Result:
        done = CliRunner().invoke(app, [*arguments, "--config", str(site.config)], input=text)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


def lines(done: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def as_json(value: Any) -> Any:
    return json.loads(msgspec.json.encode(value))


def test_the_list_says_what_contains_and_which_rules_name_it(triaged: Triaged) -> None:
    rows = {row[0]: row for row in (line.split("\t") for line in triaged("playbook", "list").stdout.splitlines())}
    assert rows.keys() == LOADED.keys()
    assert rows["isolate-host"][3] == "disconnect-system"
    assert rows["isolate-host"][4] == "__agent_id__"
    assert rows["block-indicator"][4] == "__source_address__"
    assert rows["notify-on-call"][3] == "no"
    assert rows["notify-on-call"][5] == "everything"


def test_the_shipped_playbooks_and_a_folder_of_ones_own_are_valid(triaged: Triaged) -> None:
    for arguments in ((), (str(PLAYBOOKS),), (str(PLAYBOOKS / "isolate-host.json"),)):
        done = triaged("playbook", "validate", *arguments)
        assert done.exit_code == 0
        assert {line[:5] for line in done.stdout.splitlines()} == {"ok   "}


def test_what_is_broken_is_told_with_file_step_and_rule_and_the_rest_is_checked_too(
    triaged: Triaged, tmp_path: Path
) -> None:
    (tmp_path / "broken.json").write_bytes(edited(step(in_args=["__nobody__"]), put(revoked=True)))
    (tmp_path / "no.json").write_text("{")
    (tmp_path / "sound.json").write_bytes(edited())
    done = triaged("playbook", "validate", str(tmp_path), str(tmp_path / "absent.json"))
    assert done.exit_code == 1
    assert "FAIL playbook broken.json" in done.stdout
    assert "[argument-declared]" in done.stdout
    assert "[not-revoked]" in done.stdout
    assert "FAIL playbook no.json is not CACAO 2.0" in done.stdout
    assert f"ok   {tmp_path / 'sound.json'}" in done.stdout
    assert "absent.json cannot be read" in done.stdout
    assert "3 of 4 playbooks are broken" in done.stderr
    assert {"argument-declared", "not-revoked"} <= RULES.keys()


def test_a_folder_without_playbooks_and_two_with_one_id_are_no_success(triaged: Triaged, tmp_path: Path) -> None:
    assert triaged("playbook", "validate", str(tmp_path)).exit_code == 1
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_bytes(edited())
    with pytest.raises(ConfigError, match="have one id"):
        triaged("playbook", "validate", str(tmp_path))


def test_an_event_of_the_ledger_is_rendered_exactly_as_its_run_was_recorded(site: Site, triaged: Triaged) -> None:
    (run,) = recorded(site.dir / "runs.sqlite")
    (shown,) = lines(triaged("playbook", "render", "notify-on-call", "--verdict", run.event_id))
    assert shown["key"] == run.key
    assert shown["soar"] == "dryrun"
    assert shown["steps"] == as_json(run.steps)
    assert shown["request"] is None


def test_a_file_of_verdicts_gives_a_line_each_and_standard_input_the_same(site: Site, triaged: Triaged) -> None:
    (run,) = recorded(site.dir / "runs.sqlite")
    text = "".join(json.dumps(found) + "\n" for found in site.verdicts())
    (site.dir / "verdicts.jsonl").write_text(text + "\n" + text)
    from_file = lines(triaged("playbook", "render", "notify-on-call", "--verdict", str(site.dir / "verdicts.jsonl")))
    piped = lines(triaged("playbook", "render", "notify-on-call", "--verdict", "-", text=text))
    assert [shown["steps"] for shown in from_file] == [as_json(run.steps)] * 2
    assert [shown["key"] for shown in piped] == [run.key]


def test_a_soar_that_shows_its_request_is_asked_for_it_and_sent_nothing(site: Site, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text((site.dir / "policy.toml").read_text().replace('soar = "dryrun"', 'soar = "engine"'))
    with SoarcaPlatform(tmp_path) as platform:
        (tmp_path / "triaged.toml").write_text(
            f'[policy]\npath = "{policy}"\n[soars.engine]\ntype = "soarca"\nurl = "{platform.url}"\n'
        )
        config = ("--config", str(tmp_path / "triaged.toml"))
        text = json.dumps(document(examples.verdict(1)))
        done = CliRunner().invoke(app, ["playbook", "render", "notify-on-call", "--verdict", "-", *config], input=text)
        assert platform.asked == []
    (shown,) = lines(done)
    assert shown["request"]["id"] == f"playbook--{shown['key']}"
    assert shown["soar"] == "engine"


def test_what_cannot_be_filled_says_why_and_exits_1(triaged: Triaged, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(
        'soar = "dryrun"\n[[rules]]\nname = "r"\nmin_confidence = 0.5\nmode = "approve"\ntier = "contain"\n'
        'playbook = "isolate-host"\n'
    )
    (tmp_path / "triaged.toml").write_text(f'[policy]\npath = "{policy}"\n[soars.dryrun]\ntype = "dryrun"\n')
    (tmp_path / "v.json").write_bytes(msgspec.json.encode(document(examples.verdict(1))))
    arguments = ["playbook", "render", "isolate-host", "--verdict", str(tmp_path / "v.json")]
    done = CliRunner().invoke(app, [*arguments, "--config", str(tmp_path / "triaged.toml")])
    assert done.exit_code == 1
    assert "needs __agent_id__" in lines(done)[0]["error"]


@pytest.mark.parametrize(
    ("name", "verdict", "words"),
    [
        ("no-such", "-", "playbooks are: block-indicator"),
        ("disable-account", "-", "no rule of policy"),
        ("notify-on-call", "nowhere", "no such file, and no id"),
        ("notify-on-call", "00000000-0000-4000-8000-000000000000", "no such action waits"),
    ],
)
def test_what_names_nothing_is_refused(triaged: Triaged, name: str, verdict: str, words: str) -> None:
    text = json.dumps(document(examples.verdict(1)))
    with pytest.raises(ConfigError, match=words):
        triaged("playbook", "render", name, "--verdict", verdict, text=text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", r"-:1: Input data was truncated"),
        ("\n[]", r"-:2: Expected `object`"),
        ("{}", r"-:1: no verdict"),
        (json.dumps(document(examples.verdict(1, revision=2))), "revision 2 .* starts nothing"),
    ],
)
def test_a_line_that_is_no_first_verdict_is_named(triaged: Triaged, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        triaged("playbook", "render", "notify-on-call", "--verdict", "-", text=text)


def test_an_action_that_waits_is_rendered_by_its_key(site: Site, triaged: Triaged, tmp_path: Path) -> None:
    other = Site(tmp_path)
    policy = other.dir / "policy.toml"
    policy.write_text(policy.read_text().replace('mode = "auto"', 'mode = "approve"'))
    other.events(1)
    config = ("--config", str(other.config))
    assert CliRunner().invoke(app, ["run", "--drain", *config]).exit_code == 0
    with wiring.opened_ledger(options.settings(other.config)) as ledger:
        ((action, _),) = ledger.waiting()
    (shown,) = lines(
        CliRunner().invoke(app, ["playbook", "render", "notify-on-call", "--verdict", action.key, *config])
    )
    assert shown["key"] == action.key
    refused = CliRunner().invoke(app, ["playbook", "render", "isolate-host", "--verdict", action.key, *config])
    assert "is for playbook 'notify-on-call'" in str(refused.exception)
