"""The UserSig."""

import base64
import contextlib
import hashlib
import hmac
import json
import traceback
import zlib
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.api.usersig import UserSigFacts, describe, sign

KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"


class Vector(NamedTuple):
    """A UserSig made by the vendor's own library."""

    sdkappid: int
    key: str
    identifier: str
    time: int
    expire: int
    sig: str
    usersig: str


VECTORS = [
    Vector(
        1400000000,
        KEY,
        "administrator",
        1700000000,
        86400,
        "yLAe+w7WUeUuqbV9h/TX78u21oTGi+i9Zp1u3PpnY60=",
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAAKpdaUZBZlAqUsTAzgQuWZOaChAzN0RQXZ6aDLKn0cUzVLjcPD00NLS1MCrPM0A*JMLcoNTLMD3HP1M60jCowLDUOKMiLNDOwVaoFAD4PNPI_",
    ),
    Vector(
        1400000000,
        KEY,
        "xiaojun",
        1600000000,
        15552000,
        "1Z5PngDjGaufeSiPoBuxdHY7EK3JTdAjMP93S4KvV3M=",
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpYJkTE1NjRDiJZm5YFEzNPXFmekgGwyjTAPy0l2y3BNL01KDMwPynUorUjwizV29jb1CUhyzfAMsjYNNvMvCjH1tlWoBGhAzGw__",
    ),
    Vector(
        88888888,
        "secret-key-for-tests",
        "admin",
        0,
        1,
        "gJNe7z+Da6yWd6FSZfV1CXbnfnrHzzUEe5neuCHihNQ=",
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-NgUsUp2YkFBZkpQAkLKIDKpFYUZBalAsUNoQIlmbkgrgFMZ2Y6yLR0L79U8yptl0SzyvAUM7fgqLQwQ*eIpLy0vCKPqqpQ11TTvNRSZ4-MDL9AW6VaAK*QL7o_",
    ),
    Vector(
        20000001,
        "k",
        "user_with-dash_32bytes_aaaaaaaaa",
        1735689600,
        3600,
        "Ms2kcGASYnYfz9TeOPiUt3mcUVJ8j/TQAt/xvfpfIuQ=",
        "eJxFzUELgjAcBfCvIjuXzo1Mgw6eoihK1MCTmNvynyjiplnRd89M6R1-j8d7oWDv6y2v0UpDRMdopg0CjJcKBPyKRvI6voPK5iyRWUzJ5aG4jJMp00qyPKkqYP2G4CHm2PCugpr3Ti2MR1NQfMVc0oVlO3*XcP2eHiTJ043rR2Uknk7AjycIFS3S8Lyzb0bgucroWlGJbeOt0fsDxm08Yw__",
    ),
    Vector(
        1400000000,
        KEY,
        "管理员",
        1700000000,
        86400,
        "pbrM5gj3jEaLcveZ2CyjpTNJES7Up4k7XBCC+iPigpA=",
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkYkrNkxINgaSJgVlMqamJqQVMXXFKdmJBQWYKUJWhiQEUQOVSKwoyi1KBMhZmJnDBksxckJChOZri4sx0kE0FSUW*pulZxlmuiT7JZalRRs6VWQUhfl6uweahBSbZ5hFOzs7amQGZ6QWOtkq1AHMtNTw_",
    ),
    Vector(
        1400000000,
        KEY,
        'a"b\\c d',
        1700000000,
        86400,
        "M+43MVJPlMoVU4NV9L7CPTQuP8+fUQ+uC2npfMfobU0=",
        "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkEmOUkmJikhVSYNLFKdmJBQWZKUBJQxMDKIDKpVYUZBalAmUszEzggiWZuSAhQ3M0xcWZ6SALfLVNjH3DvAJyfPPDQk38wix9zJ0DQgJLAyy000IDtUudjfIK0nzT8pNCDWyVagF8wjHH",
    ),
]
OTHER_SPELLINGS = [
    "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpQJlLMxM4IIlmbkgIUNzNMWlxalFSaVpICsiw72y4OZnpoOE-BOTjMsi0nMiTUwDkiuqtIODszJSKpzCSzNCHCvCMioifdLKwrLcM-y9DGyVagF2rTqB",
    "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEpycxNVbIyNEcVTa0oyCxKVbKyMDOBCRVnpitZKVX6OKZql5uHh6aGlhYmhVlm6IdEmFuUGhnmh7hnamdaRhUYlhoHFORFmhnYKtUCAK0SM5I_",
    "eAEBrgBR-3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoiYWRtaW5pc3RyYXRvciIsIlRMUy5zZGthcHBpZCI6MTQwMDAwMDAwMCwiVExTLmV4cGlyZSI6ODY0MDAsIlRMUy50aW1lIjoxNzAwMDAwMDAwLCJUTFMuc2lnIjoieUxBZSt3N1dVZVV1cWJWOWgvVFg3OHUyMW9UR2kraTlacDF1M1Bwblk2MD0ifbyIM5I_",
]


