"""Where it listens: its owner alone, this machine alone, or TLS; and no other process's place."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import stat

import pytest
from typer.testing import CliRunner

from connector import wiring
from connector.api import Door
from connector.api.listen import listen, tls
from connector.cli import app
from connector.errors import ConfigError
from connector.settings import CLEARTEXT, ApiSettings
from tests.api.house import TOKENS, api_settings, opened
from tests.daemon.site import Site
from tests.servers.cache import Unavailable
from tests.servers.certificates import Certificates

ONE = {"one": {"token": "t" * 32}}


def settings(**changed) -> ApiSettings:
    return ApiSettings.model_validate({"tokens": ONE, **changed})


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Certificates:
    try:
        return Certificates(tmp_path_factory.mktemp("certificates"))
    except Unavailable as error:
        pytest.skip(str(error))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_unix_socket_is_its_owners_alone_and_gone_when_it_closes(tmp_path):
    path = tmp_path / "api.sock"
    found = listen(settings(socket=path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found.close()
    assert not path.exists()


def test_the_socket_of_a_process_that_died_is_no_obstacle(tmp_path):
    path = tmp_path / "api.sock"
    listen(settings(socket=path)).socket.close()
    assert path.exists()
    listen(settings(socket=path)).close()


def test_a_socket_that_another_process_listens_on_is_left_alone(tmp_path):
    path = tmp_path / "api.sock"
    held = listen(settings(socket=path))
    with pytest.raises(ConfigError, match="another process"):
        listen(settings(socket=path))
    assert path.exists()
    held.close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ConfigError, match="no socket"):
        listen(settings(socket=path))
    assert path.read_text() == "data"


def test_a_place_that_cannot_be_had_is_one_line(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match=r"cannot listen on http://127\.0\.0\.1"):
            listen(settings(port=taken.getsockname()[1]))
    with pytest.raises(ConfigError, match="cannot listen on unix:"):
        listen(settings(socket=tmp_path / "nowhere" / "api.sock"))
    with pytest.raises(ConfigError, match="cannot listen on unix:"):
        listen(settings(socket=tmp_path / ("x" * 200)))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "triaged.example", "127.0.0.1.example", ""])
def test_an_address_that_others_reach_needs_tls_or_the_words(host):
    with pytest.raises(ValueError, match="not this machine alone"):
        settings(host=host, port=1)
    settings(host=host, port=1, accept=CLEARTEXT)
    settings(host=host, port=1, certificate="c.pem", key="k.pem")
    settings(host=host)  # off


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_this_machine_needs_neither(host):
    assert settings(host=host, port=1).is_local


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"port": 1, "socket": "s"}, "not both"),
        ({"certificate": "c"}, "belong together"),
        ({"port": 1, "tokens": {}}, "without a token"),
        ({"tokens": {"one": {"token": "short"}}}, "at least 32 characters"),
        ({"tokens": {"one": {"token": "sha256:12"}}}, "64 hexadecimal digits"),
        ({"tokens": {"a b": {"token": "t" * 32}}}, "'a b': names of tokens"),
        ({"tokens": {"one": {"token": "t" * 32, "scopes": ["ingest"]}}}, "no `\\[api.inlets.NAME\\]`"),
        ({"tokens": {"one": {"token": "t" * 32, "inlet": "x"}}}, "inlets are: none"),
        (
            {
                "tokens": {"one": {"token": "t" * 32, "scopes": ["ingest"]}},
                "inlets": {"a": {"deployment": "a"}, "b": {"deployment": "b"}},
            },
            "must say which inlet",
        ),
        ({"accept": "yes"}, "accept"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_settings_that_cannot_work_are_refused(changed, why):
    with pytest.raises(ValueError, match=why):
        settings(**changed)


def test_a_refused_setting_shows_no_token(tmp_path):
    config = tmp_path / "triaged.toml"
    config.write_text('[api.tokens.one]\ntoken = "a-short-secret"\n')
    with pytest.raises(ConfigError) as refused:
        wiring.load_settings(config)
    assert "api.tokens.one.token" in str(refused.value)
    assert "a-short-secret" not in str(refused.value)


def test_an_inlet_and_a_source_cannot_share_a_name(tmp_path):
    with (
        pytest.raises(ConfigError, match="lab names a source and an inlet"),
        opened(tmp_path, change=lambda text: text.replace("inlets.push", "inlets.lab")),
    ):
        pass


def test_tokens_come_from_the_secrets_directory_too(tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api__tokens__one__token").write_text("t" * 32 + "\n")
    (tmp_path / "triaged.toml").write_text('[api]\nport = 1\n[api.tokens.one]\nscopes = ["classify"]\n')
    loaded = wiring.load_settings(tmp_path / "triaged.toml", tmp_path / "secrets")
    assert loaded.api.tokens["one"].token == settings().tokens["one"].token


def test_over_tls_a_client_that_verifies_is_answered_and_plain_http_is_not(tmp_path, certificates):
    port = free_port()
    folder = certificates.folder
    lines = f'port = {port}\ncertificate = "{folder}/server.crt"\nkey = "{folder}/server.key"'
    with opened(tmp_path, change=lambda text: text.replace(f'socket = "{tmp_path}/api.sock"', lines)):
        context = ssl.create_default_context(cafile=certificates.ca)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        headers = {"Authorization": f"Bearer {TOKENS['search']}"}
        connection.request("POST", "/v1/classify", b'{"events":[{"data":"x"}]}', headers)
        answer = connection.getresponse()
        assert (answer.status, len(json.loads(answer.read())["verdicts"])) == (200, 1)
        assert connection.sock.version() in {"TLSv1.2", "TLSv1.3"}
        connection.close()
        with socket.create_connection(("127.0.0.1", port), 30) as plain:
            plain.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
            assert not plain.recv(100).startswith(b"HTTP")
        stranger = ssl.create_default_context(cafile=folder / "stranger.crt")
        with pytest.raises(ssl.SSLCertVerificationError), socket.create_connection(("127.0.0.1", port), 30) as raw:
            stranger.wrap_socket(raw, server_hostname="127.0.0.1")


def test_old_versions_of_tls_are_refused(certificates):
    context = tls(settings(certificate=certificates.folder / "server.crt", key=certificates.folder / "server.key"))
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("key", ["client.key", "server.crt", "missing"])
def test_a_certificate_that_cannot_be_used_is_one_line(certificates, key):
    folder = certificates.folder
    with pytest.raises(ConfigError, match="cannot be used"):
        tls(settings(certificate=folder / "server.crt", key=folder / key))


def test_a_door_of_settings_without_an_api_does_nothing(tmp_path):
    door = Door()
    door.prepare(settings(socket=None))
    door.shut()
    door.close()


def test_config_check_says_whether_it_could_be_served(tmp_path, certificates):
    site = Site(tmp_path, extra=api_settings(tmp_path, f'certificate = "{tmp_path}/no.crt"\nkey = "{tmp_path}/no.key"'))
    site.events(1)
    done = CliRunner().invoke(app, ["config", "check", "--config", str(site.config)])
    assert (done.exit_code, "FAIL api: " in done.output) == (1, True)
    good = {"no.crt": "server.crt", "no.key": "server.key"}
    text = site.config.read_text()
    for wrong, right in good.items():
        text = text.replace(f"{tmp_path}/{wrong}", str(certificates.folder / right))
    site.config.write_text(text)
    done = CliRunner().invoke(app, ["config", "check", "--config", str(site.config)])
    assert (done.exit_code, "ok   api\n" in done.output) == (0, True)
