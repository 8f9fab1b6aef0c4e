"""What the gateway asks of a request before it answers: each check names the service's code, 0 when all is well."""

import re
from collections.abc import Mapping

from exporter.simulator.config import Config
from exporter.simulator.signature import Expected, verify

RANDOM_MAX = (1 << 32) - 1

_DECIMAL = re.compile(r"[0-9]{1,20}")


def query_code(query: Mapping[str, str], config: Config, *, now: float, newer_than: int = -1) -> int:
    """The code for the query parameters; names and values are case-sensitive ("RESTful API overview").

    `now` is Unix time in seconds; a signature must be later than the Unix second `newer_than`.
    """
    sdkappid, identifier, usersig, random, contenttype = (
        query.get(name, "") for name in ("sdkappid", "identifier", "usersig", "random", "contenttype")
    )
    if not sdkappid:
        return 60012
    if not _DECIMAL.fullmatch(sdkappid):
        return 60006
    if contenttype != "json" or not identifier or not _is_random(random):
        return 60025
    if not usersig:
        return 70002
    expected = Expected(int(sdkappid), identifier, config.secret_key, newer_than)
    return verify(usersig, expected, now) or _who_code(int(sdkappid), identifier, config)


def accounts_code(document: object, batch_max: int) -> int:
    """The code for a body of `im_get_attr`: `{"To_Account": [...]}` with 1 to `batch_max` strings."""
    if not isinstance(document, dict):
        return 90001
    if "To_Account" not in document:
        return 90003
    accounts = document["To_Account"]
    if not isinstance(accounts, list):
        return 90028
    if not accounts:
        return 90029
    if len(accounts) > batch_max:
        return 90018
    return 0 if all(type(account) is str for account in accounts) else 60015


def names_code(document: object, _batch_max: int) -> int:
    """The code for a body of `im_get_attr_name`: any JSON object."""
    return 0 if isinstance(document, dict) else 90001


def _is_random(text: str) -> bool:
    return bool(_DECIMAL.fullmatch(text)) and int(text) <= RANDOM_MAX


def _who_code(sdkappid: int, identifier: str, config: Config) -> int:
    if sdkappid != config.sdkappid:
        return 60006
    return 0 if identifier == config.identifier else 60010
