"""Where settings come from: flags over environment over file, every mistake named in one line."""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    TomlConfigSettingsSource,
)

from exporter.errors import SettingsError
from exporter.settings.model import SECRETS, Settings


def load(config: Path | None = None, /, **flags: object) -> Settings:
    """Make the settings from flags that were given, the environment, and a TOML file.

    Raises SettingsError, one line that names every mistake.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return _bound(config).model_validate(given)
    except ValidationError as error:
        raise SettingsError("; ".join(_mistake(item) for item in error.errors())) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: {_reason(error)}. Mend the file, or run without --config.") from None


def _bound(config: Path | None) -> type[Settings]:
    """Return Settings that also read this file."""
    if config is None:
        return Settings
    if not config.is_file():
        raise SettingsError(f"{config}: there is no such file. Give --config the path of a TOML file.")

    values = _values(config)

    class FromFile(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the shape that the library calls
            file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the shape that the library calls
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return (init_settings, env_settings, InitSettingsSource(settings_cls, values))

    return FromFile


def _values(config: Path) -> dict[str, Any]:
    values = dict(TomlConfigSettingsSource(Settings, config)())
    if secret := next((name for name in values if name in SECRETS), None):
        raise ValueError(f"{secret} is a secret: give it as EXPORTER_{secret.upper()}, or name a secret_key_file")
    return values


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mistake(item: Mapping[str, Any]) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"--{name.replace('_', '-')}: {message}" if name else message
