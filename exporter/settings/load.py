"""Where settings come from: flags over environment over file, every mistake named in one line."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource, TomlConfigSettingsSource

from exporter.errors import SettingsError
from exporter.settings.model import SECRETS, Settings

PREFIX = "EXPORTER_"
ELSEWHERE = ("OUT", "CONFIG", "JSON")  # variables of flags that are no settings
EXCLUSIVE = (("region", "base_url"), ("secret_key", "secret_key_file", "usersig"))
"""Names for one thing: a layer that gives one of them wins over all of them in the layers below."""


def load(config: Path | None = None, before: Mapping[str, object] | None = None, /, **flags: object) -> Settings:
    """Make the settings from flags that were given, the environment, a TOML file, and those of a run `before`.

    Raises SettingsError, one line that names every mistake.
    """
    merged: dict[str, object] = {}
    given = {name: value for name, value in flags.items() if value is not None}
    _refuse_misspelt(os.environ)
    for layer in (before or {}, _file(config) if config else {}, EnvSettingsSource(Settings)(), given):
        won = {name for names in EXCLUSIVE if any(name in layer for name in names) for name in names}
        merged = {**{name: value for name, value in merged.items() if name not in won}, **layer}
    return only(**merged)


def only(**values: object) -> Settings:
    """Make the settings from these values alone. Raises SettingsError, one line that names every mistake."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("; ".join(_mistake(item) for item in error.errors())) from None


def _file(config: Path) -> dict[str, Any]:
    if not config.is_file():
        raise SettingsError(f"{config}: there is no such file. Give --config the path of a TOML file.")
    try:
        values = dict(TomlConfigSettingsSource(Settings, config)())
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: {_reason(error)}. Mend the file, or run without --config.") from None
    if secret := next((name for name in values if name in SECRETS), None):
        raise SettingsError(
            f"{config}: {secret} is a secret: give it as EXPORTER_{secret.upper()}, or name a secret_key_file."
        )
    return values


def _refuse_misspelt(environment: Iterable[str]) -> None:
    """Refuse variables that are nearly a setting; others may be somebody else's (EXPORTER_SERVICE_HOST)."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {f"{PREFIX}{name}" for name in ELSEWHERE}
    for name in environment:
        if name.startswith(PREFIX) and name not in known and (near := difflib.get_close_matches(name, known, 1, 0.85)):
            raise SettingsError(f"{name} in the environment is no setting; did you mean {near[0]}?")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mistake(item: Mapping[str, Any]) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"--{name.replace('_', '-')}: {message}" if name else message
