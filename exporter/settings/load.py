"""Where settings come from: flags over environment over file, every mistake named in one line."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_settings import TomlConfigSettingsSource

from exporter.errors import SettingsError
from exporter.settings.model import SECRETS, Settings

PREFIX = "EXPORTER_"
ELSEWHERE = ("CONFIG", "FAIL_POINT")  # variables that are no settings
SPELT = {"as_json": "json"}  # which is the name of a method of every model
EXCLUSIVE = (("region", "base_url"), ("secret_key", "secret_key_file", "usersig"))
"""Names for one thing: a layer that gives one of them wins over all of them in the layers below."""
DEFAULT = "default"
_KUBERNETES = re.compile(rf"{PREFIX}(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")
"""Variables that every pod gets of a Service called `exporter`."""


_NAMES = {written: name for name, written in SPELT.items()}


class Given(NamedTuple):
    """A value as somebody gave it, and where."""

    value: object
    where: str


def spelt(name: str) -> str:
    """Return the name of a setting as users write it: the key of a file; its flag and variable are made of it."""
    return SPELT.get(name, name)


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{spelt(name).replace('_', '-')}"


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return f"{PREFIX}{spelt(name).upper()}"


def load(config: Path | None = None, before: Mapping[str, object] | None = None, /, **flags: object) -> Settings:
    """Make the settings from flags that were given, the environment, a TOML file, and those of a run `before`.

    Raises SettingsError, one line that names every mistake.
    """
    return only(**{name: found.value for name, found in given(config, before, **flags).items()})


def given(
    config: Path | None = None, before: Mapping[str, object] | None = None, /, **flags: object
) -> dict[str, Given]:
    """Say what was given, and where: what no layer gives has its default. Raises SettingsError."""
    merged: dict[str, Given] = {}
    _refuse_misspelt(os.environ)
    for layer in _layers(config, before or {}, flags):
        won = {name for names in EXCLUSIVE if any(name in layer for name in names) for name in names}
        merged = {**{name: found for name, found in merged.items() if name not in won}, **layer}
    return merged


def _layers(
    config: Path | None, before: Mapping[str, object], flags: Mapping[str, object]
) -> Sequence[Mapping[str, Given]]:
    """Every source of settings, the last one wins."""
    environment = {name.upper(): value for name, value in os.environ.items() if value}
    return (
        {name: Given(value, "the export") for name, value in before.items()},
        {name: Given(value, str(config)) for name, value in (_file(config) if config else {}).items()},
        {
            name: Given(environment[variable(name)], variable(name))
            for name in Settings.model_fields
            if variable(name) in environment
        },
        {name: Given(value, flag(name)) for name, value in flags.items() if value is not None},
    )


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
        values = {_NAMES.get(key, key): value for key, value in values.items()}
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: {_reason(error)}. Mend the file, or run without --config.") from None
    if secret := next((name for name in values if name in SECRETS), None):
        raise SettingsError(
            f"{config}: {secret} is a secret: give it as EXPORTER_{secret.upper()}, or name a secret_key_file."
        )
    return values


def _refuse_misspelt(environment: Iterable[str]) -> None:
    """Refuse variables that are nearly a setting; others may be somebody else's."""
    known = {variable(name) for name in Settings.model_fields} | {f"{PREFIX}{name}" for name in ELSEWHERE}
    for name in environment:
        if not name.startswith(PREFIX) or name in known or _KUBERNETES.fullmatch(name):
            continue
        if near := difflib.get_close_matches(name, known, 1, 0.85):
            raise SettingsError(f"{name} in the environment is no setting; did you mean {near[0]}?")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mistake(item: Mapping[str, Any]) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, map(spelt, Settings.model_fields), n=1)
        return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"{flag(name)}: {message}" if name else message
