"""The settings as keywords: the names and the checks of the command line, its environment and its file beneath them."""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, cast

from exporter.errors import SettingsError

if TYPE_CHECKING:
    from exporter.settings import Settings

AnyPath = str | os.PathLike[str]

T = TypeVar("T", bound=Mapping[str, Any])

SECRETS = ("secret_key", "usersig")
BLOCK_ROWS = 10_000  # of a stream, unless somebody says otherwise: they are in memory until they are taken


class StreamOptions(TypedDict, total=False):
    """What a stream can be told: see `exporter run --help`, or the reference of the settings."""

    strip: bool
    region: str
    base_url: str
    sdkappid: int
    identifier: str
    secret_key: str
    secret_key_file: AnyPath
    usersig: str
    ca_file: AnyPath
    rate: float
    in_flight: int
    connect_timeout_s: float
    timeout_s: float
    outage_max: float
    shard_rows: int
    attributes: Sequence[str]
    types: Mapping[str, str] | str
    duplicates: Literal["drop", "keep"]
    max_rejects: int | str
    max_missing: float | str


class Options(StreamOptions, total=False):
    """What an export can be told: all that a stream can, how its files are read, and what lies in its folder."""

    column: str
    no_header: bool
    delimiter: str
    encoding: str
    allow_empty: bool
    overwrite: bool
    restart: bool
    report: Literal["run", "data"]
    redact_ids: bool


class _Secret(str):
    """A text that does not show itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


def covered_secrets(given: T) -> T:
    """Put a cover over the secrets: tools that show the variables of every frame of a traceback do not show them."""
    texts = {name: _Secret(given[name]) for name in SECRETS if isinstance(given.get(name), str)}
    return cast("T", {**given, **texts})


def settings_of(
    given: Mapping[str, Any],
    config: AnyPath | None,
    *,
    names: Iterable[str],
    before: Mapping[str, object] | None = None,
) -> "Settings":
    """Make the settings of these keywords, the environment, a TOML file, and what was so `before`. Raises SettingsError.

    From then on no log record of ours holds a secret of theirs.
    """
    import pathlib

    from exporter.redaction import hide
    from exporter.settings import load

    known = list(names)
    if unknown := next((name for name in given if name not in known), None):
        near = difflib.get_close_matches(unknown, known, n=1)
        raise SettingsError(f"there is no setting {unknown!r}" + (f"; did you mean {near[0]!r}?" if near else "."))
    path = config or os.environ.get("EXPORTER_CONFIG") or None
    settings = load(pathlib.Path(path) if path else None, before, **given)
    for secret in (settings.secret_key, settings.usersig):
        hide(secret.get_secret_value().strip() if secret else None)
    hide(settings.key())
    return settings
