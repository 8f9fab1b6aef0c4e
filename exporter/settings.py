"""Settings: flags over environment over file, made once into one frozen, validated value.

Every setting is a flag (`--shard-rows`), a variable (`EXPORTER_SHARD_ROWS`) and a key of the TOML file (`shard_rows`),
but for the secrets, which are never flags. Seen by `app` and `cli` alone: the parts take plain values.
"""

import codecs
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from exporter.api.regions import host_of
from exporter.errors import SettingsError
from exporter.schema import PARSERS, TEXT

AUTO = "auto"
SECRET_FILE_BYTES_MAX = 10_000
SECRETS = frozenset({"secret_key", "usersig"})

# Settings that shape the bytes of an export: with the input and the versions, they are its fingerprint.
SHAPING = (
    "sdkappid",
    "column",
    "header",
    "delimiter",
    "encoding",
    "strip",
    "shard_rows",
    "attributes",
    "types",
    "duplicates",
)


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of accounts, or a share of them: `100` or `0.5%`."""

    text: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+(\.\d+)?%|\d+", self.text) or (self.text.endswith("%") and self._number() > 100):  # noqa: PLR2004 - percent
            raise ValueError(f"{self.text!r} is neither a number of accounts (100) nor a share of them (0.5%)")

    def of(self, total: int) -> float:
        """Return how many of `total` the limit lets through."""
        return self._number() * total / 100 if self.text.endswith("%") else self._number()

    def _number(self) -> float:
        return float(self.text.rstrip("%"))


def _share(value: object) -> object:
    """Turn `5%` into 0.05."""
    if not isinstance(value, str):
        return value
    if not value.endswith("%"):
        raise ValueError(f"{value!r} is no share; write it like 5%")
    return float(value[:-1]) / 100


def _names(value: object) -> object:
    """Split `a,b,c`; a list stays as it is."""
    return tuple(name for name in value.split(",") if name) if isinstance(value, str) else value


def _types(value: object) -> object:
    """Turn `level=int64,vip=bool` into a table; a table stays as it is."""
    table = dict(_pair(item) for item in value.split(",") if item) if isinstance(value, str) else value
    if isinstance(table, Mapping):
        for name, type_name in table.items():
            if type_name not in PARSERS:
                near = difflib.get_close_matches(str(type_name), PARSERS, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PARSERS)}"
                raise ValueError(f"no type {str(type_name)!r} for {name!r}; {hint}")
    return table


def _pair(item: str) -> tuple[str, str]:
    name, equals, type_name = item.rpartition("=")
    if not equals or not name:
        raise ValueError(f"{item!r} is not ATTRIBUTE=TYPE")
    return name, type_name


def _delimiter(value: object) -> object:
    return {"tab": "\t", "\\t": "\t"}.get(value, value) if isinstance(value, str) else value


def _encoding(value: str) -> str:
    try:
        return codecs.lookup(value).name
    except LookupError:
        raise ValueError(f"there is no encoding {value!r}; try utf-8, latin-1, utf-16 or gb18030") from None


def _limit(value: object) -> object:
    return value if isinstance(value, Limit) else Limit(str(value))


Names = Annotated[tuple[str, ...] | None, NoDecode, BeforeValidator(_names)]
Types = Annotated[dict[str, str], NoDecode, BeforeValidator(_types)]
Delimiter = Annotated[str, BeforeValidator(_delimiter), Field(min_length=1, max_length=1)]
Encoding = Annotated[str, BeforeValidator(_encoding)]
Share = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_share)]
Accounts = Annotated[Limit, BeforeValidator(_limit)]


class Settings(BaseSettings):
    """Everything a run can be told. Durations end in `_s` (seconds) or say their unit."""

    model_config = SettingsConfigDict(
        env_prefix="EXPORTER_", extra="forbid", frozen=True, hide_input_in_errors=True, arbitrary_types_allowed=True
    )

    column: str | None = Field(
        default=None,
        description="The column with the account ids; else account_id, or in Parquet the only column. With --no-header its number.",
    )
    header: bool = Field(default=True, description="The CSV files have no header line.")
    delimiter: Delimiter = Field(
        default=",", description="What separates the columns of a CSV file; tab is a word for the tab."
    )
    encoding: Encoding = Field(default="utf-8", description="How the CSV files are encoded.")
    strip: bool = Field(default=False, description="Remove spaces around the ids.")
    allow_empty: bool = Field(default=False, description="Accept input without any rows.")

    region: str | None = Field(
        default=None,
        description="Where the app lives: china, singapore, seoul, tokyo, frankfurt, silicon-valley, jakarta, mumbai, saudi-arabia.",
    )
    base_url: str | None = Field(default=None, description="The service's address, instead of a region's.")
    sdkappid: Annotated[int, Field(gt=0)] | None = Field(default=None, description="The app's number.")
    identifier: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="An administrator account of the app."
    )
    secret_key: SecretStr | None = None
    secret_key_file: Path | None = Field(default=None, description="A file that holds the app's secret key.")
    usersig: SecretStr | None = None
    ca_file: Path | None = Field(default=None, description="Certificates (PEM) to trust instead of the system's.")

    rate: Annotated[float, Field(gt=0)] = Field(
        default=100.0, description="Requests in any rolling second; the vendor alarms the app's owner above 80."
    )
    in_flight: Annotated[int, Field(ge=1, le=2_000)] = Field(default=400, description="Requests under way at most.")
    connect_timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=3.0, description="Seconds to wait for a connection."
    )
    timeout_s: Annotated[float, Field(gt=0, le=300)] = Field(
        default=5.0, description="Seconds to wait for an answer; the service itself gives up after 3."
    )
    outage_max: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="Minutes that the service may be out of reach."
    )

    shard_rows: Annotated[int, Field(ge=1, le=10_000_000)] = Field(
        default=200_000, description="Input rows in a shard: one file."
    )
    attributes: Names = Field(
        default=None,
        description="Exactly these attributes, a,b,c; or auto: ask the app for its names first. Without it: all that are seen.",
    )
    types: Types = Field(
        default_factory=dict, description="Column types, name=type,…: text, int64, float64, bool, timestamp."
    )
    duplicates: Literal["drop", "keep"] = Field(
        default="drop", description="What to do with accounts that stand in the input again: drop or keep."
    )
    max_rejects: Accounts = Field(
        default=Limit("0"),
        description="Accounts that may end as invalid, refused or exhausted: a number or a share (0.5%).",
    )
    max_missing: Share = Field(
        default=None,
        description="Share of accounts that may be unknown to the service (5%). Without it a run stops when the first 1,000 all are.",
    )
    overwrite: bool = Field(default=False, description="Replace the complete export that lies in OUT.")
    restart: bool = Field(default=False, description="Forget the unfinished run that lies in OUT.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.region and self.base_url:
            raise ValueError("--region and --base-url name the same thing: give one of them")
        if self.usersig and (self.secret_key or self.secret_key_file):
            raise ValueError("a key and a ready UserSig exclude each other: unset EXPORTER_USERSIG or the key")
        if self.attributes is not None and len(set(self.attributes)) < len(self.attributes):
            raise ValueError("--attributes names one attribute twice")
        if self.delimiter in '"\r\n':
            raise ValueError("--delimiter cannot be a quote or a line end")
        return self

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, **_others: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """Put flags over environment over file."""
        return (init_settings, env_settings, _FileSource(settings_cls))

    @property
    def address(self) -> str:
        """The service's base URL. Raises SettingsError when nothing names it."""
        if self.base_url:
            return self.base_url
        if not self.region:
            raise SettingsError("Say where the app lives: --region NAME (such as singapore), or --base-url URL.")
        return f"https://{host_of(self.region)}"

    @property
    def attribute_names(self) -> tuple[str, ...] | None:
        """The attributes the user chose, or None for all."""
        return None if self.attributes == (AUTO,) else self.attributes

    @property
    def asks_names(self) -> bool:
        """Whether the service is asked for its attribute names first."""
        return self.attributes == (AUTO,)

    def type_of(self, attribute: str) -> str:
        """Return the type that a column of this attribute gets."""
        return self.types.get(attribute, TEXT)

    def key(self) -> str | None:
        """Return the secret key, from the environment or its file. Raises SettingsError when the file is of no use."""
        if self.secret_key_file is None:
            return self.secret_key.get_secret_value() if self.secret_key else None
        return _read_secret(self.secret_key_file)

    def shaping(self) -> dict[str, object]:
        """Return the settings that shape the bytes of an export."""
        dumped = self.model_dump(mode="json", include=set(SHAPING))
        return {name: dumped[name] for name in SHAPING}

    def public(self) -> dict[str, object]:
        """Return all settings but the secrets, as plain data."""
        dumped = self.model_dump(mode="json", exclude=set(SECRETS) | {"max_rejects"})
        return {**dumped, "max_rejects": self.max_rejects.text}


