"""Installs the assets: compares what a server has with what it should have, tells the difference, and makes it so.

Doing it twice changes nothing. What the daemon has published in the look-up pipeline is kept over an installation,
and put into this release's form.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

from connector.errors import ConfigError
from connector.siem.elastic.assets import LOOKUP_INDEX, Asset
from connector.siem.elastic.table import dated
from connector.types import Json

State = Literal["installed", "missing", "differs", "unavailable"]

PUBLISHED: Final = ("model", "entries")
"""Params of the look-up script that are the daemon's."""

_WRAPPED: Final = {"component template": "component_template", "index template": "index_template"}
_ABSENT: Final = (404,)
_NO_FEATURE: Final = (400, 404, 405)
"""How servers answer for a feature that their build lacks."""


class Reply(NamedTuple):
    """A server's answer: the HTTP status, and the decoded body."""

    status: int
    body: Json


class Server(Protocol):
    """What the installer needs of a connection: any request, with 4xx answers returned and not raised."""

    def request(self, method: str, path: str, body: Json = None) -> Reply:
        """Sends one request; a list is sent as lines of JSON."""
        ...


class Change(NamedTuple):
    """An asset as it stands on the server, and as it should. ``wanted`` has what the daemon published carried over."""

    asset: Asset
    state: State
    deployed: Json = None
    wanted: Mapping[str, Json] = {}

    def diff(self) -> str:
        """What an installation would change, as a unified diff; long lines (scripts, tables) are told by their length."""
        before = [] if self.deployed is None else _lines(self.deployed)
        return "\n".join(difflib.unified_diff(before, _lines(self.wanted), "server", self.asset.path, lineterm="", n=1))


def plan(server: Server, assets: Iterable[Asset]) -> list[Change]:
    """How each asset stands. Raises ``ConfigError`` where the server refuses to tell."""
    changes: list[Change] = []
    for asset in assets:
        alone = asset.managed and any(c.asset.kind == "lifecycle" and c.state == "unavailable" for c in changes)
        changes.append(_change(server, asset.unmanaged() if alone else asset))
    return changes


def install(server: Server, changes: Iterable[Change]) -> list[Change]:
    """Installs what is missing or differs; what was changed."""
    done = []
    for change in changes:
        asset = change.asset
        if change.state in {"installed", "unavailable"} or (asset.fixed and change.state == "differs"):
            continue
        reply = server.request("PUT", asset.path + _replacing(change.deployed), change.wanted or None)
        require(reply, f"installing the {asset.kind} {asset.name}")
        if asset.kind == "enrich policy":
            # a pipeline that names the policy is refused until its index was made once
            require(server.request("POST", f"{asset.path}/_execute"), f"executing the enrich policy {asset.name}")
        done.append(change)
    return done


def uninstall(server: Server, changes: Sequence[Change], *, data: bool = False) -> list[Asset]:
    """Removes what is there, last installed first; the look-up index only with ``data``. What was removed.

    Raises ``ConfigError`` where something still uses an asset; what came before it is removed by then.
    """
    gone = []
    for change in reversed(changes):
        asset = change.asset
        if change.state in {"missing", "unavailable"} or (
            asset.name == LOOKUP_INDEX and asset.kind == "index" and not data
        ):
            continue
        reply = server.request("DELETE", asset.path)
        if reply.status not in _ABSENT:
            require(reply, f"removing the {asset.kind} {asset.name}")
            gone.append(asset)
    return gone


def _change(server: Server, asset: Asset) -> Change:
    reply = server.request("GET", asset.path)
    if asset.optional and reply.status in _NO_FEATURE and not _is_missing(reply):
        return Change(asset, "unavailable")
    if reply.status in _ABSENT:
        return Change(asset, "missing", None, asset.body)
    require(reply, f"reading the {asset.kind} {asset.name}")
    deployed = _deployed(asset, reply.body)
    if deployed is None:
        return Change(asset, "missing", None, asset.body)
    wanted = with_published(asset.body, deployed) if asset.published else asset.body
    return Change(asset, "installed" if _holds(deployed, wanted) else "differs", deployed, wanted)


