"""Bytes to send and bytes that came back: every asked account leaves `parse_reply` in exactly one place, or it raises.

An answer that does not account for what was asked in the published form is malformed, and worth asking again: it is
never read as "no attributes". Source: "Getting User Attributes" and "Getting Application Attribute Names".
"""

import codecs
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, TypeGuard
from urllib.parse import quote, urlencode

import orjson

from exporter.api.codes import look_up, said, sentence
from exporter.api.quick import QuickReader
from exporter.errors import AttemptError, Verdict
from exporter.model import Attrs, Reason, Rejection, Reply

CODE_LIMIT = 2**31
EXCERPT_CHARS_MAX = 60

_PLAIN = frozenset({str, type(None)})
_NUMBER = re.compile("[0-9]{1,9}")
_OBJECT = frozenset({dict})
_MISSING = Rejection(Reason.MISSING)

_Object = dict[str, Any]
_Attrs = dict[str, str | None]


class _Number(str):
    """A JSON number, as the body spells it."""

    __slots__ = ()


_EXACT = json.JSONDecoder(parse_int=_Number, parse_float=_Number)


def request_body(accounts: Sequence[str]) -> bytes:
    """The body that asks for the attributes of `accounts`."""
    return orjson.dumps({"To_Account": list(accounts)})


def query(*, sdkappid: int, identifier: str, usersig: str, random: int) -> str:
    """The query of a call, percent-encoded; `random` is 0..4294967295, a fresh one for every attempt."""
    return f"{_who(sdkappid, identifier, usersig)}&random={random}&contenttype=json"


@lru_cache(maxsize=1)  # a UserSig stays for hours
def _who(sdkappid: int, identifier: str, usersig: str) -> str:
    fields = {"sdkappid": sdkappid, "identifier": identifier, "usersig": usersig}
    return urlencode(fields, safe="*", quote_via=quote)


class Answers:
    """Reads the answers of one app. The usual one is read at once, as rows of the names that came before.

    What they say is a function of the bytes alone: whatever the quick reader does not know is read exactly.
    """

    def __init__(self) -> None:
        self._quick: QuickReader | None = QuickReader(())

    def parse(self, body: bytes, asked: Sequence[str]) -> Reply:
        """What an answer to `request_body(asked)` says of each account; `asked` are all different.

        Raises AttemptError: with the service's code and its verdict, or RETRY without a code for a malformed answer.
        """
        if self._quick and (read := self._quick.read(body, asked)):
            found, listed = read
            return _settled(asked, found, _errors(listed, frozenset(asked)) if listed is not None else {})
        reply = parse_reply(body, asked)
        if self._quick:
            self._quick = self._quick.knowing(reply.found.values())
        return reply


def parse_reply(body: bytes, asked: Sequence[str]) -> Reply:
    """What an answer says, read exactly; see `Answers.parse`."""
    document, wanted = _document(body), frozenset(asked)
    found = _found(document, body, wanted)
    errors = _errors(document.get("ErrorList"), wanted)
    return _settled(asked, {account: found[account] for account in asked if account in found}, errors)


def _settled(asked: Sequence[str], found: Mapping[str, Attrs], errors: Mapping[str, Rejection]) -> Reply:
    for account in errors.keys() & found.keys():
        raise _malformed(f"{_quoted(account)} is both in UserAttrs and in ErrorList")
    reply = Reply(found)
    if len(found) == len(asked):
        return reply
    for account in asked:
        if account not in found:
            rejection = errors.get(account, _MISSING)
            (reply.again if rejection.reason is Reason.EXHAUSTED else reply.rejected)[account] = rejection
    return reply


def parse_names(body: bytes) -> list[str]:
    """The names of the app's attributes, by their number. Raises AttemptError as `parse_reply` does."""
    names = _document(body).get("AttrNames")
    if not isinstance(names, dict):
        raise _malformed("AttrNames is no object")
    for number, name in names.items():
        if not (_NUMBER.fullmatch(number) and isinstance(name, str)):
            raise _malformed("AttrNames is not a list of numbered names")
    return [names[number] for number in sorted(names, key=int)]


