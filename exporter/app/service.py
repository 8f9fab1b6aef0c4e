"""The way to the service, built from Settings."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from exporter.api.client import Client
from exporter.api.signer import KeySigner, ReadySigner, Signer
from exporter.errors import AttemptError, ServiceRefusal, ServiceUnreachable, SettingsError, Verdict
from exporter.settings import Settings

T = TypeVar("T")


def missing(settings: Settings) -> list[str]:
    """Name what a call needs and these settings do not give."""
    needed = {
        "--region or --base-url": settings.region or settings.base_url,
        "--sdkappid": settings.sdkappid,
        "--identifier": settings.identifier,
        "a key": settings.secret_key or settings.secret_key_file or settings.usersig,
    }
    return [what for what, given in needed.items() if not given]


def make_client(settings: Settings, *, hide: Callable[[str], None]) -> Client:
    """Build the client; `hide` hears of every UserSig it signs. Raises SettingsError that names what is missing."""
    needed = {"--sdkappid": settings.sdkappid, "--identifier": settings.identifier}
    if missing := [flag for flag, value in needed.items() if value is None]:
        raise SettingsError(f"{' and '.join(missing)} must be given: see the app's page in the Chat console.")
    sdkappid, identifier = settings.sdkappid or 0, settings.identifier or ""
    return Client(
        base_url=settings.address,
        sdkappid=sdkappid,
        identifier=identifier,
        signer=_signer(settings, sdkappid, identifier, hide),
        in_flight_max=settings.in_flight,
        connect_timeout_s=settings.connect_timeout_s,
        timeout_s=settings.timeout_s,
        ca_file=settings.ca_file,
    )


def _signer(settings: Settings, sdkappid: int, identifier: str, hide: Callable[[str], None]) -> Signer:
    if settings.usersig:
        return _ready(settings.usersig.get_secret_value().strip(), sdkappid, identifier)
    if key := settings.key():
        return KeySigner(sdkappid, identifier, key, clock=time.time, on_signed=hide)
    raise SettingsError(
        "No key: set EXPORTER_SECRET_KEY or EXPORTER_SECRET_KEY_FILE to the app's secret key from the Chat console,"
        " or EXPORTER_USERSIG to a ready UserSig. Secrets are never flags."
    )


async def asked_once(call: Awaitable[T]) -> T:
    """Make one call without retries. Raises ServiceRefusal, and ServiceUnreachable for what may pass by itself."""
    try:
        return await call
    except AttemptError as error:
        if error.verdict in {Verdict.RETRY, Verdict.SLOW_DOWN} or (
            error.code is None and error.verdict is Verdict.SPLIT
        ):
            raise ServiceUnreachable(
                f"no usable answer; check the address and try again in a moment: {error}"
            ) from None
        raise ServiceRefusal(str(error), code=error.code) from None


def _ready(usersig: str, sdkappid: int, identifier: str) -> ReadySigner:
    """Take a UserSig that somebody else made. Raises SettingsError where it is of another app or administrator.

    Whether it has expired is for the service to say: the clock of this machine may be wrong.
    """
    signer = ReadySigner(usersig)
    for flag, wanted, said in (
        ("--sdkappid", sdkappid, signer.facts.sdkappid),
        ("--identifier", identifier, signer.facts.identifier),
    ):
        if wanted != said:
            raise SettingsError(
                f"EXPORTER_USERSIG was made for {flag} {said}, and this is {wanted}: give one or the other."
            )
    return signer
