"""The page of all settings, and the example of a settings file, made from the model that describes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args, get_origin

from exporter.settings import SECRETS, Settings, flag, spelt, variable
from making import page

GROUPS = {
    "out": "Where to write",
    "column": "How to read the input",
    "region": "The app",
    "rate": "Pace and patience",
    "shard_rows": "What the export holds",
    "overwrite": "What may be replaced, and the report",
    "as_json": "How a command shows itself",
}
"""The first setting of each group -> the group's title."""

EXAMPLES = {
    "out": '"export"',
    "column": '"user_id"',
    "region": '"singapore"',
    "base_url": '"https://adminapisgp.im.qcloud.com"',
    "sdkappid": "1400000000",
    "identifier": '"administrator"',
    "secret_key_file": '"/run/secrets/exporter_key"',
    "ca_file": '"/etc/ssl/company.pem"',
    "attributes": '["city", "level"]',
    "types": '{ level = "int64", score = "float64", vip = "bool", seen = "timestamp" }',
    "max_missing": '"5%"',
    "metrics_port": "9464",
    "metrics_textfile": '"/var/lib/node_exporter/exporter.prom"',
}
"""How settings without a default are written in TOML."""

KINDS = {
    "attributes": "names, separated by commas (in TOML also a list); or `auto`",
    "types": "`name=type` pairs, separated by commas (in TOML also a table)",
    "max_rejects": "a number, or a share such as `0.5%`",
    "max_missing": "a share from `0%` to `100%`",
    "delimiter": "one character, or `tab`",
    "encoding": "the name of a text encoding, such as `utf-8` or `gb18030`",
    "metrics_textfile": "a path",
}
"""What can be written for settings whose type does not say it."""

SECRET_WORDS = {
    "secret_key": "The app's secret key, from the Chat console.",
    "usersig": "A ready UserSig, instead of the key; it has to be valid for the whole run.",
}
NAMES = {str: "text", int: "a whole number", float: "a number", bool: "`true` or `false`", Path: "a path"}


def settings() -> str:
    """Make the page of all settings: flag, variable, key, what can be written, default and meaning."""
    columns = ["flag, variable, TOML key", "written as", "default", "meaning"]
    parts = [
        *page.head("Settings", "exporter/settings/model.py"),
        (
            "Every setting is a flag, a variable and a key of a TOML file. Flags win over variables, and these over the file that"
            " `--config FILE` or `EXPORTER_CONFIG` names. [`exporter config`](commands.md#exporter-config) shows which value is in"
            " force, and where it comes from. A file with all of them, to copy:"
            " [exporter.example.toml](../exporter.example.toml)."
        ),
        "",
        (
            "`--region` and `--base-url` name one thing: a place that gives one of them wins over both in the places below. A flag"
            " without a value, such as `--strip`, is `EXPORTER_STRIP=1` as a variable. Empty variables count as not set. A variable"
            " that is nearly a setting, such as `EXPORTER_SHARD_ROW`, is refused."
        ),
    ]
    for title, names in _groups():
        rows = [_setting(name) for name in names if name not in SECRETS]
        parts += ["", f"## {title}", "", *page.table(columns, rows)]
    secrets = [(page.code(variable(name)), words) for name, words in SECRET_WORDS.items()]
    parts += [
        "",
        "## Secrets",
        "",
        "A secret is never a flag and never in a settings file. Set one of these, or `EXPORTER_SECRET_KEY_FILE` (above).",
        "",
        *page.table(["variable", "meaning"], secrets),
    ]
    return page.text(parts)


def _setting(name: str) -> tuple[str, ...]:
    field = Settings.model_fields[name]
    keys = "<br>".join(map(page.code, (flag(name), variable(name), spelt(name))))
    return keys, _kind(name), _default(name), str(field.description)


def _default(name: str) -> str:
    default = Settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
    return "" if default in (None, {}) else page.code(_toml(default).strip('"'))


def _kind(name: str) -> str:
    field = Settings.model_fields[name]
    if name in KINDS:
        return KINDS[name]
    kind, limits = field.annotation, list(field.metadata)
    while get_args(kind) and get_origin(kind) is not type and not _words(kind):
        kind, *more = get_args(kind)
        limits += [limit for each in more for limit in getattr(each, "metadata", ())]
    return _words(kind) or f"{NAMES[kind]}{_limited(limits)}"  # type: ignore[index] # what is no key is a new kind of setting


def _words(kind: object) -> str:
    """Name the words that can be written, where a type is made of them."""
    words = get_args(kind)
    return " or ".join(map(page.code, words)) if words and all(isinstance(word, str) for word in words) else ""


def _limited(limits: Sequence[object]) -> str:
    found = {name: getattr(limit, name) for limit in limits for name in ("gt", "ge", "le") if hasattr(limit, name)}
    words = {"gt": "over {:,}", "ge": "from {:,}", "le": "to {:,}"}
    return "".join(f" {words[name].format(found[name])}" for name in words if name in found)


def example() -> str:
    """Make a settings file with every setting, each commented out: as it stands it changes nothing."""
    parts = [
        f"# Settings of `exporter`: {page.made_of('exporter/settings/model.py')}",
        "# Take away the # in front of a setting to give it; exporter run --config FILE, or EXPORTER_CONFIG=FILE, reads it.",
        "# Flags and variables (EXPORTER_…) win over this file. Secrets never stand here: set EXPORTER_SECRET_KEY.",
    ]
    for title, names in _groups():
        parts += ["", f"# --- {title}"]
        for name in (name for name in names if name not in SECRETS):
            parts += ["", f"# {Settings.model_fields[name].description}", f"# Written as {page.plain(_kind(name))}."]
            parts += [f"#{spelt(name)} = {_example(name)}"]
    return page.text(parts)


def _example(name: str) -> str:
    if name in EXAMPLES:
        return EXAMPLES[name]
    default = Settings.model_fields[name].get_default(call_default_factory=True, validated_data={})
    if default is None:
        raise LookupError(f"{name} has no default: say in EXAMPLES of docs/generate.py how it is written")
    return _toml(default)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) and value < 1e5 else _quoted(value)  # noqa: PLR2004 - as 1e+05


def _quoted(value: object) -> str:
    return str(value) if isinstance(value, int) else f'"{getattr(value, "text", value)}"'


def _groups() -> list[tuple[str, list[str]]]:
    """Every setting stands in the group that began before it, so that a new one has its place."""
    groups: list[tuple[str, list[str]]] = []
    for name in Settings.model_fields:
        if name in GROUPS:
            groups.append((GROUPS[name], []))
        groups[-1][1].append(name)
    return groups
