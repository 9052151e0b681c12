"""What is taken out of texts, what stays, and what hostile text may cost."""

from __future__ import annotations

import re
from functools import partial

import pytest

from connector.learn.export.credentials import PATTERNS, without_secrets
from connector.learn.export.identities import Name, kind_at, names_in
from connector.learn.export.redaction import Found, Redaction, as_class
from tests import growth
from tests.learn.export.make import House, process, scored

SEEDS = (
    *("net use ", "net user a ", "a", "-", "a-", "1.", "1:", "::", "psexec ", "mysql x ", "curl x ", "/user:", "ey"),
    *("-----BEGIN PRIVATE KEY-----", "password", "pwd_", "a_", r"\\a" + "\\", "a@", "aa:", "/users/", "A\\b ", " "),
)


@pytest.mark.parametrize("seed", SEEDS)
def test_looking_for_names_and_secrets_grows_no_faster_than_the_text(seed: str) -> None:
    def look(text: str) -> None:
        without_secrets(text)
        list(names_in(text))

    assert growth.ratio(lambda size: (seed * size)[:size], look, 4_000) < growth.LINEAR


PREFIXES = (
    ("-----begin private key-----", "-----begin "),
    ("ey", "eyaaaaaaaa-", "eyaaaaaaaa.eyaaaa-"),
    ("akia", "akia-"),
    ("ghp_", "xoxb-", "sk-", "sg.", "sg.aaaaaaaaaaaaaaaa-"),
    ("$krb5tgs$",),
    ("0" * 32 + ":", "0" * 32),
    ("authorization: ", "authorization: basic "),
    ("bearer ", "bearer aaaaaaaaaaaaaaaa-"),
    ("://", "://a:"),
    ("password", "password = ", "secret_access_key", 'password="'),
    ("pwd", "pwd = "),
    ("?sig=", "&sig=&"),
    (" -password ", "-"),
    (" -p:", " /p"),
    ("wmiexec-", "wmiexec.py ", "psexec", "psexec ", "mysql.exe ", "plink -p "),
    ("convertto-securestring ", "convertto-securestring -string "),
    ("curl ", "curl -u ", "curl -u a"),
    ("net user ", "net user a "),
    ("net use ", r"net use \\a "),
    ("net use ", "net use /user:", "net use /user:a "),
    ("password is ",),
)


@pytest.mark.parametrize(("pattern", "prefixes"), [*zip(PATTERNS, PREFIXES, strict=True)])
def test_no_pattern_reads_its_own_beginning_again_and_again(
    pattern: re.Pattern[str], prefixes: tuple[str, ...]
) -> None:
    def look(text: str) -> None:
        list(pattern.finditer(text))

    def repeats(prefix: str, size: int) -> str:
        return (prefix * size)[:size]

    for prefix in prefixes:
        assert growth.ratio(partial(repeats, prefix), look, 4_000) < growth.LINEAR, prefix


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (r"net use z: \\srv\share Secret1 /user:corp\bob", r"net use z: \\srv\share <secret> /user:corp\bob"),
        ("mysql -uroot -phunter2 -e x", "mysql -uroot -p<secret> -e x"),
        ("curl -u bob:hunter2 http://x", "curl -u bob:<secret> http://x"),
        ("schtasks /create /ru bob /rp hunter2 /tn x", "schtasks /create /ru bob /rp <secret> /tn x"),
        ("ConvertTo-SecureString 'hunter22' -AsPlainText", "ConvertTo-SecureString '<secret>' -AsPlainText"),
        ("DB_PASSWORD=hunter2;x", "DB_PASSWORD=<secret>;x"),
        ("Authorization: Basic dXNlcjpw", "Authorization: Basic <secret>"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- tail", "<secret> tail"),
        ("wmiexec.py corp/bob@ws1 -p hunter2", "wmiexec.py corp/bob@ws1 -p <secret>"),
        ("x --token-eyJhbGciOiJI.eyJzdWIi.c2ln z", "x --token-<secret> z"),
        ("key AKIAABCDEFGHIJKLMNOP", "key <secret>"),
        ("the password was hunter2, ask", "the password was <secret> ask"),
        ("ssh -p 22 host; mkdir -p /tmp/x; docker run -p 80:80 x", None),
        ("System, PublicKeyToken=31bf3856ad364e35", None),
        ("PWD=/root ; USER=root", None),
        ("basic authentication", None),
        ("net localgroup administrators bob /add", None),
    ],
)
def test_secrets_go_by_how_they_are_written_and_harmless_switches_stay(text: str, left: str | None) -> None:
    assert without_secrets(text) == (text if left is None else left)
    assert without_secrets(without_secrets(text)) == without_secrets(text)


