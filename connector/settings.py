"""One typed tree of settings: a TOML file, the environment (``TRIAGED_…``), and a secrets directory.

Later sources win: defaults < TOML file < secrets directory < environment. Nested keys are joined by ``__`` in the
environment and in the names of secret files (``TRIAGED_LEDGER__URL``, a file ``ledger__url``). Unknown keys are refused.
Adapters bring their own ``Config`` models, derived from the bases here; :func:`load` receives them and builds the tree.
"""

from __future__ import annotations

import difflib
import hashlib
import ipaddress
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError

from connector.errors import ConfigError
from connector.review_settings import ReviewSettings
from connector.types import Cause, Disposition

FILE_SECTION = "the settings file"

_LONGEST = timedelta(days=36_500)
Stretch = Annotated[timedelta, Field(ge=timedelta(0), le=_LONGEST)]
"""A stretch of time that may be nothing."""
Every = Annotated[timedelta, Field(ge=timedelta(milliseconds=10), le=_LONGEST)]
"""How often a job runs; shorter than this it would only spin."""
Lease = Annotated[timedelta, Field(ge=timedelta(seconds=1), le=timedelta(days=1))]
"""How long a claim holds: longer than a stalled thread, shorter than a dead process may be waited for."""
Kept = Annotated[timedelta, Field(ge=timedelta(hours=1), le=_LONGEST)]
"""How long something is kept."""


class Section(BaseModel):
    """A frozen table of settings that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSettings(Section):
    """What every source has. An adapter's ``Config`` derives from it and sets ``type`` to its own literal."""

    type: str
    deployment: str = Field(description="names the SIEM; sources that share it share event ids")
    every: Every = Field(timedelta(seconds=10), description="how often to poll")
    jitter: Stretch = Field(timedelta(0), description="a random delay up to this is added to each poll")
    settle: Stretch = Field(timedelta(seconds=5), description="how far behind the server's clock to stay")
    lookback: Stretch = Field(timedelta(hours=1), description="how late an event may become searchable")
    start: Literal["now", "beginning"] = Field("now", description="where a source without a cursor begins")
    batch: int = Field(1000, ge=1, le=50_000, description="events a batch")
    targets: tuple[str, ...] | None = Field(None, description="writers that get the verdicts; absent: all")

    def kept_in(self, folder: Path, name: str) -> Self:  # noqa: ARG002 - for adapters that keep something beside the ledger
        """The same, where the adapter keeps something of its own: in this folder, for the source of this name."""
        return self


class TargetSettings(Section):
    """What every writer has."""

    type: str
    every: Every = Field(timedelta(seconds=1), description="how often to look for rows to deliver")
    batch: int = Field(500, ge=1, description="records a call")
    max_pending: int = Field(1_000_000, ge=1, description="rows that may wait before the target counts as full")
    when_full: Literal["park", "pause"] = "pause"
    max_attempts: int = Field(20, ge=1, description="tries across calls before a record becomes a dead letter")
    entities: bool = Field(default=False, description="send the risk of hosts and users, and incidents, too")


class SoarSettings(Section):
    """What every SOAR has."""

    type: str
    every: Every = timedelta(seconds=1)
    max_pending: int = Field(10_000, ge=1)
    when_full: Literal["park", "pause"] = "park"
    max_attempts: int = Field(10, ge=1)
    run_timeout: Every = Field(timedelta(days=1), description="how long a run may go on before it counts as timed out")


class HistorySettings(Section):
    """What every alert history has."""

    type: str
    every: Every = timedelta(minutes=5)
    batch: int = Field(500, ge=1)


class LedgerSettings(Section):
    """Where the one state lives."""

    url: SecretStr | None = Field(
        None, description="SQLAlchemy URL; absent: SQLite in data_dir. postgresql+psycopg://… when replicas share work"
    )
    lease: Lease = Field(timedelta(seconds=60), description="how long a claim holds without being renewed")


