"""A playbook as SOARCA carries it out: filled from an action, and in the words that its capabilities want.

What is changed, since SOARCA reads three things in its own way (source: the executors of its releases 1.x)::

    agent       names the capability of SOARCA that acts; the agent that the playbook names becomes a target, and a step
                without a target does nothing, successfully
    address     a ``url`` is taken for the whole address, and the command's path is dropped: it is given as name and port
    variables   are put into commands as bare text: commands go out filled, with nothing left in them that could be replaced

The playbook's id is made of the action's key, so that the run can be found by it; ``derived_from`` names the original.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from connector import identity
from connector.errors import PermanentError
from connector.policy.cacao import Playbook
from connector.policy.render import RenderedStep, render
from connector.policy.variables import substitute, values
from connector.types import Action, Json

CAPABILITIES: Final[Mapping[str, str]] = {
    "http-api": "soarca-http-api",
    "openc2-http": "soarca-openc2-http",
    "ssh": "soarca-ssh",
    "powershell": "soarca-powershell",
    "manual": "soarca-manual",
}
"""Types of commands, and SOARCA's own capability for each."""

CLEAR: Final = frozenset({80, 8080})
"""Ports that SOARCA speaks HTTP on; HTTPS on every other."""


def playbook_id(key: str) -> str:
    """The id of the playbook that carries out the action of this key. CACAO allows a UUIDv5 there, and only there."""
    return f"playbook--{key}"


def for_soarca(playbook: Playbook, action: Action, capabilities: Mapping[str, str]) -> dict[str, Any]:
    """The playbook for one run.

    Raises ``PermanentError`` where the verdict has no value for a variable, or SOARCA cannot carry out a step.
    """
    filled = values(playbook, action)
    tree: dict[str, Any] = _without_blanks(msgspec.to_builtins(playbook))
    tree |= {"id": playbook_id(action.key), "derived_from": [playbook.id]}
    tree.pop("signatures", None)
    for name, variable in tree.get("playbook_variables", {}).items():
        variable["value"] = filled[name]
    agents = substitute(tree.pop("agent_definitions", {}), filled)
    targets = substitute(tree.get("target_definitions", {}), filled)
    tree |= {"agent_definitions": {}, "target_definitions": targets}
    for step in render(playbook, action):
        if step.commands:
            _for_capability(tree, step, agents, capabilities)
    tree["target_definitions"] = {key: _addressed(target, key) for key, target in targets.items()}
    return tree


def inert(value: Json) -> Json:
    """The same JSON with no reference in it that SOARCA would replace: a space is put into each.

    Values that read as references were refused before; this is for those that only come to be where JSON is decoded.
    """
    if isinstance(value, str):
        return value.replace("__:value", "__ :value")
    if isinstance(value, Mapping):
        return {key: inert(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [inert(one) for one in value]
    return value


def _for_capability(
    tree: dict[str, Any], rendered: RenderedStep, agents: Mapping[str, Json], capabilities: Mapping[str, str]
) -> None:
    """Gives a step its filled commands and the capability that runs them; its agent becomes its target."""
    step = tree["workflow"][rendered.id]
    kinds = {str(command["type"]) for command in rendered.commands}
    if len(kinds) > 1 or not kinds <= capabilities.keys():
        raise PermanentError(
            f"step {rendered.id} has commands of type {', '.join(sorted(kinds))}; SOARCA runs one type a step, of: "
            f"{', '.join(sorted(capabilities))}"
        )
    capability = capabilities[kinds.pop()]
    agent = f"soarca--{identity.derive('soarca', capability)}"
    tree["agent_definitions"][agent] = {"type": "soarca", "name": capability}
    if not step.get("targets"):
        tree["target_definitions"][step["agent"]] = agents[step["agent"]]
        step["targets"] = [step["agent"]]
    step["agent"] = agent
    step["commands"] = inert(rendered.commands)


def _addressed(target: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """The target with its ``url`` as name and port. Raises ``PermanentError`` for one that these cannot say."""
    urls = target.get("address", {}).get("url")
    if not urls:
        return target
    parts = urlsplit(str(urls[0]))
    try:
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        port = 0
    if not parts.hostname or parts.path.strip("/") or (port in CLEAR) != (parts.scheme == "http") or port == 0:
        raise PermanentError(
            f"target {key}: SOARCA cannot reach {urls[0]!r}: it wants a name alone (paths belong into the command), with "
            f"http on the ports {', '.join(map(str, sorted(CLEAR)))} and https on any other"
        )
    address = {"ipv4" if _is_ipv4(parts.hostname) else "dname": [parts.hostname]}
    return {**target, "address": address, "port": str(port)}


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False


def _without_blanks(node: Json) -> Json:
    """The tree without what is absent: the schema takes a property that is left out, and no null or empty list."""
    if isinstance(node, Mapping):
        kept = {key: _without_blanks(value) for key, value in node.items()}
        return {key: value for key, value in kept.items() if value is not None and value not in ("", [], {})}
    if isinstance(node, (list, tuple)):
        return [_without_blanks(value) for value in node]
    return node
