"""macOS Endpoint Security events, as ``eslogger`` writes them: one JSON object a message.

``event`` holds one object under the event's short name. There is no formal schema; the objects follow ``es_message_t``.
Sources: eslogger(1) and https://developer.apple.com/documentation/endpointsecurity
"""

from __future__ import annotations

from typing import Final

from connector.events.canonical import text_of
from connector.events.family import Family, Node
from connector.events.lift import lift, lifts
from connector.events.paths import inner, put
from connector.types import Document, Json

DATASET: Final = "macos.endpointsecurity"

_MOST_ARGS: Final = 256
_MOST_ENV: Final = 64

_CATEGORIES: Final = {
    "exec": ("process", "start"),
    "fork": ("process", "start"),
    "exit": ("process", "end"),
    "signal": ("process", "change"),
    "trace": ("process", "access"),
    "get_task": ("process", "access"),
    "get_task_read": ("process", "access"),
    "get_task_inspect": ("process", "access"),
    "get_task_name": ("process", "access"),
    "remote_thread_create": ("process", "change"),
    "proc_check": ("process", "access"),
    "proc_suspend_resume": ("process", "change"),
    "cs_invalidated": ("process", "change"),
    "setuid": ("process", "change"),
    "setgid": ("process", "change"),
    "seteuid": ("process", "change"),
    "setegid": ("process", "change"),
    "setreuid": ("process", "change"),
    "setregid": ("process", "change"),
    "su": ("session", "start"),
    "sudo": ("process", "start"),
    "open": ("file", "access"),
    "close": ("file", "access"),
    "create": ("file", "creation"),
    "write": ("file", "change"),
    "truncate": ("file", "change"),
    "rename": ("file", "change"),
    "unlink": ("file", "deletion"),
    "link": ("file", "creation"),
    "clone": ("file", "creation"),
    "copyfile": ("file", "creation"),
    "exchangedata": ("file", "change"),
    "access": ("file", "access"),
    "stat": ("file", "access"),
    "lookup": ("file", "access"),
    "readdir": ("file", "access"),
    "readlink": ("file", "access"),
    "mmap": ("file", "access"),
    "chdir": ("file", "access"),
    "chroot": ("process", "change"),
    "dup": ("file", "access"),
    "fcntl": ("file", "access"),
    "fsgetpath": ("file", "access"),
    "file_provider_materialize": ("file", "access"),
    "file_provider_update": ("file", "change"),
    "getattrlist": ("file", "access"),
    "getextattr": ("file", "access"),
    "listextattr": ("file", "access"),
    "searchfs": ("file", "access"),
    "setattrlist": ("file", "change"),
    "setextattr": ("file", "change"),
    "deleteextattr": ("file", "change"),
    "setacl": ("file", "change"),
    "setflags": ("file", "change"),
    "setmode": ("file", "change"),
    "setowner": ("file", "change"),
    "utimes": ("file", "change"),
    "mount": ("host", "change"),
    "remount": ("host", "change"),
    "unmount": ("host", "change"),
    "kextload": ("driver", "start"),
    "kextunload": ("driver", "end"),
    "iokit_open": ("driver", "info"),
    "uipc_bind": ("network", "start"),
    "uipc_connect": ("network", "connection"),
    "pty_grant": ("session", "info"),
    "pty_close": ("session", "info"),
    "settime": ("configuration", "change"),
    "authentication": ("authentication", "start"),
    "login_login": ("session", "start"),
    "login_logout": ("session", "end"),
    "lw_session_login": ("session", "start"),
    "lw_session_logout": ("session", "end"),
    "lw_session_lock": ("session", "info"),
    "lw_session_unlock": ("session", "info"),
    "openssh_login": ("session", "start"),
    "openssh_logout": ("session", "end"),
    "screensharing_attach": ("session", "start"),
    "screensharing_detach": ("session", "end"),
    "authorization_petition": ("iam", "info"),
    "authorization_judgement": ("iam", "info"),
    "btm_launch_item_add": ("configuration", "creation"),
    "btm_launch_item_remove": ("configuration", "deletion"),
    "profile_add": ("configuration", "creation"),
    "profile_remove": ("configuration", "deletion"),
    "tcc_modify": ("configuration", "change"),
    "gatekeeper_user_override": ("configuration", "change"),
    "xp_malware_detected": ("malware", "info"),
    "xp_malware_remediated": ("malware", "info"),
    "xpc_connect": ("process", "info"),
    "od_create_user": ("iam", "creation"),
    "od_create_group": ("iam", "creation"),
    "od_delete_user": ("iam", "deletion"),
    "od_delete_group": ("iam", "deletion"),
    "od_group_add": ("iam", "change"),
    "od_group_remove": ("iam", "change"),
    "od_group_set": ("iam", "change"),
    "od_modify_password": ("iam", "change"),
    "od_disable_user": ("iam", "change"),
    "od_enable_user": ("iam", "change"),
    "od_attribute_value_add": ("iam", "change"),
    "od_attribute_value_remove": ("iam", "change"),
    "od_attribute_set": ("iam", "change"),
}
"""``event.category`` and ``event.type`` by the event's short name; any other is ``host`` and ``info``."""