def _document(body: bytes) -> _Object:
    """The answer as an object that reports success. Raises AttemptError for any other."""
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        start = f"begins with {ascii(body[:EXCERPT_CHARS_MAX])[1:][:80]}" if body else "is empty"
        raise _malformed(f"it is no JSON object but {start}")
    code = document.get("ErrorCode")
    if not _is_code(code):
        raise _malformed("it has no integer ErrorCode")
    if code != 0:
        row = look_up(code)
        message = sentence(code, document.get("ErrorInfo"))
        raise AttemptError(message, verdict=row.verdict, code=code, attempts_max=row.attempts_max, known=row.known)
    if document.get("ActionStatus") != "OK":
        raise _malformed("its ErrorCode is 0, but its ActionStatus is not OK")
    return document


def _found(document: _Object, body: bytes, wanted: frozenset[str]) -> dict[str, _Attrs]:
    """The attributes by account; an account listed twice must say the same twice."""
    items = _items(document.get("UserAttrs"), "UserAttrs")
    accounts = _accounts(items, wanted, "UserAttrs")
    attrs: list[Any] = [item.get("Attrs") for item in items]
    for account, kind in zip(accounts, map(type, attrs), strict=True):
        if kind is not dict:
            raise _malformed(f"the Attrs of {_quoted(account)} are no object")
    # One pass at C speed over every value: as a rule all of them are strings, and the first reading stands.
    if not _PLAIN.issuperset(map(type, chain.from_iterable(map(dict.values, attrs)))):
        attrs = _spelled(body)
    found = dict(zip(accounts, attrs, strict=True))
    if len(found) != len(accounts):
        for account, one in zip(accounts, attrs, strict=True):
            if one != found[account]:
                raise _malformed(f"{_quoted(account)} is listed twice with different attributes")
    return found


def _errors(listed: object, wanted: frozenset[str]) -> dict[str, Rejection]:
    """What the optional ErrorList says, by account."""
    errors: dict[str, Rejection] = {}
    items = [] if listed is None else _items(listed, "ErrorList")
    for account, item in zip(_accounts(items, wanted, "ErrorList"), items, strict=True):
        code = item.get("ErrorCode")
        if not _is_code(code):
            raise _malformed(f"ErrorList gives no integer ErrorCode for {_quoted(account)}")
        rejection = _rejection(code, item.get("ErrorInfo"))
        if errors.setdefault(account, rejection) != rejection:
            raise _malformed(f"{_quoted(account)} is listed twice in ErrorList with different errors")
    return errors


def _rejection(code: int, error_info: object) -> Rejection:
    """The service has no attributes for an account: for good, or EXHAUSTED if the passing error never passes."""
    row = look_up(code)
    passing = row.known and row.verdict in (Verdict.RETRY, Verdict.SLOW_DOWN)
    return Rejection(Reason.EXHAUSTED if passing else Reason.UNKNOWN_ACCOUNT, code, said(error_info))


def _is_code(code: object) -> TypeGuard[int]:
    """Tell a code from a truth value, and from a number that no table of codes could hold."""
    return type(code) is int and abs(code) < CODE_LIMIT


def _items(listed: Any, name: str) -> list[_Object]:
    if type(listed) is not list:
        raise _malformed(f"{name} is no list")
    if not _OBJECT.issuperset(map(type, listed)):
        raise _malformed(f"{name} holds something that is no object")
    return listed


def _accounts(items: list[_Object], wanted: frozenset[str], name: str) -> list[str]:
    accounts: list[Any] = [item.get("To_Account") for item in items]
    for account in accounts:
        if type(account) is not str:
            raise _malformed(f"{name} has an entry without an account")
        if account not in wanted:
            raise _malformed(f"{name} has {_quoted(account)}, which was not asked for")
    return accounts


def _spelled(body: bytes) -> list[_Attrs]:
    """The attributes read once more, slowly, with whatever is no string as its JSON text, digit for digit."""
    try:
        listed = _EXACT.decode(body.decode("utf-8-sig"))["UserAttrs"]
        return [{name: _text(value) for name, value in item["Attrs"].items()} for item in listed]
    except RecursionError:
        problem = "a value is nested too deeply"
    raise _malformed(problem)


def _text(value: object) -> str | None:
    return value if value is None or type(value) is str else _json(value)


def _json(value: object) -> str:
    """Compact JSON of a value that `_EXACT` read, numbers as they were spelled."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(name)}:{_json(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _quoted(account: str) -> str:
    return repr(account[:EXCERPT_CHARS_MAX])[:80]


def _malformed(problem: str) -> AttemptError:
    return AttemptError(f"The answer cannot be used: {problem}.", verdict=Verdict.RETRY)
