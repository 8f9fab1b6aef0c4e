"""The holders of the UserSig."""

import traceback

import pytest

from exporter.api.signer import KeySigner, ReadySigner, Signer
from exporter.api.usersig import describe, sign
from exporter.errors import SettingsError

NOON = 1_700_000_000.75
KEY = "canary-key"


class Clock:
    """A clock that stands still until it is set."""

    now = NOON

    def __call__(self) -> float:
        """Tell the time in Unix seconds."""
        return self.now


def key_signer(clock: Clock, expire_s: int = 86_400) -> KeySigner:
    return KeySigner(1400000000, "admin", KEY, clock=clock, expire_s=expire_s)


def test_signs_for_a_day() -> None:
    """The UserSig names app and administrator, begins now and lives for the recommended day."""
    facts = describe(KeySigner(1400000000, "admin", KEY, clock=Clock()).current())
    assert (facts.identifier, facts.sdkappid, facts.time, facts.expire) == ("admin", 1400000000, int(NOON), 86_400)


@pytest.mark.parametrize(("expire_s", "kept_s"), [(86_400, 77_760), (1_800, 1_500), (60, 30), (1, 0.5)])
def test_signs_anew_before_the_end(expire_s: int, kept_s: float) -> None:
    """A UserSig is kept but for its last tenth, at least 5 minutes, at most half its life."""
    clock = Clock()
    signer = key_signer(clock, expire_s)
    first = signer.current()
    clock.now = int(NOON) + kept_s - 0.01
    assert signer.current() == first
    clock.now = int(NOON) + kept_s + 1
    assert describe(signer.current()).time == int(clock.now)


def test_renews_once_for_many_refusals() -> None:
    """All calls that were refused with one UserSig share one new UserSig."""
    signer = key_signer(Clock())
    refused = signer.current()
    assert signer.renew(refused)
    renewed = signer.current()
    assert signer.renew(refused)
    assert signer.current() == renewed != refused


@pytest.mark.parametrize("passed_s", [0, 0.2, 1, 5, -5])
def test_renewed_is_later(passed_s: float) -> None:
    """A renewed UserSig is dated after the refusal, once a second at most, and so never further ahead than a second."""
    clock = Clock()
    signer = key_signer(clock)
    ahead = int(clock.now) + 1
    for _ in range(5):
        refused = signer.current()
        clock.now += passed_s
        assert signer.renew(refused)
        ahead = max(ahead, int(clock.now) + 1)
        assert describe(signer.current()).time > clock.now
        assert describe(refused).time <= describe(signer.current()).time <= ahead


def test_every_usersig_is_told_before_it_is_used() -> None:
    """First, replaced in time or renewed: whoever prints hears of each once, and of no other."""
    told: list[str] = []
    clock = Clock()
    signer = KeySigner(1400000000, "admin", KEY, clock=clock, on_signed=told.append)
    used = [signer.current(), signer.current()]
    signer.renew(used[-1])
    used.append(signer.current())
    clock.now += 86_400
    used.append(signer.current())
    assert told == list(dict.fromkeys(used))
    assert len(told) == 3


def test_ready_usersig_cannot_be_renewed() -> None:
    """A ready UserSig is repeated as it is, tells its expiry, and admits that there is no other."""
    usersig = sign(sdkappid=1, key=KEY, identifier="admin", now=100, expire_s=50)
    signer = ReadySigner(usersig)
    assert not signer.renew(usersig)
    assert signer.current() == usersig
    assert signer.facts.expires_at == 150


def test_ready_usersig_must_be_one() -> None:
    """What cannot be decoded is refused before the first call, without repeating it."""
    with pytest.raises(SettingsError, match="EXPORTER_USERSIG") as caught:
        ReadySigner("canary-usersig")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
    traceback.TracebackException.from_exception(caught.value, capture_locals=True)  # shows the one that was not made


def test_secrets_are_not_shown() -> None:
    """Neither key nor UserSig is in the repr of a signer."""
    signers: list[Signer] = [key_signer(Clock()), ReadySigner(key_signer(Clock()).current())]
    for signer in signers:
        usersig = signer.current()
        for shown in (repr(signer), str(signer), f"{signer}"):
            assert KEY not in shown
            assert usersig not in shown
            assert "admin" in shown
