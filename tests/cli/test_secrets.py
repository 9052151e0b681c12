"""Every command finds the same ledger: whoever names a settings file can name the secrets that belong to it."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from connector.cli import app
from connector.ledger import open_ledger
from connector.wiring import utc_now
from tests.daemon.site import Site
from tests.docs.test_commands_page import every_command


def test_every_command_that_takes_settings_takes_secrets_as_well() -> None:
    options = {name: {opt for p in command.params for opt in p.opts} for name, command in every_command().items()}
    assert [name for name, known in options.items() if "--config" in known and "--secrets-dir" not in known] == []


@pytest.mark.parametrize("by_environment", [False, True])
def test_the_kill_switch_is_thrown_in_the_ledger_that_the_secrets_name(tmp_path, by_environment) -> None:
    site, secrets = Site(tmp_path), tmp_path / "secrets"
    secrets.mkdir()
    url = f"sqlite:///{tmp_path / 'production.sqlite'}"
    (secrets / "ledger__url").write_text(url)
    where = [] if by_environment else ["--secrets-dir", str(secrets)]
    done = CliRunner().invoke(
        app,
        ["policy", "switch", "kill", "on", "--config", str(site.config), *where],
        env={"TRIAGED_SECRETS_DIR": str(secrets)} if by_environment else None,
    )
    assert done.exit_code == 0, done.output
    ledger = open_ledger(url, utc_now)
    assert [(switch.name, switch.on) for switch in ledger.status().switches] == [("kill", True)]
    ledger.close()
