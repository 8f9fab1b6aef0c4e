import base64
import json
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.simulator.signature import TOKEN_BYTES_MAX, Expected, decode, verify

KEY = "5bd2850fff3ecb11d7c805251c51ee463a25727bddc2385f3fa8bfee1bb93b5e"
APP = 1400000000
SIGNED_AT = 1700000000
LAST_SECOND = 1700086400

USERSIGS = {
    "V1": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-Myi0uKEkvyi2BKilOyEwsKMlOACgxNDKAAKpdaUZBZlAqUsTAzgQuWZOaChAzN0RQXZ6aDLKn0cUzVLjcPD00NLS1MCrPM0A*JMLcoNTLMD3HP1M60jCowLDUOKMiLNDOwVaoFAD4PNPI_",
    "V2": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpYJkTE1NjRDiJZm5YFEzNPXFmekgGwyjTAPy0l2y3BNL01KDMwPynUorUjwizV29jb1CUhyzfAMsjYNNvMvCjH1tlWoBGhAzGw__",
    "V3": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkElNyM-NgUsUp2YkFBZkpQAkLKIDKpFYUZBalAsUNoQIlmbkgrgFMZ2Y6yLR0L79U8yptl0SzyvAUM7fgqLQwQ*eIpLy0vCKPqqpQ11TTvNRSZ4-MDL9AW6VaAK*QL7o_",
    "V4": "eJxFzUELgjAcBfCvIjuXzo1Mgw6eoihK1MCTmNvynyjiplnRd89M6R1-j8d7oWDv6y2v0UpDRMdopg0CjJcKBPyKRvI6voPK5iyRWUzJ5aG4jJMp00qyPKkqYP2G4CHm2PCugpr3Ti2MR1NQfMVc0oVlO3*XcP2eHiTJ043rR2Uknk7AjycIFS3S8Lyzb0bgucroWlGJbeOt0fsDxm08Yw__",
    "V5": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkYkrNkxINgaSJgVlMqamJqQVMXXFKdmJBQWYKUJWhiQEUQOVSKwoyi1KBMhZmJnDBksxckJChOZri4sx0kE0FSUW*pulZxlmuiT7JZalRRs6VWQUhfl6uweahBSbZ5hFOzs7amQGZ6QWOtkq1AHMtNTw_",
    "V6": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkEmOUkmJikhVSYNLFKdmJBQWZKUBJQxMDKIDKpVYUZBalAmUszEzggiWZuSAhQ3M0xcWZ6SALfLVNjH3DvAJyfPPDQk38wix9zJ0DQgJLAyy000IDtUudjfIK0nzT8pNCDWyVagF8wjHH",
    "V7": "eJyrVgrxCdYrSy1SslJQMtIzUNJRAItkpqTmlWSmZUIkKjIT87NK82CSxSnZiQUFmSlAKUMTAyiAyqVWFGQWpQJlLMxM4IIlmbkgIUNzNMWlxalFSaVpICsiw72y4OZnpoOE-BOTjMsi0nMiTUwDkiuqtIODszJSKpzCSzNCHCvCMioifdLKwrLcM-y9DGyVagF2rTqB",
    "V1 in another key order, compact": (
        "eJyrVgrxCdYrSy1SslIy0jNQ0gHzM1NS80oy0zLBwokpuZl5mcUlRYkl*UVQBcUp2YkFBZkpSlaGJgZQAJEpycxNVbIyNEcVTa0oyCxKVbKyMDOBCRVnpitZKVX6OKZql5uHh6aGlhYmhVlm6IdEmFuUGhnmh7hnamdaRhUYlhoHFORFmhnYKtUCAK0SM5I_"
    ),
    "V1 stored without compression": (
        "eAEBrgBR-3siVExTLnZlciI6IjIuMCIsIlRMUy5pZGVudGlmaWVyIjoiYWRtaW5pc3RyYXRvciIsIlRMUy5zZGthcHBpZCI6MTQwMDAwMDAwMCwiVExTLmV4cGlyZSI6ODY0MDAsIlRMUy50aW1lIjoxNzAwMDAwMDAwLCJUTFMuc2lnIjoieUxBZSt3N1dVZVV1cWJWOWgvVFg3OHUyMW9UR2kraTlacDF1M1Bwblk2MD0ifbyIM5I_"
    ),
}
ADMIN = Expected(APP, "administrator", KEY)
EXPECTED = {
    "V1": (ADMIN, SIGNED_AT, 86400),
    "V2": (Expected(APP, "xiaojun", KEY), 1600000000, 15552000),
    "V3": (Expected(88888888, "admin", "secret-key-for-tests"), 0, 1),
    "V4": (Expected(20000001, "user_with-dash_32bytes_aaaaaaaaa", "k"), 1735689600, 3600),
    "V5": (Expected(APP, "管理员", KEY), SIGNED_AT, 86400),
    "V6": (Expected(APP, 'a"b\\c d', KEY), SIGNED_AT, 86400),
    "V7": (Expected(APP, "xiaojun", KEY), SIGNED_AT, 86400),
    "V1 in another key order, compact": (ADMIN, SIGNED_AT, 86400),
    "V1 stored without compression": (ADMIN, SIGNED_AT, 86400),
}
V1 = USERSIGS["V1"]


