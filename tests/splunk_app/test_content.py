"""What lies in the app belongs together: names, fields and versions say the same in every file, and as the daemon says it."""

from __future__ import annotations

import configparser
import json
import re
import struct
import subprocess
import sys
import xml.etree.ElementTree as ET
import zlib

import pytest
from triage import BATCH_BYTES, BATCH_EVENTS, BATCH_IDS, READERS
from triaged_daemon import READERS as TOKEN_READERS
from triaged_verdicts import FIELDS

import connector
from connector.settings import ApiSettings
from connector.siem.splunk import kv, records
from connector.testing import examples
from connector.types import LookupEntry, RunStatus
from tests.splunk_app.search import APP, ROOT
from tests.splunk_app.test_protocol import ADDED

CONFS = sorted((APP / "default").glob("*.conf"))
VIEWS = sorted((APP / "default" / "data" / "ui" / "views").glob("*.xml"))


def conf(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    found.optionxform = str
    found.read_string(re.sub(r"\\\n\s*", " ", (APP / "default" / f"{name}.conf").read_text(encoding="utf-8")))
    return found


def definition(view: str) -> dict:
    text = ET.fromstring((APP / "default" / "data" / "ui" / "views" / f"{view}.xml").read_text()).findtext("definition")
    return json.loads(text)


def test_the_version_is_the_projects_everywhere():
    app, manifest = conf("app"), json.loads((APP / "app.manifest").read_text())
    assert {
        app["launcher"]["version"],
        app["id"]["version"],
        manifest["info"]["id"]["version"],
    } == {connector.__version__}
    assert app["package"]["id"] == app["id"]["name"] == manifest["info"]["id"]["name"] == "triaged"


def test_every_command_and_action_has_its_script_and_runs_on_the_python_that_splunk_names():
    for name in ("commands", "alert_actions"):
        for stanza in conf(name).sections():
            section = conf(name)[stanza]
            assert (APP / "bin" / section.get("filename", f"{stanza}.py")).is_file()
            assert section["python.version"] == "python3"
            assert section["python.required"] == "3.13"
    assert all(conf("commands")[name]["chunked"] == "true" for name in conf("commands").sections())


def test_the_action_says_what_kind_of_adaptive_response_it_is():
    kind = json.loads(conf("alert_actions")["triaged_run"]["param._cam"])
    assert {"category", "task", "subject", "technology", "supports_adhoc"} <= set(kind)
    assert (APP / "default" / "data" / "ui" / "alerts" / "triaged_run.html").is_file()
    assert (APP / "appserver" / "static" / conf("alert_actions")["triaged_run"]["icon_path"]).is_file()


def test_the_collections_hold_the_fields_that_the_writer_writes():
    collections, transforms = conf("collections"), conf("transforms")
    for kind in (RunStatus, LookupEntry):
        row = kv.row_of(examples.records()[kind])
        declared = {name.removeprefix("field.") for name in collections[row.collection] if name.startswith("field.")}
        listed = set(transforms[row.collection]["fields_list"].replace(" ", "").split(","))
        assert listed == {"_key", *row.fields}
        assert declared <= set(row.fields)
        assert {name for name, value in row.fields.items() if not isinstance(value, list)} <= declared
        assert transforms[row.collection]["collection"] == row.collection
    assert set(collections.sections()) == {kv.RUNS, kv.LOOKUP}
    assert kv.APP == "triaged"


def test_every_kind_of_record_that_is_an_event_has_its_sourcetype():
    assert set(conf("props").sections()) == {records.sourcetype_of(kind) for kind in records.EVENTS}


def test_verdicts_have_the_fields_that_the_data_model_alerts_reads():
    fields = {name.removeprefix("EVAL-") for name in conf("props")["triaged:verdict"] if name.startswith("EVAL-")}
    assert {"app", "description", "dest", "id", "severity", "signature", "src", "type", "user"} <= fields
    eventtype = "triaged_alert"
    assert conf("tags")[f"eventtype={eventtype}"]["alert"] == "enabled"
    assert 'sourcetype="triaged:verdict"' in conf("eventtypes")[eventtype]["search"]


def searches() -> list[str]:
    found = [conf("macros")[name]["definition"] for name in conf("macros").sections()]
    found += [conf("savedsearches")[name]["search"] for name in conf("savedsearches").sections()]
    found += [source["options"]["query"] for source in definition("overview")["dataSources"].values()]
    return found


def test_every_macro_look_up_and_command_that_a_search_uses_is_in_the_app():
    macros, transforms, commands = (set(conf(name).sections()) for name in ("macros", "transforms", "commands"))
    for search in searches():
        assert set(re.findall(r"`([^`(]+)`", search)) <= macros
        assert set(re.findall(r"\b(?:inputlookup|lookup) (\w+)", search)) <= transforms
        assert set(re.findall(r"\| (triage\w*)", search)) <= commands
        assert search.count('"') % 2 == search.count("(") - search.count(")") == 0


def test_verdicts_are_counted_once_by_the_id_of_the_record():
    assert conf("macros")["triaged_verdicts"]["definition"].endswith("| dedup triaged.record_id")
    for name in ("triaged_latest_verdicts", "triaged_techniques"):
        assert re.match(r"`triaged_(latest_)?verdicts`", conf("macros")[name]["definition"])
    assert not [search for search in searches()[1:] if "sourcetype=" in search and "dedup" not in search]


def test_the_dashboard_shows_what_it_defines_and_nothing_else():
    found = definition("overview")
    sources, shown = set(found["dataSources"]), found["visualizations"]
    assert {item["item"] for item in found["layout"]["structure"]} == set(shown)
    assert {viz["dataSources"]["primary"] for viz in shown.values()} == sources
    assert set(found["layout"]["globalInputs"]) == set(found["inputs"])
    for position in (item["position"] for item in found["layout"]["structure"]):
        assert position["x"] + position["w"] <= found["layout"]["options"]["width"]


def test_every_view_is_on_the_menu_or_is_the_set_up_page():
    nav = ET.parse(APP / "default" / "data" / "ui" / "nav" / "default.xml")
    named = {view.get("name") for view in nav.iter("view")} - {"search"}
    assert named == {view.stem for view in VIEWS}
    assert conf("app")["ui"]["setup_view"] in named


def test_the_set_up_page_and_its_script_name_the_same_fields_and_settings():
    page = (APP / "default" / "data" / "ui" / "views" / "setup.xml").read_text()
    script = (APP / "appserver" / "static" / "setup.js").read_text()
    assert set(re.findall(r'"(triaged-[a-z]+)"', script)) == set(re.findall(r'id="(triaged-[a-z]+)"', page))
    stored = re.search(r"STANZA = \{(.*?)\}", script).group(1)
    assert set(re.findall(r"(\w+):", stored)) <= set(conf("triaged")["daemon"])
    assert set(re.findall(r"(\w+):", re.search(r"TOKENS = \{(.*?)\}", script).group(1))) == {"search", "inlet"}
    assert "innerHTML" not in script


def test_every_setting_is_described():
    spec = (APP / "README" / "triaged.conf.spec").read_text()
    told = dict(re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", spec, re.MULTILINE | re.DOTALL))
    found = conf("triaged")
    assert {name: set(re.findall(r"^(\w+) = ", text, re.MULTILINE)) for name, text in told.items()} == {
        name: set(found[name]) for name in found.sections()
    }


def test_the_search_assistant_and_the_page_know_every_option_and_field():
    help_, page = conf("searchbnf")["triage-command"], (ROOT / "docs" / "splunk-app.md").read_text()
    for option in READERS:
        assert f"{option}=" in help_["syntax"]
        assert f"`{option}" in page
    for field in FIELDS:
        assert field in help_["description"]
        assert f"`{field}`" in page
    assert FIELDS == ADDED


def test_a_role_gives_no_more_than_it_needs():
    roles = conf("authorize")
    assert dict(roles["role_triaged_analyst"]) == {"list_storage_passwords": "enabled", "srchIndexesAllowed": "triaged"}
    assert dict(roles["role_triaged_responder"]) == {"list_storage_passwords": "enabled"}
    assert dict(roles["role_triaged_daemon"]) == {"search": "enabled", "srchIndexesAllowed": "triaged"}


def test_what_people_may_write_is_said_for_each_thing_and_the_set_up_is_for_admins():
    meta = (APP / "metadata" / "default.meta").read_text()
    everyone = re.findall(r"write : \[ \* \]", meta)
    assert not everyone
    for collection in (kv.RUNS, kv.LOOKUP):
        assert re.search(
            rf"\[collections/{collection}\]\naccess = .*write : \[ admin, sc_admin, triaged_daemon \]", meta
        )


def test_each_token_is_for_one_role_alone_and_the_one_that_starts_playbooks_is_not_for_analysts():
    meta = (APP / "metadata" / "default.meta").read_text()
    readers = {
        name: set(roles.split(", ")) - {"admin", "sc_admin"}
        for name, roles in re.findall(r"^\[(passwords[^\]]*)\]\naccess = read : \[ (.*?) \]", meta, re.MULTILINE)
    }
    own = {f"passwords/credential%3Atriaged%3A{name}%3A": {role} for name, role in TOKEN_READERS.items()}
    assert readers == {"passwords": set(TOKEN_READERS.values()), **own}
    assert TOKEN_READERS == {"search": "triaged_analyst", "inlet": "triaged_responder"}
    assert {f"role_{role}" for role in TOKEN_READERS.values()} <= set(conf("authorize").sections())


def test_batches_fit_into_what_the_api_takes_by_default():
    limits = ApiSettings()
    assert limits.max_events >= BATCH_EVENTS
    assert limits.max_body > 2 * BATCH_BYTES
    assert BATCH_IDS <= 10_000


@pytest.mark.parametrize("icon", sorted((APP / "static").glob("*.png")), ids=lambda path: path.name)
def test_an_icon_is_a_picture_of_the_size_that_splunk_asks_for(icon):
    data = icon.read_bytes()
    width, height = struct.unpack(">II", data[16:24])
    sizes = {"appIcon": (36, 36), "appIconAlt": (36, 36), "appLogo": (160, 40)}
    expected = sizes[icon.stem.removesuffix("_2x")]
    factor = 2 if icon.stem.endswith("_2x") else 1
    assert (width, height) == (expected[0] * factor, expected[1] * factor)


def test_the_icons_are_what_their_code_draws(tmp_path):
    code = (
        "import sys, pathlib, icons; icons.APP = pathlib.Path(sys.argv[1]);"
        "[(icons.APP / n).parent.mkdir(parents=True, exist_ok=True) or (icons.APP / n).write_bytes(icons.png(*s))"
        " for n, s in icons.SIZES.items()]"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=APP.parent, check=True, timeout=60)
    for drawn in tmp_path.rglob("*.png"):
        assert pixels(drawn.read_bytes()) == pixels((APP / drawn.relative_to(tmp_path)).read_bytes())


def pixels(data: bytes) -> bytes:
    """What is packed in the one IDAT chunk; packing may differ between versions of zlib."""
    start = data.index(b"IDAT")
    size = struct.unpack(">I", data[start - 4 : start])[0]
    return zlib.decompress(data[start + 4 : start + 4 + size])