class RetentionSettings(Section):
    """How long the ledger keeps what. Tombstones outlive verdicts, so that ids keep deduplicating."""

    every: Every = timedelta(hours=1)
    verdicts: Kept = timedelta(days=90)
    snapshots: Kept = timedelta(days=90)
    tombstones: Kept = timedelta(days=180)
    dead_letters: Kept = timedelta(days=90)
    snapshot_share: float = Field(0.01, ge=0, le=1, description="share of benign events that are kept as snapshots")


class ExportSettings(Section):
    """What closed alerts become. Nothing is exported without a key."""

    key: SecretStr | None = Field(
        None, description="of the pseudonyms, at least 16 bytes; never written anywhere; absent: no export"
    )
    every: Every = timedelta(hours=1)
    folder: Path | None = Field(None, description="where exports lie; absent: `export` in data_dir")
    parquet: bool = Field(False, description="write the labels as Parquet too (extra `train`)")
    service_accounts: tuple[str, ...] = Field((), description="further patterns of users that are no person")
    unnamed_are_people: bool = Field(False, description="whether closures that name nobody label something")
    bulk_closures: int = Field(50, ge=1, description="closures of one user within `bulk_within`; more label nothing")
    bulk_within: Stretch = timedelta(minutes=1)
    dispositions: dict[str, Disposition] = Field({}, description="further words for dispositions, or tags")
    causes: dict[str, Cause] = Field({}, description="further tags for causes of false positives")
    comments: dict[str, Cause] = Field({}, description="patterns of comments that tell such a cause")


class ModelSettings(Section):
    """Which bundle scores, and with how much."""

    store: Path | None = Field(None, description="the model store; absent: the one that is shipped")
    bundle: str | None = Field(None, description="name/version; absent: what the store has in production")
    shadow: str | None = Field(None, description="name/version of a challenger that scores beside, and changes nothing")
    threads: int = Field(0, ge=0, description="ONNX threads a member; 0: one a core")
    cache_entries: int = Field(200_000, ge=0, description="scores kept by fingerprint")
    rules: tuple[Path, ...] = Field(
        (), description="folders of your own Sigma rules, for a bundle with a `rules` member; read again as they change"
    )


class SiteSettings(Section):
    """The site layer: what is ordinary here, learnt from what passes."""

    folder: Path | None = Field(None, description="where layers lie; absent: no layer is learnt or applied")
    every: Every = Field(timedelta(hours=6), description="how often to learn")
    events: int = Field(50_000, ge=1, description="events below which the baseline does not stand")
    days: int = Field(7, ge=1, description="days below which the baseline does not stand")
    per_10000: float | None = Field(
        None, gt=0, description="alarms (malicious) wanted per 10,000 events; absent: no more than the bundle states"
    )
    rules: Path | None = Field(
        None, description="a folder of Sigma rules (extra `rules`): what they fire on is left out"
    )


class PolicySettings(Section):
    """Which policy decides."""

    path: Path | None = Field(None, description="a policy TOML; absent: the one that is shipped")
    playbooks: Path | None = Field(None, description="a folder of CACAO playbooks; absent: the shipped ones")


class EnrichmentSettings(Section):
    """What the site knows of its own: read at the start, and again on SIGHUP."""

    assets: tuple[Path, ...] = Field((), description="CSV or TOML files: tags of hosts, agents, addresses and users")
    lists: tuple[Path, ...] = Field((), description="CSV or TOML files: entries of allow and block lists")


class LogSettings(Section):
    """How to log."""

    format: Literal["auto", "json", "console"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class MetricsSettings(Section):
    """Where Prometheus may scrape; 0 switches it off."""

    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)


Scope = Literal["classify", "ingest", "approve", "review", "admin"]
"""What a client of the API may do: ask for verdicts, push events, decide on actions, answer questions, or all of it."""

CLEARTEXT = "tokens and events cross the network in clear text"
HASHED = "sha256:"
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,64}")
SHORTEST_TOKEN = 32
"""Characters. Only a token's SHA-256 is kept, which protects none that could be guessed."""


