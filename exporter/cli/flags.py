"""Flags are made from Settings: each setting is described once, there, and is a flag here."""

import functools
import inspect
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from exporter.cli.console import as_text, speak
from exporter.cli.exits import Stopped, interruptible
from exporter.early import WITH_SETTINGS, wants_json
from exporter.redaction import hide
from exporter.settings import SECRETS, Settings, choices, flag, given, made, variable

METAVARS = {
    "in_flight": "NUMBER",
    "outage_max": "MINUTES",
    "max_rejects": "N|P%",
    "max_missing": "P%",
    "shard_rows": "NUMBER",
    "connect_timeout_s": "SECONDS",
    "timeout_s": "SECONDS",
    "attributes": "A,B,C|auto",
    "types": "A=TYPE,…",
    "duplicates": "drop|keep",
    "report": "run|data",
    "log_format": "text|json",
    "out": "OUT",
}
SERVICE = (
    "region",
    "base_url",
    "sdkappid",
    "identifier",
    "secret_key_file",
    "ca_file",
    "connect_timeout_s",
    "timeout_s",
)
"""The settings that any command needs to speak to the service."""
SHOWN = ("as_json", "quiet", "log_format")
"""The settings that say how a command shows itself."""
Quiet = Annotated[
    bool,
    typer.Option("--quiet", envvar=variable("quiet"), help="Say nothing but warnings and errors: the exit code tells."),
]
"""The flag of a command that takes no other settings."""
METRICS = ("metrics_port", "metrics_host", "metrics_textfile")
"""The settings that say where a command puts its metrics."""


def ending(command: Callable[..., int]) -> Callable[..., None]:
    """End the process with the exit code that a command returns."""

    @functools.wraps(command)
    def wrapped(**values: Any) -> None:
        try:
            with interruptible():
                code = command(**values)
        except KeyboardInterrupt:  # which the library would take for an end that nobody has to be told of
            raise Stopped(signal.SIGINT) from None
        raise typer.Exit(code)

    return wrapped


def with_settings(
    command: Callable[..., int],
    names: Iterable[str] = Settings.model_fields,
    before: Callable[..., Mapping[str, object]] = lambda **_own: {},
) -> Callable[..., int]:
    """Give a command that takes `settings`, and perhaps where they were `found`, a flag for each of these settings that is no secret, and `--config`.

    `before` gives, from the command's own values, settings that all others win over.
    """
    takes = inspect.signature(command).parameters
    own = [item for name, item in takes.items() if name not in {"settings", "found"}]
    ours = {name: _flag(name) for name in names if name not in SECRETS}

    def wrapped(**values: Any) -> int:
        flags = {name: values.pop(name) for name in ours}
        found = given(values.pop("config"), before(**values), **flags)
        settings = made(found)
        for secret in (settings.secret_key, settings.usersig):
            hide(secret.get_secret_value() if secret else None)
        _speak(quiet=settings.quiet, as_json=settings.as_json, log_format=settings.log_format)
        hide(settings.key())
        return command(**values, settings=settings, **({"found": found} if "found" in takes else {}))

    config_file = _parameter(
        "config",
        Path,
        typer.Option(
            "--config",
            envvar="EXPORTER_CONFIG",
            help="A TOML file of settings; flags and environment win over it.",
            metavar="FILE",
        ),
    )
    parameters = [*own, *ours.values(), config_file]
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # what the library reads
    wrapped.__annotations__ = {item.name: item.annotation for item in parameters}
    wrapped.__doc__ = command.__doc__
    return wrapped


def speak_early(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Say also what is wrong with flags and settings as flags and environment ask, before they can be read for good."""
    as_json = wants_json(arguments, environment)
    if not {*arguments[:1]} & WITH_SETTINGS:
        _speak(quiet=False, as_json=as_json, log_format="text")
        return
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    logs = environment.get(variable("log_format"), "")
    for place, argument in enumerate(before):
        name, equals, value = argument.partition("=")
        if name == flag("log_format"):
            logs = value if equals else "".join(before[place + 1 : place + 2])
    _speak(quiet=False, as_json=as_json, log_format=logs)


def _speak(*, quiet: bool, as_json: bool, log_format: str) -> None:
    """Say everything from now on as it is wanted."""
    write: Any = as_text
    if log_format == "json":
        from exporter.cli.logs import JsonLines

        write = JsonLines()
    speak(quiet=quiet, as_json=as_json, write=write)


def _flag(name: str) -> inspect.Parameter:
    field = Settings.model_fields[name]
    switch = isinstance(field.default, bool)
    default = field.get_default(call_default_factory=True, validated_data={})
    shown = "" if switch or default in (None, {}) else f" [default: {getattr(default, 'text', default)}]"
    option = typer.Option(
        flag(name),
        help=f"{field.description}{shown}",
        show_default=False,
        metavar=None if switch else METAVARS.get(name, name.rpartition("_")[2].upper()),
        autocompletion=offering(choices(name)),
    )
    return _parameter(name, bool if switch else str, option)


def offering(values: Sequence[str]) -> Callable[[str], list[str]] | None:
    """Have a shell offer these values where a flag's own is to be completed."""

    def offered(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return offered if values else None


def _parameter(name: str, kind: type, option: Any) -> inspect.Parameter:
    # Not given is None, so that environment and file are asked next.
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
