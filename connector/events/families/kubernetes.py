"""Kubernetes audit events: plain, of EKS, and of AKS wrapped in Azure's ``properties.log``, as Elastic's ``kubernetes.audit_logs``.

Source: https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from connector.errors import PermanentError
from connector.events.declared import declared
from connector.events.decode import decode
from connector.events.family import Family, Node
from connector.events.lift import is_address, lift, lifts, pruned, timed
from connector.events.paths import inner, put
from connector.types import Document, Json

_DECLARED: Final = frozenset(
    {
        "amazon.eks.audit",
        "kube.audit",
        "kube.apiserver.audit",
        "kubernetes.audit",
        "kubernetes.audit_logs",
        "aws.eks.audit",
    }
)
_AKS: Final = frozenset({"kube-audit", "kube-audit-admin"})
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_MOST_CONTAINERS: Final = 16
_TABLE: Final = lifts(
    {
        "@timestamp": ("requestReceivedTimestamp", "stageTimestamp"),
        "event.id": "auditID",
        "event.action": "verb",
        "user.name": ("impersonatedUser.username", "user.username"),
        "user_agent.original": "userAgent",
        "url.original": "requestURI",
        "orchestrator.api_version": "objectRef.apiVersion",
        "orchestrator.namespace": "objectRef.namespace",
        "orchestrator.resource.type": "objectRef.resource",
        "orchestrator.resource.name": "objectRef.name",
    }
)
_TYPES: Final = {
    "create": "creation",
    "update": "change",
    "patch": "change",
    "delete": "deletion",
    "deletecollection": "deletion",
}


def read(record: Document) -> Node | None:
    """An audit event in ECS; of Azure's diagnostic record, the event that it carries as text."""
    category = record.get("category")
    if type(category) is str and category in _AKS and (carried := _carried(record)) is not None:
        record = carried
    elif not _is_audit(record) and declared(record) not in _DECLARED:
        return None
    audit: Json = pruned({key: value for key, value in record.items() if not key.startswith("p_")}) or {}
    if type(notes := audit.get("annotations")) is dict:
        audit["annotations"] = {key.replace(".", "_"): value for key, value in notes.items()}
    document: Node = {
        "event": {"kind": "event", "dataset": "kubernetes.audit_logs", "category": ["configuration"]},
        "orchestrator": {"type": "kubernetes"},
        "kubernetes": {"audit": audit},
    }
    lift(document, record, _TABLE)
    put(document, "source.ip", next((ip for ip in _list(record, "sourceIPs") if is_address(ip)), None))
    code = inner(record, "responseStatus").get("code")
    event = document["event"]
    if type(code) is int:
        event["outcome"] = "success" if code < 400 else "failure"
    verb = event.get("action")
    event["type"] = [_TYPES.get(verb, "access") if type(verb) is str else "access"]
    add_pod(document, inner(record, "requestObject"))
    return timed(document)


def _is_audit(record: Document) -> bool:
    version = record.get("apiVersion")
    if type(version) is str and version.startswith("audit.k8s.io/"):
        return True
    return "objectRef" in record and "verb" in record


def _carried(record: Document) -> Document | None:
    log = inner(record, "properties").get("log")
    if type(log) is dict:
        return log
    if type(log) is not str:
        return None
    try:
        return decode(log)
    except PermanentError:
        return None


def _image_name(image: Json) -> str:
    """An image without the registry and the folders that it is kept in: these tell whose it is."""
    return image.rpartition("/")[2] if type(image) is str else ""


def add_pod(document: Node, requested: Document) -> None:
    """Names the containers of a pod, or of what makes pods (a deployment, a cron job): images, commands, privileges."""
    spec = inner(requested, "spec")
    template = inner(inner(spec, "jobTemplate"), "spec") or spec
    pod = inner(inner(template, "template"), "spec") or spec
    containers = [
        each for kind in _CONTAINERS if type(pod.get(kind)) is list for each in pod[kind] if type(each) is dict
    ][:_MOST_CONTAINERS]
    contexts = [inner(each, "securityContext") for each in containers]
    found: Node = {
        "image": _texts(each.get("image") for each in containers),
        "image_name": _texts(_image_name(each.get("image")) for each in containers),
        "command": _texts(" ".join(_words(each)) for each in containers),
        "capabilities": _texts(word for each in contexts for word in _list(inner(each, "capabilities"), "add")),
        "host_paths": _texts(
            inner(each, "hostPath").get("path") for each in _list(pod, "volumes") if type(each) is dict
        ),
        "rules": _texts(_rule(each) for each in _list(requested, "rules") if type(each) is dict),
        "subjects": _texts(each.get("kind") for each in _list(requested, "subjects") if type(each) is dict),
    }
    for name, key in (("privileged", "privileged"), ("escalation", "allowPrivilegeEscalation")):
        if any(each.get(key) is True for each in contexts):
            found[name] = True
    for name, key in (("host_network", "hostNetwork"), ("host_pid", "hostPID"), ("host_ipc", "hostIPC")):
        if pod.get(key) is True:
            found[name] = True
    for name, value in found.items():
        put(document, f"orchestrator.requested.{name}", value)


def _list(node: Document, key: str) -> list[Json]:
    value = node.get(key)
    return value[:_MOST_CONTAINERS] if type(value) is list else []


def _words(container: Document) -> list[str]:
    return [word for key in ("command", "args") for word in _list(container, key) if type(word) is str]


def _rule(rule: Document) -> str:
    """``verbs on resources`` of an RBAC rule."""
    verbs, resources = (
        ",".join(word for word in _list(rule, key) if type(word) is str) for key in ("verbs", "resources")
    )
    return f"{verbs} on {resources}" if verbs else ""


def _texts(values: Iterable[Json]) -> list[str] | None:
    """The distinct texts among some values, in order."""
    texts = [value for value in values if type(value) is str and value]
    return list(dict.fromkeys(texts)) or None


FAMILY: Final = Family("kubernetes", datasets=frozenset({"kubernetes.audit_logs"}), read=read)