class TokenSettings(Section):
    """One client of the API. The token is read once; from then on only its SHA-256 is in memory."""

    token: SecretStr = Field(description="at least 32 characters; or `sha256:` and the hex digest of one")
    scopes: tuple[Scope, ...] = ()
    inlet: str | None = Field(None, description="where its events enter; absent: the only inlet that there is")
    rate: float | None = Field(None, gt=0, description="requests a second; absent: what the section says")

    @field_validator("token")
    @classmethod
    def _hash(cls, token: SecretStr) -> SecretStr:
        """Forgets the token."""
        given = token.get_secret_value()
        if given.startswith(HASHED):
            digest = given.removeprefix(HASHED).lower()
            if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise ValueError(f"{HASHED} must be followed by 64 hexadecimal digits")
            return SecretStr(HASHED + digest)
        if len(given) < SHORTEST_TOKEN:
            raise ValueError(f"a token has at least {SHORTEST_TOKEN} characters: `openssl rand -hex 32` makes one")
        return SecretStr(HASHED + hashlib.sha256(given.encode()).hexdigest())


class InletSettings(Section):
    """Where pushed events enter; in every other way a source that nobody polls."""

    deployment: str = Field(description="names the SIEM; sources and inlets that share it share event ids")
    targets: tuple[str, ...] | None = Field(None, description="writers that get the verdicts; absent: all")
    batch: int = Field(1000, ge=1, le=50_000, description="events a transaction")


class ApiSettings(Section):
    """The HTTP API: off until it has a port or a socket."""

    host: str = Field("127.0.0.1", description="another address than this machine's own needs TLS")
    port: int = Field(0, ge=0, le=65535, description="0: no TCP port")
    socket: Path | None = Field(None, description="a Unix socket of mode 0600, instead of a port")
    certificate: Path | None = Field(None, description="PEM, with its chain: TLS")
    key: Path | None = Field(None, description="PEM, of the certificate")
    accept: Literal["tokens and events cross the network in clear text"] | None = None
    max_body: int = Field(16 << 20, ge=1024, description="bytes of a request's body, unpacked")
    max_events: int = Field(10_000, ge=1, description="events a request")
    rate: float = Field(50.0, gt=0, description="requests a second that each token may make for long")
    burst: int = Field(100, ge=1, description="requests that it may make at once")
    workers: int = Field(2, ge=1, le=64, description="requests that score at the same time")
    tokens: dict[str, TokenSettings] = {}
    inlets: dict[str, InletSettings] = {}

    @property
    def on(self) -> bool:
        """Whether it listens at all."""
        return bool(self.port) or self.socket is not None

    @property
    def is_local(self) -> bool:
        """Whether nobody but this machine can reach it."""
        if self.socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @model_validator(mode="after")
    def _can_be_served(self) -> Self:
        if self.port and self.socket is not None:
            raise ValueError("give a port or a socket, not both")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        if self.on and not self.is_local and self.certificate is None and self.accept != CLEARTEXT:
            raise ValueError(
                f"{self.host} is not this machine alone: give certificate and key, or write `accept = {CLEARTEXT!r}`"
            )
        if self.on and not self.tokens:
            raise ValueError("without a token nobody could ask: name one in `[api.tokens.NAME]`")
        return self

    @model_validator(mode="after")
    def _tokens_differ(self) -> Self:
        names: dict[str, str] = {}
        for name, token in self.tokens.items():
            if (other := names.setdefault(token.token.get_secret_value(), name)) != name:
                raise ValueError(
                    f"tokens.{other} and tokens.{name} have the same token: whose request it is must be clear"
                )
        return self

    @model_validator(mode="after")
    def _inlets_are_named(self) -> Self:
        known = ", ".join(self.inlets) or "none"
        if odd := [name for name in (*self.tokens, *self.inlets) if not _PLAIN.fullmatch(name)]:
            raise ValueError(
                f"{odd[0]!r}: names of tokens and inlets are letters, digits, `_`, `.` and `-`, at most 64"
            )
        for name, token in self.tokens.items():
            if token.inlet is not None and token.inlet not in self.inlets:
                raise ValueError(f"tokens.{name}.inlet names {token.inlet!r}; inlets are: {known}")
            if token.inlet is None and {"ingest", "admin"} & set(token.scopes) and len(self.inlets) > 1:
                raise ValueError(f"tokens.{name}.inlet must say which inlet its events enter: {known}")
            if "ingest" in token.scopes and not self.inlets:
                raise ValueError(f"tokens.{name} may push events, and there is no `[api.inlets.NAME]` for them")
        return self