@pytest.mark.parametrize(
    ("path", "value", "kind"),
    [
        (("user", "name"), "bob", "user"),
        (("winlog", "event_data", "TargetUserName"), "bob", "user"),
        (("user.name",), "bob", "user"),
        (("related", "hosts"), "ws1", "host"),
        (("host", "hostname"), "ws1", "host"),
        (("winlog", "event_data", "TargetDomainName"), "CORP", "host"),
        (("dns", "question", "name"), "files.corp.local", "host"),
        (("dns", "question", "name"), "evil.example.com", None),
        (("host", "os", "name"), "Windows", None),
        (("user_agent",), "curl", None),
        (("process", "name"), "cmd.exe", None),
        (("event", "action"), "logon", None),
    ],
)
def test_fields_that_hold_names_are_known_by_their_keys(path: tuple[str, ...], value: str, kind: str | None) -> None:
    assert kind_at(path, value) == kind


def test_what_every_machine_has_stays_and_tells_what_happened() -> None:
    text = r"NT AUTHORITY\SYSTEM at 127.0.0.1 and 0.0.0.0, S-1-5-18, FileVersion: 10.0.1.2, C:\Users\Public\x /user:Administrator"
    found = Found()
    found.look_into({"user": {"name": "SYSTEM"}, "message": text, "file": {"version": "10.0.1.2"}})
    assert Redaction(found, as_class).text(text) == text
    assert found.names == {}


def test_a_host_of_the_sites_own_domain_is_known_without_having_been_met() -> None:
    found = Found()
    found.look_into({"host": {"name": "ws1.corp.example"}})
    assert Redaction(found, as_class).text("ping files.corp.example and WS1") == "ping <host>.<host> and <host>"


def test_more_names_cost_no_more_at_each_place_of_a_text() -> None:
    def told(size: int) -> tuple[Redaction, str]:
        found = Found(Name("host", f"ws-{number:06}.corp.example") for number in range(size // 20))
        return Redaction(found, as_class), ("ws-000001 and files.corp.example, ws-9 " * size)[:size]

    assert growth.ratio(told, lambda made: made[0].text(made[1]), 8_000) < growth.LINEAR


def test_an_event_whose_names_cost_too_much_to_look_for_is_left_out_and_counted(house: House) -> None:
    names = ["a" * length for length in range(3, 257)]
    dear, other = scored("dear", process(1) | {"user": {"name": names}}), scored("other", process(2))
    house.said("A-1", house.score(dear, other), disposition="true_positive")
    done = house.export().run()
    assert set(house.labels()) == {other.id}
    assert (done.events, done.labels.left_out) == (1, {"no snapshot of the event": 1})


def test_of_names_at_one_place_the_longest_goes_and_short_ones_go_only_as_words() -> None:
    found = Found(
        [Name("host", "ws1"), Name("host", "ws1-lab"), Name("user", "\u0130hsan"), Name("host", "corp.example")]
    )
    found.secrets.add("hunter2")
    text = "WS1-LAB ws1x _ws1_ xHUNTER2x ihsan \u0130HSAN a.b.corp.example WS1"
    written = Redaction(found, lambda kind, name: f"<{kind}:{name}>").text(text)
    assert written == (
        "<host:ws1-lab> ws1x _<host:ws1>_ x<secret>x <user:ihsan> <user:i\u0307hsan>"
        " <host:a>.<host:b.corp.example> <host:ws1>"
    )
