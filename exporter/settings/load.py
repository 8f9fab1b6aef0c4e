"""Where settings come from: flags over environment over file, every mistake named in one line."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

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
WORDS = {
    "int_parsing": "is no whole number; write digits alone",
    "int_type": "is no whole number; write digits alone",
    "int_from_float": "is no whole number; write digits alone",
    "float_parsing": "is no number; write one like 80 or 0.5",
    "float_type": "is no number; write one like 80 or 0.5",
    "finite_number": "is no number to count with; write one like 80",
    "bool_parsing": "is neither true nor false",
    "bool_type": "is neither true nor false",
    "literal_error": "is unknown; write {expected}",
    "greater_than": "is too little: it must be over {gt:g}",
    "greater_than_equal": "is too little: it must be at least {ge:g}",
    "less_than_equal": "is too much: it may be at most {le:g}",
    "string_type": "is no text; write it in quotes",
}
"""What the library's own kinds of mistakes mean, in plain words behind the value."""
_KUBERNETES = re.compile(rf"{PREFIX}(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_.*)?)")
"""Variables that every pod gets of a Service called `exporter`."""


_NAMES = {written: name for name, written in SPELT.items()}


class Given(NamedTuple):
    """A value as somebody gave it, and where."""

    value: object
    where: str

    def __repr__(self) -> str:
        return f"Given(from {self.where})"  # the value may be a secret


def spelt(name: str) -> str:
    """Return the name of a setting as users write it: the key of a file; its flag and variable are made of it."""
    return SPELT.get(name, name)


def flag(name: str) -> str:
    """Return the flag of a setting."""
    return f"--{spelt(name).replace('_', '-')}"


def variable(name: str) -> str:
    """Return the variable of a setting."""
    return f"{PREFIX}{spelt(name).upper()}"


def choices(name: str) -> tuple[str, ...]:
    """Return the values that a setting can have where these are few, or those that most people give."""
    field = Settings.model_fields[name]
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else tuple(field.examples or ())


def load(config: Path | None = None, before: Mapping[str, object] | None = None, /, **flags: object) -> Settings:
    """Make the settings from flags that were given, the environment, a TOML file, and those of a run `before`.

    Raises SettingsError, one line that names every mistake.
    """
    return made(given(config, before, **flags))


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
    return (
        {name: Given(value, "the export") for name, value in before.items()},
        {name: Given(value, str(config)) for name, value in (_file(config) if config else {}).items()},
        {
            name: Given(value, variable(name))
            for name in Settings.model_fields
            # An empty one is none.
            if (value := os.environ.get(variable(name))) and not _is_of_service(name, value)
        },
        {name: Given(value, flag(name)) for name, value in flags.items() if value is not None},
    )


def _is_of_service(name: str, value: str) -> bool:
    """Tell whether a pod got this of a Service called `exporter-metrics`: it has the address where the port would be."""
    return name == "metrics_port" and re.fullmatch(r"(tcp|udp|sctp)://\S+", value) is not None


def only(**values: object) -> Settings:
    """Make the settings from these values alone. Raises SettingsError, one line that names every mistake."""
    return made({name: Given(value, flag(name)) for name, value in values.items()})


def made(found: Mapping[str, Given]) -> Settings:
    """Make the settings from what was given, and where. Raises SettingsError, one line that names every mistake."""
    try:
        return Settings.model_validate({name: each.value for name, each in found.items()})
    except ValidationError as error:
        raise SettingsError("; ".join(_mistake(item, found) for item in error.errors())) from None


def _file(config: Path) -> dict[str, Any]:
    if not os.path.isfile(config):  # noqa: PTH113 - `Path.is_file` raises where nobody may look
        raise SettingsError(f"{config}: there is no such file. Give --config the path of a TOML file.")
    try:
        values = dict(TomlConfigSettingsSource(Settings, config)())
        values = {_NAMES.get(key, key): value for key, value in values.items()}
    except OSError as error:
        words = (error.strerror or str(error)).lower()
        raise SettingsError(f"{config}: cannot be read: {words}. Name another file, or run without --config.") from None
    except ValueError as error:
        raise SettingsError(f"{config}: is no TOML: {error}. Mend it there; texts stand in quotes.") from None
    if secret := next((name for name in values if name in SECRETS), None):
        raise SettingsError(
            f"{config}: {secret} is a secret: give it as {variable(secret)}, or name a secret_key_file."
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


def _mistake(item: Mapping[str, Any], found: Mapping[str, Given]) -> str:
    """Say what is wrong with one setting, and where it was given; values of secrets are never among it."""
    name = str(item["loc"][0]) if item["loc"] else ""
    where = found[name].where if name in found else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, map(spelt, Settings.model_fields), n=1)
        hint = f"did you mean {near[0]!r}?" if near else "`exporter config` shows all there are."
        return f"{where}: there is no setting {name!r}; {hint}"
    words = WORDS.get(item["type"])
    shown = "" if name in SECRETS else f"{str(item.get('input'))!r} "
    message = str(item["msg"]).removeprefix("Value error, ")
    message = f"{shown}{words.format(**item.get('ctx', {}))}" if words else message
    if not name:
        return message
    place = where if where in {flag(name), variable(name)} else f"{where}: {spelt(name)}"
    return f"{place}: {message}"
