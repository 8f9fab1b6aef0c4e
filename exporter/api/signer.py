"""Who holds the UserSig: one that signs anew with the app's key, or one that can only repeat what it was given.

A refused UserSig is renewed once, however many calls in flight were refused with it.
"""

from collections.abc import Callable
from typing import Protocol

from exporter.api.usersig import describe, sign
from exporter.errors import SettingsError

EXPIRE_S = 86_400  # the vendor recommends at least 24 hours
MARGIN_S_MIN = 300


class Signer(Protocol):
    """Gives the UserSig to call with, and takes the word that the service refused one."""

    def current(self) -> str:
        """The UserSig for the next call."""

    def renew(self, refused: str) -> bool:
        """The service refused `refused`: True when `current()` now gives a later one."""


class KeySigner:
    """Signs with the app's key; a UserSig is replaced in the last tenth of its life, and at least 5 minutes early.

    `on_signed` hears of every UserSig before it is used: whoever prints must know what to cover.
    """

    def __init__(  # noqa: PLR0913 - what a UserSig is made of, and who hears of it
        self,
        sdkappid: int,
        identifier: str,
        key: str,
        *,
        clock: Callable[[], float],
        expire_s: int = EXPIRE_S,
        on_signed: Callable[[str], None] = lambda _usersig: None,
    ) -> None:
        self._sdkappid, self._identifier, self._key = sdkappid, identifier, key
        self._clock, self._on_signed = clock, on_signed
        self._expire_s = expire_s
        # Half a life at most, or a short-lived UserSig would never be used at all.
        self._margin_s = min(max(expire_s / 10, MARGIN_S_MIN), expire_s / 2)
        self._time = 0
        self._usersig = ""

    def __repr__(self) -> str:
        return f"KeySigner(sdkappid={self._sdkappid}, identifier={self._identifier!r})"

    def current(self) -> str:
        """The UserSig for the next call, signed anew when it is not there or about to expire."""
        now = self._clock()
        if not self._usersig or now >= self._time + self._expire_s - self._margin_s:
            self._sign(int(now))
        return self._usersig

    def renew(self, refused: str) -> bool:
        """Sign anew unless that has already happened since `refused`; always True."""
        if refused == self._usersig:
            # Dated at the end of this second: later than the refused one and than its refusal, but never further ahead
            # of the clock, however often the service refuses.
            self._sign(max(int(self._clock()) + 1, self._time))
        return True

    def _sign(self, time: int) -> None:
        self._time = time
        self._usersig = sign(
            sdkappid=self._sdkappid, key=self._key, identifier=self._identifier, now=time, expire_s=self._expire_s
        )
        self._on_signed(self._usersig)


class ReadySigner:
    """Repeats a UserSig that somebody else made; `facts` tells for whom, and until when.

    Raises SettingsError when it cannot be decoded.
    """

    def __init__(self, usersig: str) -> None:
        try:
            self.facts = describe(usersig)
        except ValueError as error:
            problem = str(error)
        else:
            problem = ""
        if problem:
            raise SettingsError(f"EXPORTER_USERSIG: {problem}.")
        self._usersig = usersig

    def __repr__(self) -> str:
        return f"ReadySigner({getattr(self, 'facts', None)!r})"  # it has none while it refuses a UserSig

    def current(self) -> str:
        """The UserSig as it was given."""
        return self._usersig

    def renew(self, refused: str) -> bool:  # noqa: ARG002 - a Signer all the same
        """False: without the key there is no other."""
        return False
