"""Every setting, described once: flags, variables, file keys and their help are made from this."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from exporter.api.regions import REGIONS, host_of
from exporter.errors import SettingsError
from exporter.settings.secret import read_secret
from exporter.settings.values import AUTO, Accounts, Delimiter, Encoding, Limit, Names, Share, Types

SECRETS = frozenset({"secret_key", "usersig"})
WAYS = frozenset({"out", "as_json", "quiet", "log_format", "metrics_port", "metrics_host", "metrics_textfile"})
"""Settings that say where a command writes and how it shows itself: no part of what is exported."""

# Settings that shape the bytes of an export: with the input and the versions, they are its fingerprint.
SHAPING = (
    "sdkappid",
    "column",
    "no_header",
    "delimiter",
    "encoding",
    "strip",
    "shard_rows",
    "attributes",
    "types",
    "duplicates",
)


class Settings(BaseSettings):
    """Everything a run can be told. Durations end in `_s` (seconds) or say their unit."""

    model_config = SettingsConfigDict(
        env_prefix="EXPORTER_",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=True,
    )

    out: Path | None = Field(default=None, description="The folder that will hold the export.")

    column: str | None = Field(
        default=None,
        description="The column with the account ids; else account_id, or in Parquet the only column. With --no-header its number.",
    )
    no_header: bool = Field(default=False, description="The CSV files have no header line.")
    delimiter: Delimiter = Field(
        default=",", description="What separates the columns of a CSV file; tab is a word for the tab."
    )
    encoding: Encoding = Field(default="utf-8", description="How the CSV files are encoded.")
    strip: bool = Field(default=False, description="Remove spaces around the ids.")
    allow_empty: bool = Field(default=False, description="Accept input without any rows.")

    region: str | None = Field(
        default=None,
        description=f"Where the app lives: {', '.join(REGIONS)}.",
        examples=list(REGIONS),
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

    rate: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
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
        examples=[AUTO],
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
    report: Literal["run", "data"] = Field(
        default="run", description="What report.html tells of: the run, or the data as well, which reads it once more."
    )
    redact_ids: bool = Field(default=False, description="Show no account id in report.html.")

    as_json: bool = Field(
        default=False, description="Print one JSON summary on standard output; all else goes to standard error."
    )
    quiet: bool = Field(default=False, description="Say nothing but warnings and errors.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="How standard error is written: text for people, json for log collectors."
    )
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        default=None, description="Serve Prometheus metrics at this port while the command runs; 0 takes any free one."
    )
    metrics_host: Annotated[str, Field(min_length=1)] = Field(
        default="127.0.0.1", description="The address to serve metrics at; 0.0.0.0 shows them to the whole network."
    )
    metrics_textfile: Path | None = Field(
        default=None, description="Write the metrics to this file (*.prom), for the node exporter's textfile collector."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.region and self.base_url:
            raise ValueError("--region and --base-url name the same thing: give one of them")
        if self.usersig and (self.secret_key or self.secret_key_file):
            raise ValueError("a key and a ready UserSig exclude each other: unset EXPORTER_USERSIG or the key")
        if self.secret_key and self.secret_key_file:
            raise ValueError("EXPORTER_SECRET_KEY and EXPORTER_SECRET_KEY_FILE are both set: unset one of them")
        if self.no_header and self.column is not None and not re.fullmatch("[1-9][0-9]{0,5}", self.column):
            raise ValueError(f"--column {self.column}: with --no-header it is the number of the field, from 1")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the shape that the library calls
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the shape that the library calls
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the shape that the library calls
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the shape that the library calls
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values as they are handed over: `load` alone decides which source wins."""
        return (init_settings,)

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

    def key(self) -> str | None:
        """Return the secret key, from the environment or its file. Raises SettingsError when the file is of no use."""
        if self.secret_key_file is None:
            return self.secret_key.get_secret_value().strip() if self.secret_key else None
        return read_secret(self.secret_key_file)

    def shaping(self) -> dict[str, object]:
        """Return the settings that shape the bytes of an export."""
        dumped = self.model_dump(mode="json", include=set(SHAPING))
        return {name: dumped[name] for name in SHAPING}

    def public(self) -> dict[str, object]:
        """Return all settings of the export but the secrets, as plain data."""
        dumped = self.model_dump(mode="json", exclude={*SECRETS, *WAYS, "max_rejects"})
        return {**dumped, "max_rejects": self.max_rejects.text}
