"""Where settings come from: a TOML file, a secrets directory and the environment, of which the later wins."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from connector.errors import ConfigError
from connector.settings.problems import explain
from connector.settings.tree import Kinds, Settings, settings_model


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


def json_schema(kinds: Kinds) -> str:
    """The JSON schema of the settings file, for editors."""
    return json.dumps(settings_model(kinds).model_json_schema(), indent=2, sort_keys=True)