def _is_missing(reply: Reply) -> bool:
    """Whether a 404 speaks of the thing and not of the feature."""
    error = reply.body.get("error") if isinstance(reply.body, dict) else None
    if reply.status != 404 or not isinstance(error, dict):
        return reply.status == 404 and error is None
    return True


def _deployed(asset: Asset, body: Json) -> Json:
    """The asset out of the server's answer; None where the answer holds none."""
    if asset.kind in _WRAPPED:
        rows = body[f"{_WRAPPED[asset.kind]}s"]
        return rows[0][_WRAPPED[asset.kind]] if rows else None
    if asset.kind == "enrich policy":
        return body["policies"][0]["config"] if body["policies"] else None
    if asset.kind == "index":
        return {}
    if asset.kind == "lifecycle":
        return body if "policy" in body else body[asset.name]
    return body.get(asset.name)


def with_published(body: Mapping[str, Json], deployed: Json) -> Mapping[str, Json]:
    """A look-up pipeline with the params that the daemon has published in the deployed one, if both look up alike."""
    theirs = lookup_script(deployed)
    mine = lookup_script(body)
    if theirs is None or mine is None or theirs.get("tag") != mine.get("tag"):
        return body
    kept = {
        key: theirs["params"][key] for key in PUBLISHED if key in mine["params"] and key in theirs.get("params", {})
    }
    if "entries" in kept:
        kept["entries"] = dated(kept["entries"])
    script = {**mine, "params": {**mine["params"], **kept}}
    rows = [{"script": script} if row.get("script") is mine else row for row in body["processors"]]
    return {**body, "processors": rows}


def lookup_script(pipeline: Json) -> dict[str, Any] | None:
    """The script of a pipeline that holds one; None where it holds none."""
    rows = pipeline.get("processors", ()) if isinstance(pipeline, Mapping) else ()
    return next((row["script"] for row in rows if "script" in row), None)


def _replacing(deployed: Json) -> str:
    """Index state management replaces a policy only for who names the version that he has read."""
    if not isinstance(deployed, Mapping) or "_seq_no" not in deployed:
        return ""
    return f"?if_seq_no={deployed['_seq_no']}&if_primary_term={deployed['_primary_term']}"


def _holds(deployed: Json, wanted: Json) -> bool:
    """Whether all that is wanted stands there; servers add defaults and times of their own."""
    if isinstance(wanted, list):
        same = isinstance(deployed, list) and len(deployed) == len(wanted)
        return same and all(map(_holds, deployed, wanted))
    if isinstance(wanted, Mapping):
        return isinstance(deployed, Mapping) and all(
            key in deployed and _holds(deployed[key], value) for key, value in wanted.items()
        )
    return bool(deployed == wanted)


def require(reply: Reply, doing: str) -> None:
    """Raises ``ConfigError`` with the server's reason where it refused. ``doing`` says what was tried."""
    if reply.status >= 300:
        raise ConfigError(f"{doing}: the server answered {reply.status}: {_reason(reply.body)}")


def _reason(body: Json) -> str:
    error = body.get("error") if isinstance(body, dict) else body
    return str(error.get("reason") or error.get("type")) if isinstance(error, dict) else str(error)


def _lines(value: Json) -> list[str]:
    return [_short(line) for line in json.dumps(value, indent=1, sort_keys=True).splitlines()]


def _short(line: str, most: int = 200) -> str:
    return line if len(line) <= most else f"{line[:most]}… ({len(line)} characters, {hash_of(line)})"


def hash_of(text: str) -> str:
    """A few characters that differ where the text differs."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def states(changes: Iterable[Change]) -> Iterator[str]:
    """One line an asset."""
    for change in changes:
        yield f"{change.state:<12} {change.asset.kind} {change.asset.name}"
