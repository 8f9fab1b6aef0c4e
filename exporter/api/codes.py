"""What every published error code means for a read of user attributes: one table, obeyed and never second-guessed.

Sources: "Error Codes", "RESTful API Overview" and "Getting User Attributes" of Tencent Chat, and the vendor's
`V2TIMErrorCode.h`. The service answers HTTP 200 to everything but network failures, so these codes carry the meaning.
"""

import re
from dataclasses import dataclass

from exporter.errors import Verdict

RETRY, SLOW_DOWN, RESIGN = Verdict.RETRY, Verdict.SLOW_DOWN, Verdict.RESIGN
SPLIT, ACCOUNT, FATAL = Verdict.SPLIT, Verdict.ACCOUNT, Verdict.FATAL

SAID_CHARS_MAX = 200
ECHO_CHARS_MAX = 10_000
_LIKE_USERSIG = re.compile(r"usersig=[^&\s\"']+|[A-Za-z0-9*_%+/=-]{60,}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Code:
    """What to do about a code: `remedy` tells the operator, in the imperative; empty where waiting is all there is."""

    verdict: Verdict
    meaning: str
    remedy: str = ""
    attempts_max: int = 8
    known: bool = True


_BUG = "Update the exporter; if it stays, report this code as a bug of the exporter."
_SUPPORT = "Ask the vendor's support, naming the code and the SDKAppID."
_ADMIN = "Make the identifier an app administrator in the console, or name another with --identifier."
_KEY = "Copy the key of this very SDKAppID from the console again."
_REGION = "Check --sdkappid, and name the region where the app's data lives with --region."
_FRESH = "Check this machine's clock: what it says is signed into every UserSig."
_PLAN = "Buy or renew the plan, or top up the account, in the console; it takes effect after about 5 minutes."
_MESSAGES = "This code belongs to sending messages, not to reading: check what stands between here and the service."
_PUSH = "This code belongs to push requests, not to reading: check what stands between here and the service."
_WRITES = "This code belongs to writing attributes, not to reading: check what stands between here and the service."
_ACCOUNTS = "This code belongs to managing accounts, not to reading: check what stands between here and the service."
_FEATURE = "This code belongs to another feature, not to reading: check what stands between here and the service."
_IMPORT = "Import the account into the app, or take it out of the input."
_SLOWER = "Lower --rate if it stays: other programs of this app may share the quota."

CODES: dict[int, Code] = {
    # REST gateway
    60002: Code(FATAL, "the HTTP request could not be parsed", _BUG),
    60003: Code(FATAL, "the JSON of the request could not be parsed", _BUG),
    60004: Code(RESIGN, "the account check failed", _FRESH, attempts_max=4),
    60005: Code(RESIGN, "the account check failed", _FRESH, attempts_max=4),
    60006: Code(FATAL, "the SDKAppID is invalid", _REGION),
    60007: Code(SLOW_DOWN, "the call frequency of this API exceeds its limit", _SLOWER),
    60008: Code(RETRY, "the service timed out, or the request has a wrong format"),
    60009: Code(FATAL, "the requested resource is wrong", "Check --base-url: it must be the service's own domain."),
    60010: Code(FATAL, "the request needs app administrator rights", _ADMIN),
    60011: Code(SLOW_DOWN, "the request frequency of the whole app exceeds its limit", _SLOWER),
    60012: Code(FATAL, "the request names no SDKAppID", "Give --sdkappid."),
    60013: Code(RETRY, "the service could not parse its own answer", _SUPPORT, attempts_max=3),
    60014: Code(RETRY, "the account check timed out"),
    60015: Code(FATAL, "a user id in the request is no string", _BUG),
    60016: Code(FATAL, "the SDKAppID is disabled", _SUPPORT),
    60017: Code(FATAL, "the request is disabled", _SUPPORT),
    60018: Code(SLOW_DOWN, "requests come too frequently", _SLOWER),
    60019: Code(SLOW_DOWN, "there are too many requests", _SLOWER),
    60020: Code(FATAL, "the service is unavailable: the plan is not bought, expired or in arrears", _PLAN),
    60021: Code(FATAL, "the IP address of the caller is not allowed", "Add this machine's address in the console."),
    60025: Code(
        FATAL,
        "the SDKAppID, identifier, UserSig or content type is wrong",
        "Check --sdkappid, --identifier and the secret key.",
    ),
    60026: Code(FATAL, "the domain does not match the site of the app", _REGION),
    60027: Code(FATAL, "the app may use push resources alone", "Use the SDKAppID of a Chat app."),
    60028: Code(
        FATAL,
        "the requests of 24 hours exceed the limit of the Trial edition",
        "Run the same command again after 24 hours, or buy a plan.",
    ),
    # Account and signature
    70001: Code(RESIGN, "the UserSig has expired", _FRESH, attempts_max=2),
    70002: Code(FATAL, "the UserSig is empty", "Give the secret key or a UserSig."),
    70003: Code(
        FATAL, "the UserSig is illegal, perhaps cut short", "Copy the secret key, or the whole UserSig, again."
    ),
    70005: Code(FATAL, "the UserSig failed verification", _KEY),
    70009: Code(FATAL, "the UserSig failed verification: perhaps another app's key made it", _KEY),
    70013: Code(FATAL, "the identifier differs from the one in the UserSig", "Give the --identifier of the UserSig."),
    70014: Code(FATAL, "the SDKAppID differs from the one in the UserSig", "Give the --sdkappid of the UserSig."),
    70016: Code(FATAL, "the app has no key here", _REGION),
    70020: Code(FATAL, "the SDKAppID does not exist here", _REGION),
    70050: Code(
        FATAL,
        "the UserSig failed verification too often",
        "Mend the secret key or the UserSig, then wait one minute before running the same command.",
    ),
    70051: Code(FATAL, "the identifier is on the block-list", "Take it off the list, or name another administrator."),
    70052: Code(RESIGN, "the UserSig is no longer valid", _FRESH, attempts_max=2),
    70101: Code(RESIGN, "the login ticket has expired", _FRESH, attempts_max=2),
    70107: Code(ACCOUNT, "the account is not imported into the app", _IMPORT),
    70114: Code(FATAL, "the request is restricted for security reasons", _SUPPORT),
    70169: Code(RETRY, "the service timed out inside"),
    70202: Code(RETRY, "the service timed out inside"),
    70206: Code(FATAL, "the request has an invalid batch number", _ACCOUNTS),
    70398: Code(FATAL, "the number of accounts exceeds the limit of the Trial edition", "Buy a plan in the console."),
    70399: Code(ACCOUNT, "the account was deleted and cannot be imported again yet", _IMPORT),
    70402: Code(FATAL, "a parameter of the request is illegal", _BUG),
    70403: Code(FATAL, "the request needs app administrator rights", _ADMIN),
    70404: Code(FATAL, "the SDK version is too low", _FEATURE),
    70500: Code(RETRY, "the service failed inside"),
    71000: Code(FATAL, "the app does not support deleting accounts", _ACCOUNTS),
    72000: Code(FATAL, "the daily active users exceed the free quota", "Buy a plan in the console."),
    72001: Code(FATAL, "the user status feature is not enabled", _FEATURE),
    72002: Code(FATAL, "the monthly active users exceed the free quota", "Buy a plan in the console."),
    72010: Code(SLOW_DOWN, "requests of one user come too frequently", _SLOWER),
    72011: Code(FATAL, "the global do-not-disturb feature is not enabled", _FEATURE),
    72012: Code(FATAL, "the profile subscription feature is not enabled", _FEATURE),
    # Message and attribute family
    80001: Code(ACCOUNT, "the text contains sensitive content", "Take the account out of the input."),
    80002: Code(SPLIT, "the body is too long"),
    80003: Code(RETRY, "the app's own callback failed", "Check the callback URL in the console.", attempts_max=3),
    80004: Code(ACCOUNT, "the image contains sensitive content", "Take the account out of the input."),
    80005: Code(FATAL, "the service is deactivated: the plan has expired or is in arrears", _PLAN),
    90001: Code(FATAL, "the JSON of the request could not be parsed", _BUG),
    90003: Code(ACCOUNT, "the account is not named or does not exist", _IMPORT),
    90008: Code(FATAL, "the sender is not named or does not exist", _MESSAGES),
    90009: Code(FATAL, "the request needs app administrator rights", _ADMIN),
    90010: Code(FATAL, "the JSON does not match the message format", _MESSAGES),
    90011: Code(SPLIT, "there are more than 500 accounts in one request"),
    90012: Code(ACCOUNT, "the account is not registered or does not exist", _IMPORT),
    90018: Code(SPLIT, "there are too many accounts in one request"),
    90022: Code(FATAL, "a push condition repeats a tag", _PUSH),
    90024: Code(SLOW_DOWN, "pushes come too frequently", _SLOWER),
    90026: Code(FATAL, "the lifetime of the message is too long", _MESSAGES),
    90028: Code(FATAL, "the accounts of the request are no array", _BUG),
    90029: Code(FATAL, "the request names no account", _BUG),
    90030: Code(FATAL, "an attribute is empty or longer than 50 bytes", _WRITES),
    90032: Code(FATAL, "there are more than 10 tags", _PUSH),
    90033: Code(FATAL, "an attribute is invalid", _WRITES),
    90034: Code(FATAL, "a tag is longer than 50 bytes", _PUSH),
    90040: Code(FATAL, "a push condition has an empty tag", _PUSH),
    90043: Code(FATAL, "the offline push part is invalid", _PUSH),
    90044: Code(FATAL, "the lifetime of the message is no integer", _MESSAGES),
    90045: Code(
        FATAL,
        'the feature "push to all users" is not enabled',
        "Enable it in the console (plans above the basic one have it).",
    ),
    90047: Code(FATAL, "the pushes of today exceed the limit", _PUSH),
    90048: Code(ACCOUNT, "the account does not exist", _IMPORT),
    90055: Code(SPLIT, "the body of the request is too long"),
    90057: Code(SLOW_DOWN, "batch messages come too frequently", _SLOWER),
    90992: Code(RETRY, "the service failed inside"),
    90994: Code(RETRY, "the service failed inside"),
    90995: Code(RETRY, "the service failed inside"),
    91000: Code(RETRY, "the service failed inside"),
    93000: Code(SPLIT, "the JSON of the request is too long"),
    # Access layer
    -302: Code(SLOW_DOWN, "there are too many connections", _SLOWER),
    -10113: Code(SLOW_DOWN, "requests of one user come too frequently", _SLOWER),
    -10114: Code(SLOW_DOWN, "the access layer is overloaded and drops requests", _SLOWER),
    -20009: Code(SLOW_DOWN, "requests of one terminal come too frequently", _SLOWER),
    # Other families on the same gateway
    10002: Code(RETRY, "the group service failed inside"),
    10006: Code(SLOW_DOWN, "group operations come too frequently", _SLOWER),
    10018: Code(SPLIT, "the answer would be larger than 1 MB"),
    20004: Code(RETRY, "the message service failed inside"),
    20005: Code(RETRY, "the message service failed inside"),
    22006: Code(SLOW_DOWN, "push requests come too frequently", _SLOWER),
    30006: Code(RETRY, "the relation service failed inside"),
    30007: Code(RETRY, "the relation service timed out inside"),
    40006: Code(RETRY, "the profile service failed inside"),
    50004: Code(RETRY, "the conversation service failed inside"),
    50005: Code(RETRY, "the conversation service timed out inside"),
}

UNKNOWN = Code(RETRY, "an error code that no public table names", _SUPPORT, attempts_max=3, known=False)

_ELSEWHERE = "Check --region or --base-url, and any proxy or firewall between here and the service."

HTTP_STATUS: dict[int, Code] = {
    408: Code(RETRY, "the server waited too long for the request"),
    425: Code(RETRY, "the server wants the request again, later"),
    429: Code(SLOW_DOWN, "too many requests", _SLOWER),
}
"""The statuses with a rule of their own; the others follow their hundred."""

HTTP_HUNDREDS: dict[int, Code] = {
    3: Code(RETRY, "a redirect, which is never followed"),
    4: Code(FATAL, "the server refuses the request", _ELSEWHERE),
    5: Code(RETRY, "the server failed"),
}
HTTP_OTHER = Code(RETRY, "a status that the service never sends")


def look_up(code: int) -> Code:
    """The rule for the service's `ErrorCode`; UNKNOWN for a code that no public table names."""
    return CODES.get(code, UNKNOWN)


def look_up_status(status: int) -> Code:
    """The rule for an HTTP status other than 200."""
    return HTTP_STATUS.get(status) or HTTP_HUNDREDS.get(status // 100, HTTP_OTHER)


def said(error_info: object) -> str | None:
    """The service's own words fit to show: at most 200 characters, none of them a control character; None for none."""
    if not isinstance(error_info, str):
        return None
    # Gateways echo requests, in any spelling: whatever is as long as a UserSig is not shown.
    covered = _LIKE_USERSIG.sub("***", error_info[:ECHO_CHARS_MAX])
    shown = "".join(char if char.isprintable() else " " for char in covered[:SAID_CHARS_MAX])
    return shown.strip() or None


def sentence(code: int, error_info: object) -> str:
    """An error code as a sentence for the operator, with the service's own words where it said any."""
    row, words = look_up(code), said(error_info)
    parts = [f"{code}: {row.meaning}.", row.remedy, f"(the service said: {words})" if words else ""]
    return " ".join(part for part in parts if part)
