"""UserSig, the signed ticket of every call: made from the app's key, and read again without it (TLSSigAPIv2).

The key is used as the raw bytes of its text, not decoded from hexadecimal. Two programs may spell the same ticket
differently (JSON layout, zlib level), so tickets are compared by what they say, never by their bytes.
"""

import base64
import hashlib
import hmac
import json
import re
import zlib
from dataclasses import dataclass

DECODED_BYTES_MAX = 64 * 1024

_ALPHABET = re.compile("[A-Za-z0-9*_-]+")


@dataclass(frozen=True, slots=True)
class UserSigFacts:
    """What a UserSig says of itself: `time` in Unix seconds, `expire` a duration in seconds."""

    identifier: str
    sdkappid: int
    time: int
    expire: int

    @property
    def expires_at(self) -> int:
        """The last Unix second in which the UserSig is valid."""
        return self.time + self.expire


def sign(*, sdkappid: int, key: str, identifier: str, now: int, expire_s: int) -> str:
    """Make the UserSig that lets `identifier` call until `now + expire_s` (Unix seconds)."""
    signed = (
        f"TLS.identifier:{identifier}\nTLS.sdkappid:{sdkappid}\nTLS.time:{now}\nTLS.expire:{expire_s}\n"  # fixed order
    )
    digest = hmac.new(key.encode(), signed.encode(), hashlib.sha256).digest()
    ticket = {
        "TLS.ver": "2.0",
        "TLS.identifier": identifier,
        "TLS.sdkappid": sdkappid,
        "TLS.expire": expire_s,
        "TLS.time": now,
        "TLS.sig": base64.b64encode(digest).decode(),
    }
    packed = zlib.compress(json.dumps(ticket).encode())
    return base64.b64encode(packed, altchars=b"*-").decode().replace("=", "_")


def describe(usersig: str) -> UserSigFacts:
    """Read what a UserSig says, without checking its signature.

    Raises ValueError, a sentence that repeats nothing of the UserSig, when it cannot be decoded.
    """
    match _unpacked(usersig):
        case None:
            raise ValueError("the UserSig cannot be decoded: copy the whole of it again")
        case {
            "TLS.identifier": str(identifier),
            "TLS.sdkappid": int(sdkappid),
            "TLS.time": int(time),
            "TLS.expire": int(expire),
        }:
            return UserSigFacts(identifier, sdkappid, time, expire)
    raise ValueError("the UserSig lacks its identifier, SDKAppID, time or expiry: make a new one")


def _unpacked(usersig: str) -> object:
    """The JSON inside a UserSig, or None when there is none; bounded, since a small text may unpack to a huge one."""
    if not _ALPHABET.fullmatch(usersig):
        return None
    inflate = zlib.decompressobj()
    try:
        packed = base64.b64decode(usersig.replace("_", "="), altchars=b"*-", validate=True)
        text = inflate.decompress(packed, DECODED_BYTES_MAX)
        return json.loads(text) if inflate.eof else None
    except (ValueError, zlib.error, RecursionError):
        return None