class TaxiiSettings(Section):
    """Credentials for TAXII servers that `triaged learn intel` reads from."""

    user: str | None = None
    password: SecretStr | None = None


_ANSWERS: Final = "review"
"""The alert history of our own, as the ledger calls it."""


class Settings(BaseSettings):
    """The whole tree. :func:`load` narrows the adapter tables to the installed plug-ins."""

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix="TRIAGED_", env_nested_delimiter="__", validate_default=True
    )

    data_dir: Path = Path("triaged-data")
    origin_key: SecretStr | None = Field(
        None, description="key of the MAC that marks our own records; absent: made once and kept in data_dir"
    )
    ledger: LedgerSettings = LedgerSettings()
    retention: RetentionSettings = RetentionSettings()
    model: ModelSettings = ModelSettings()
    site: SiteSettings = SiteSettings()
    policy: PolicySettings = PolicySettings()
    enrichment: EnrichmentSettings = EnrichmentSettings()
    export: ExportSettings = ExportSettings()
    review: ReviewSettings = ReviewSettings()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()
    api: ApiSettings = ApiSettings()
    taxii: TaxiiSettings = TaxiiSettings()
    sources: dict[str, SourceSettings] = {}
    targets: dict[str, TargetSettings] = {}
    soars: dict[str, SoarSettings] = {}
    histories: dict[str, HistorySettings] = {}

    @model_validator(mode="after")
    def _names_exist(self) -> Settings:
        entries: dict[str, SourceSettings | InletSettings] = {f"sources.{n}": s for n, s in self.sources.items()}
        entries |= {f"api.inlets.{name}": inlet for name, inlet in self.api.inlets.items()}
        for name, entry in entries.items():
            for target in entry.targets or ():
                if target not in self.targets:
                    known = ", ".join(self.targets) or "none"
                    raise ValueError(f"{name}.targets names {target!r}; targets are: {known}")
        if twice := sorted(self.sources.keys() & self.api.inlets.keys()):
            raise ValueError(f"{', '.join(twice)} names a source and an inlet: dead letters could not tell them apart")
        if _ANSWERS in self.histories:
            raise ValueError(
                f"histories.{_ANSWERS}: under this name lie answers to our own questions; take another one"
            )
        return self

    @model_validator(mode="after")
    def _keys_outlive_lookback(self) -> Settings:
        longest = max((s.lookback for s in self.sources.values()), default=timedelta(0))
        if self.retention.tombstones < self.retention.verdicts or self.retention.verdicts < 2 * longest:
            raise ValueError(
                "retention: tombstones must be kept at least as long as verdicts, and verdicts at least twice the "
                f"longest lookback ({longest}), or an event could get a second verdict"
            )
        return self


Kinds = Mapping[str, Iterable[type[Section]]]
"""Adapter ``Config`` models by table: ``sources``, ``targets``, ``soars``, ``histories``."""


def settings_model(kinds: Kinds) -> type[Settings]:
    """The settings class whose adapter tables accept exactly the given ``Config`` models, told apart by ``type``."""
    tables: dict[str, Any] = {}
    for table, configs in kinds.items():
        union = tuple(configs)
        if union:
            one_of = reduce(or_, union)
            value = Annotated[one_of, Field(discriminator="type")] if len(union) > 1 else one_of
            tables[table] = (dict[str, value], {})  # type: ignore[valid-type]
    return create_model("Settings", __base__=Settings, **tables)