def inside(usersig: str) -> Any:
    """The JSON in a UserSig, unpacked by the published recipe."""
    plain = usersig.replace("*", "+").replace("-", "/").replace("_", "=")
    return json.loads(zlib.decompress(base64.b64decode(plain, validate=True)))


def packed(ticket: object) -> str:
    text = base64.b64encode(zlib.compress(json.dumps(ticket).encode())).decode()
    return text.replace("+", "*").replace("/", "-").replace("=", "_")


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.identifier)
def test_signs_as_the_vendor_does(vector: Vector) -> None:
    """Our UserSig says the same as the vendor's, signature included."""
    ours = sign(
        sdkappid=vector.sdkappid,
        key=vector.key,
        identifier=vector.identifier,
        now=vector.time,
        expire_s=vector.expire,
    )
    assert inside(ours) == inside(vector.usersig)
    assert inside(ours)["TLS.sig"] == vector.sig


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.identifier)
def test_describes_the_vendors(vector: Vector) -> None:
    """A UserSig of the vendor's library can be read."""
    facts = describe(vector.usersig)
    assert facts == UserSigFacts(vector.identifier, vector.sdkappid, vector.time, vector.expire)
    assert facts.expires_at == vector.time + vector.expire


@pytest.mark.parametrize("usersig", OTHER_SPELLINGS)
def test_describes_other_spellings(usersig: str) -> None:
    """Other key order, spaces or zlib level make no difference, nor does a part for another product."""
    assert describe(usersig).sdkappid == 1400000000


@given(
    sdkappid=st.integers(1, 2**64),
    key=st.text(st.characters(exclude_categories=["Cs"])),
    identifier=st.text(st.characters(exclude_categories=["Cs"])),
    now=st.integers(0, 2**40),
    expire_s=st.integers(1, 2**32),
)
def test_what_was_signed_can_be_read(sdkappid: int, key: str, identifier: str, now: int, expire_s: int) -> None:
    """Whatever is signed can be read again, needs no percent-encoding, and carries the documented HMAC."""
    usersig = sign(sdkappid=sdkappid, key=key, identifier=identifier, now=now, expire_s=expire_s)
    assert describe(usersig) == UserSigFacts(identifier, sdkappid, now, expire_s)
    assert all(char.isascii() and (char.isalnum() or char in "*-_") for char in usersig)
    content = f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{now}\nTLS.expire:{expire_s}\n"
    digest = hmac.new(key.encode(), content.encode(), hashlib.sha256).digest()
    assert inside(usersig)["TLS.sig"] == base64.b64encode(digest).decode()


GOOD = {"TLS.ver": "2.0", "TLS.identifier": "admin", "TLS.sdkappid": 1, "TLS.time": 2, "TLS.expire": 3, "TLS.sig": "="}


@pytest.mark.parametrize(
    "usersig",
    [
        "",
        "canary",
        "canary\n",
        "管理员canary",
        VECTORS[0].usersig[:-20],
        VECTORS[0].usersig[:-8] + "____",
        VECTORS[0].usersig[1:],
        VECTORS[0].usersig.replace("*", "+"),
        base64.b64encode(zlib.compress(b'{"canary":')).decode().replace("=", "_"),
        base64.b64encode(zlib.compress(b"\xff\xfe")).decode().replace("=", "_"),
        base64.b64encode(zlib.compress(b"[" * 60_000)).decode().replace("=", "_"),
        base64.b64encode(zlib.compress(b'"' + b"x" * 1_000_000 + b'"')).decode().replace("=", "_"),
        packed(["canary"]),
        packed(None),
        *(packed({name: value for name, value in GOOD.items() if name != lacking}) for lacking in list(GOOD)[1:5]),
        *(packed(GOOD | {name: "canary"}) for name in list(GOOD)[2:5]),
        packed(GOOD | {"TLS.identifier": 5}),
        packed(GOOD | {"TLS.time": 1.5}),
    ],
)
def test_what_cannot_be_read(usersig: str) -> None:
    """What is no UserSig is refused in a sentence that repeats nothing of it."""
    with pytest.raises(ValueError, match=r"^the UserSig") as caught:
        describe(usersig)
    assert "canary" not in "".join(traceback.format_exception(caught.value))


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text raises anything but ValueError."""
    with contextlib.suppress(ValueError):
        describe(text)