class _FileSource(InitSettingsSource):
    """The TOML file of `load`, if any."""

    def __init__(self, settings_cls: type[BaseSettings]) -> None:
        path = getattr(settings_cls, "toml_path", None)
        values = dict(TomlConfigSettingsSource(settings_cls, path)()) if path else {}
        if secret := next((name for name in values if name in SECRETS), None):
            raise ValueError(f"{secret} is a secret: give it as EXPORTER_{secret.upper()}, or name a secret_key_file")
        super().__init__(settings_cls, values)


def load(config: Path | None = None, /, **flags: object) -> Settings:
    """Make the settings from flags that were given, the environment, and a TOML file.

    Raises SettingsError, one line that names every mistake.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return _bound(config)(**given)
    except ValidationError as error:
        raise SettingsError("; ".join(_mistake(item) for item in error.errors())) from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{config}: {_reason(error)}. Mend the file, or run without --config.") from None


def _bound(config: Path | None) -> type[Settings]:
    if config is None:
        return Settings
    if not config.is_file():
        raise SettingsError(f"{config}: there is no such file. Give --config the path of a TOML file.")
    return type("Settings", (Settings,), {"toml_path": config, "__annotations__": {"toml_path": "ClassVar[Path]"}})


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _mistake(item: Mapping[str, Any]) -> str:
    name = str(item["loc"][0]) if item["loc"] else ""
    if item["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, Settings.model_fields, n=1)
        return f"there is no setting {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    message = str(item["msg"]).removeprefix("Value error, ")
    return f"--{name.replace('_', '-')}: {message}" if name else message


def _read_secret(path: Path) -> str:
    try:
        text = path.read_bytes()[:SECRET_FILE_BYTES_MAX].decode().strip()
    except OSError as error:
        raise SettingsError(f"EXPORTER_SECRET_KEY_FILE: {path} cannot be read: {_reason(error).lower()}.") from None
    except UnicodeDecodeError:
        text = ""
    if not text or "\n" in text:
        raise SettingsError(f"EXPORTER_SECRET_KEY_FILE: {path} must hold the key on one line, and nothing else.")
    return text