def load(path: Path | None, kinds: Kinds, *, secrets_dir: Path | None = None) -> Settings:
    """Reads the settings. Raises ``ConfigError`` that names the offending key, and the keys that exist."""
    model = settings_model(kinds)
    table: dict[str, Any] = {}
    if path is not None:
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ConfigError(f"settings file {path} does not exist") from error
        except OSError as error:
            raise ConfigError(f"settings file {path} cannot be read: {error.strerror}") from error
        except (RecursionError, ValueError) as error:  # not TOML, not UTF-8, or nested without end
            raise ConfigError(f"settings file {path} is not TOML: {error}") from error

    class Sourced(model):  # type: ignore[valid-type,misc]
        """Fixes the order of the sources."""

        model_config = SettingsConfigDict(secrets_dir=secrets_dir)

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (the signature is pydantic-settings')
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (read by nested_secrets)
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return env_settings, nested_secrets(settings_cls, secrets_dir), init_settings

    try:
        settings: Settings = Sourced(**table)
    except ValidationError as error:
        raise ConfigError(explain(error, model, path)) from error
    except SettingsError as error:
        raise ConfigError(f"the environment cannot be read: {error}") from error
    return settings


def nested_secrets(settings_cls: type[BaseSettings], directory: Path | None) -> PydanticBaseSettingsSource:
    """Reads ``a__b__c`` files of the secrets directory as the setting ``a.b.c``."""
    tree: dict[str, Any] = {}
    try:
        for file in sorted(directory.iterdir()) if directory and directory.is_dir() else ():
            if file.is_file() and not file.name.startswith("."):
                _graft(tree, file, file.read_text(encoding="utf-8").strip())
    except OSError as error:
        raise ConfigError(f"secret {error.filename} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"a secret in {directory} is not UTF-8 text: byte {error.start}") from None
    return InitSettingsSource(settings_cls, init_kwargs=tree)


def _graft(tree: dict[str, Any], file: Path, value: str) -> None:
    *parents, leaf = file.name.lower().split("__")
    node = tree
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ConfigError(f"secret {file}: {parent!r} is a secret file itself, and cannot be a table as well")
    node[leaf] = value


def explain(error: ValidationError, model: type[BaseModel], path: Path | None) -> str:
    """One line a problem: where it is, what is wrong, and for an unknown key the keys that exist there."""
    lines = [f"{path or FILE_SECTION} has {error.error_count()} problem(s):"]
    schema = model.model_json_schema()
    for problem in error.errors(include_url=False, include_input=False):
        where = [str(part) for part in problem["loc"]]
        message = problem["msg"]
        if problem["type"] == "extra_forbidden":
            known = known_keys(schema, where[:-1])
            near = difflib.get_close_matches(where[-1], known, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            message = f"unknown key{hint}. Keys here: {', '.join(known)}"
        lines.append(f"  {_written(schema, where) or 'settings'}: {message}")
    return "\n".join(lines)


def known_keys(schema: Mapping[str, Any], where: Iterable[str]) -> list[str]:
    """The keys that the JSON schema allows at a place; places inside an adapter table carry its ``type`` tag."""
    node: Mapping[str, Any] = schema
    for part in where:
        node, _ = _below(schema, node, part)
    return sorted(_resolve(schema, node).get("properties", {}))


def _written(schema: Mapping[str, Any], where: Iterable[str]) -> str:
    """The place as the file spells it: without the tags."""
    node: Mapping[str, Any] = schema
    keys = []
    for part in where:
        node, tag = _below(schema, node, part)
        if not tag:
            keys.append(part)
    return ".".join(keys)


def _below(schema: Mapping[str, Any], node: Mapping[str, Any], part: str) -> tuple[Mapping[str, Any], bool]:
    """What the schema says one step down, and whether that step is a tag and no key of the file."""
    node = _resolve(schema, node)
    choices = node.get("discriminator", {}).get("mapping", {})
    if part in choices:
        return {"$ref": choices[part]}, True
    if part in node.get("properties", {}):
        return node["properties"][part], False
    if "items" in node:
        return node["items"], False
    return node.get("additionalProperties") or {}, False


def _resolve(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference stands for; of a table that may be absent, the table."""
    while "$ref" in node or "anyOf" in node:
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
        else:
            node = next((choice for choice in node["anyOf"] if choice.get("type") != "null"), {})
    return node


def json_schema(kinds: Kinds) -> str:
    """The JSON schema of the settings file, for editors."""
    return json.dumps(settings_model(kinds).model_json_schema(), indent=2, sort_keys=True)