def packed(document: object, *, level: int = 6) -> str:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return base64.b64encode(zlib.compress(text, level)).decode().translate(str.maketrans("+/=", "*-_"))


def fields(usersig: str) -> dict[str, object]:
    plain = zlib.decompress(base64.b64decode(usersig.translate(str.maketrans("*-_", "+/="))))
    document: dict[str, object] = json.loads(plain)
    return document


@pytest.mark.parametrize("name", USERSIGS)
def test_every_vector_is_valid_to_its_last_second_and_expired_after_it(name: str) -> None:
    """A UserSig lives for exactly `expire` seconds, whoever encoded it and however."""
    expected, signed_at, expire = EXPECTED[name]
    last = signed_at + expire
    assert [verify(USERSIGS[name], expected, now) for now in (signed_at, last, last + 0.9, last + 1)] == [
        0,
        0,
        0,
        70001,
    ]


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        (Expected(APP, "administrator", KEY[:-1] + "0"), 70009),
        (Expected(APP, "administrator", KEY.upper()), 70009),
        (Expected(APP, "Administrator", KEY), 70013),
        (Expected(APP + 1, "administrator", KEY), 70014),
        (Expected(APP, "administrator", KEY, newer_than=SIGNED_AT), 70001),
        (Expected(APP, "administrator", KEY, newer_than=SIGNED_AT - 1), 0),
    ],
)
def test_each_difference_has_its_own_code(expected: Expected, code: int) -> None:
    """Key, identifier, app and revocation are told apart."""
    assert verify(V1, expected, LAST_SECOND) == code


@pytest.mark.parametrize(
    "garbage",
    [
        *("", "garbage", "====", V1[:-1], V1[:40], V1 + "AAAA", " " + V1, V1.replace("*", "+"), "é"),
        packed([]),
        packed("text"),
        packed(b"\xff\xfe"),
        packed(b"{" * 5_000),
        packed(b"[" * 5_000 + b"]" * 2),
        packed({}),
        packed(fields(V1) | {"TLS.ver": "1.0"}),
        packed(fields(V1) | {"TLS.sdkappid": str(APP)}),
        packed(fields(V1) | {"TLS.time": True}),
        packed(fields(V1) | {"TLS.sig": None}),
        packed(fields(V1) | {"TLS.userbuf": 1}),
        packed(json.dumps(fields(V1)).encode() + b" " * TOKEN_BYTES_MAX, level=9),
    ],
)
def test_what_is_no_usersig_is_illegal(garbage: str) -> None:
    """Anything that does not decode to the token's fields is 70003, never an exception."""
    assert verify(garbage, ADMIN, LAST_SECOND) == 70003


@pytest.mark.parametrize(
    ("name", "value"),
    [("TLS.time", SIGNED_AT + 1), ("TLS.expire", 10**9), ("TLS.sig", ""), ("TLS.sig", "é"), ("TLS.userbuf", "")],
)
def test_a_token_that_was_altered_fails_the_comparison(name: str, value: object) -> None:
    """Every field that the HMAC covers is covered here too: a longer life cannot be written in."""
    assert verify(packed(fields(V1) | {name: value}), ADMIN, LAST_SECOND) == 70009


def test_a_lone_surrogate_is_a_wrong_signature_and_no_crash() -> None:
    """A name that UTF-8 cannot hold is refused like any other."""
    usersig = packed(fields(V1) | {"TLS.identifier": "\ud800"})
    assert verify(usersig, Expected(APP, "\ud800", KEY), SIGNED_AT) == 70009


@given(st.text(max_size=60) | st.binary(max_size=60).map(packed))
def test_no_text_is_ever_taken_for_a_valid_usersig(text: str) -> None:
    """Random input is illegal."""
    assert decode(text) is None
    assert verify(text, ADMIN, SIGNED_AT) == 70003


def test_a_fresh_signature_verifies(sign: Callable[..., str]) -> None:
    """What any signer that follows the public algorithm makes is accepted."""
    assert verify(sign(at=5, expire=10, key="k", identifier="é 红"), Expected(APP, "é 红", "k"), 15) == 0


def test_the_key_is_not_shown() -> None:
    """The key stays out of a printed value."""
    assert KEY not in repr(ADMIN)
