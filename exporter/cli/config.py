"""`exporter config`: the settings in force, and where each of them comes from; of secrets only that they are there."""

from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

import orjson

from exporter.cli.console import show
from exporter.settings import DEFAULT, SECRETS, Given, Settings, spelt

HIDDEN = "(set, not shown)"
WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (NoneType, lambda _none: ""),
    (bool, lambda value: str(value).lower()),
    (float, lambda value: f"{value:g}"),
    (dict, lambda table: ",".join(f"{name}={kind}" for name, kind in table.items())),
    (list, lambda names: ",".join(map(str, names))),
    (str, lambda text: "tab" if text == "\t" else text),
)


def config(settings: Settings, found: Mapping[str, Given]) -> int:
    """Show the settings that a run with these flags, this environment and this file would have. Asks and writes nothing."""
    rows = [(spelt(name), value, _where(name, found)) for name, value in _values(settings).items()]
    if settings.as_json:
        show(orjson.dumps({name: {"value": value, "from": where} for name, value, where in rows}).decode())
        return 0
    texts = [(name, _text(value), where) for name, value, where in rows]
    widths = [max(len(row[place]) for row in texts) for place in (0, 1)]
    show("\n".join(f"{name:<{widths[0]}}  {value:<{widths[1]}}  {where}".rstrip() for name, value, where in texts))
    return 0


def _values(settings: Settings) -> dict[str, object]:
    """Give every setting as plain data, in the order of the model."""
    dumped = settings.model_dump(mode="json", exclude={*SECRETS, "max_rejects"})
    texts = {name: _readable(value) for name, value in dumped.items() if isinstance(value, str)}
    shown = {**dumped, **texts, "max_rejects": settings.max_rejects.text}
    secrets = {name: HIDDEN if getattr(settings, name) else None for name in SECRETS}
    return {name: (shown | secrets)[name] for name in Settings.model_fields}


def _readable(text: str) -> str:
    """Write a path, which need not be text, as everything else that is shown."""
    return text.encode("utf-8", "backslashreplace").decode()


def _where(name: str, found: Mapping[str, Given]) -> str:
    return found[name].where if name in found else DEFAULT


def _text(value: object) -> str:
    """Write a value as its flag would take it, and nothing as a dash."""
    return next((write(value) for kind, write in WRITERS if isinstance(value, kind)), str(value)) or "-"
