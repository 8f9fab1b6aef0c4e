"""Settings: flags over environment over file, made once into one frozen, validated value.

Every setting is a flag (`--shard-rows`), a variable (`EXPORTER_SHARD_ROWS`) and a key of the TOML file (`shard_rows`),
but for the secrets, which are never flags. Seen by `app`, `cli` and `library` alone: the parts take plain values.
"""

from exporter.settings.load import DEFAULT, Given, choices, flag, given, load, made, only, spelt, variable
from exporter.settings.model import SECRETS, WAYS, Settings

__all__ = [
    "DEFAULT",
    "SECRETS",
    "WAYS",
    "Given",
    "Settings",
    "choices",
    "flag",
    "given",
    "load",
    "made",
    "only",
    "spelt",
    "variable",
]