_PROCESS: Final = lifts(
    {
        "executable": "executable.path",
        "pid": "audit_token.pid",
        "real_user.id": "audit_token.ruid",
        "user.id": "audit_token.euid",
        "start": "start_time",
        "session_leader.pid": "session_id",
        "code_signature.signing_id": "signing_id",
        "code_signature.team_id": "team_id",
        "hash.cdhash": "cdhash",
        "tty.name": "tty.path",
        "Ext.platform_binary": "is_platform_binary",
    }
)
_EVENT: Final = lifts(
    {
        "file.path": (
            *("destination.existing_file.path", "destination.path", "target.path", "file.path", "file1.path"),
            *("source.path", "item.item_url", "detected_path", "statfs.f_mntonname", "target_file.path"),
        ),
        "file.Ext.original.path": "source.path",
        "file.mode": "mode",
        "user.name": ("username", "user_name", "to_username", "authentication_username"),
        "source.address": "source_address",
        "macos.endpointsecurity.malware": "malware_identifier",
        "macos.endpointsecurity.driver": ("identifier", "user_client_class"),
        "macos.endpointsecurity.attribute": "extattr",
        "macos.endpointsecurity.signal": "sig",
        "macos.endpointsecurity.item": (
            "executable_path",
            "item.executable_path",
            "profile.identifier",
            "service_name",
        ),
    }
)
_PLACES: Final = (
    ("destination.new_path.dir", "destination.new_path", "filename"),
    ("destination.new_path.dir", "destination.new_path", "dir_filename"),
    ("target_dir", "", "target_filename"),
    ("target_dir", "", "target_name"),
    ("source_dir", "", "relative_target"),
    ("dir", "", "filename"),
)
"""Where a new file's folder stands, and where its name: the object that holds it and the key."""


def _node(record: Document, where: str) -> Document:
    for key in where.split(".") if where else ():
        record = inner(record, key)
    return record


def _placed(body: Document) -> str | None:
    """The path of a file that an event names by its folder and its name."""
    for folder, holder, key in _PLACES:
        name, path = _node(body, holder).get(key), _node(body, folder).get("path")
        if type(name) is str and type(path) is str and name:
            return f"{path.rstrip('/')}/{name}"
    return None


def _process(source: Document) -> Node:
    process: Node = {}
    lift(process, source, _PROCESS)
    for owner in ("user", "real_user"):
        if owner in process:
            process[owner]["id"] = text_of(process[owner]["id"])
    path = process.get("executable")
    if type(path) is str:
        process["name"] = path.rpartition("/")[2]
    return process


def _parented(process: Node, parent: Json) -> Node:
    if type(parent) is int:
        process["parent"] = {"pid": parent}
    return process


def _started(body: Document, actor: Document) -> Node:
    """The process that an ``exec`` makes of the one that calls it, which keeps its id."""
    target = inner(body, "target")
    process = _parented(_process(target), target.get("ppid"))
    args = body.get("args")
    if type(args) is list:
        texts = [arg for arg in args[:_MOST_ARGS] if type(arg) is str]
        process |= {"args": texts, "args_count": len(args), "command_line": " ".join(texts)}
    env = body.get("env")
    if type(env) is list:
        loaded = [line for line in env if type(line) is str and line.startswith("DYLD_")][:_MOST_ENV]
        if loaded:
            process["env_vars"] = loaded
    put(process, "working_directory", inner(body, "cwd").get("path"))
    put(process, "Ext.script", inner(body, "script").get("path"))
    put(process, "previous.executable", inner(actor, "executable").get("path"))
    return process


def _acting(name: str, body: Document, actor: Document) -> Node:
    if name == "exec":
        return _started(body, actor)
    if name == "fork":
        return _process(inner(body, "child")) | {"parent": _process(actor)}
    return _parented(_process(actor), actor.get("ppid"))


def read(record: Document) -> Node | None:
    """An ``eslogger`` line; None for anything else."""
    event, actor = record.get("event"), record.get("process")
    if "event_type" not in record or type(event) is not dict or type(actor) is not dict or len(event) != 1:
        return None
    if "mach_time" not in record and "schema_version" not in record:
        return None
    (name, body) = next(iter(event.items()))
    body = body if type(body) is dict else {}
    category, kind = _CATEGORIES.get(name, ("host", "info"))
    described: Node = {
        "kind": "event",
        "dataset": DATASET,
        "provider": "endpointsecurity",
        "code": name,
        "action": name,
    }
    described |= {"category": [category], "type": [kind]}
    document: Node = {"event": described, "process": _acting(name, body, actor)}
    put(document, "@timestamp", text_of(record.get("time")) or None)
    put(document, "event.sequence", sequence if type(sequence := record.get("global_seq_num")) is int else None)
    if type(body.get("success")) is bool:
        described["outcome"] = "success" if body["success"] else "failure"
    if name not in {"exec", "fork"}:
        _tell(document, body)
    if "user" not in document:
        put(document, "user.id", document["process"].get("user", {}).get("id"))
    return document


def _tell(document: Node, body: Document) -> None:
    """What an event that starts no process is about."""
    put(document, "file.path", _placed(body))
    lift(document, body, _EVENT)
    file = document.get("file", {})
    if file.get("Ext", {}).get("original", {}).get("path") == file.get("path"):
        file.pop("Ext", None)
    target = inner(body, "target")
    if "audit_token" in target:
        document.setdefault("macos", {})["target"] = _process(target)


FAMILY: Final = Family("macos", datasets=frozenset({DATASET}), read=read)
