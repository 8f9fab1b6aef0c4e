"""The quick way to read an answer: decoded straight into rows of known names, or not read at all.

It takes only what is beyond doubt: success, the accounts that were asked for, each once, with texts for attributes that
are known. It declines anything else, and the caller reads that exactly; so a wrong answer is never read in two ways.
A field that nobody knows is declined as well: what msgspec passes over it does not judge, be it no UTF-8.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import msgspec
import orjson

from exporter.model import Attrs, Rows

NAMES_MAX = (
    64  # the service has ten names for an app; a row has room for every name, so many would cost more than they save
)


class Read(NamedTuple):
    """The accounts found, in the order in which they were asked for, and the answer's ErrorList as it stands."""

    found: Rows
    errors: object


class QuickReader:
    """Reads answers in which no attributes stand but those of `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)
        self._decoder = _decoder(self._names)

    def knowing(self, rows: Iterable[Attrs]) -> Self | None:
        """Return a reader that knows the names of these rows as well, or None when there are too many, or odd ones."""
        names = sorted({*self._names}.union(*rows))
        if len(names) == len(self._names):
            return self
        try:
            return type(self)(names) if len(names) <= NAMES_MAX else None
        except ValueError:  # a name that JSON has to escape
            return None

    def read(self, body: bytes, asked: Sequence[str]) -> Read | None:
        """Read an answer to a request for the accounts `asked`, or decline."""
        try:
            answer = self._decoder.decode(body)
            errors = orjson.loads(answer.ErrorList) if bytes(answer.ErrorList) else None
        except (msgspec.DecodeError, orjson.JSONDecodeError, UnicodeDecodeError, RecursionError):
            return None
        if type(answer.ErrorCode) is not int or answer.ErrorCode or answer.ActionStatus != "OK":
            return None
        rows = {user.To_Account: user.Attrs for user in answer.UserAttrs}
        texts = {account: msgspec.structs.astuple(rows[account]) for account in asked if account in rows}
        if len(texts) != len(answer.UserAttrs):
            return None  # one of them was not asked for, or is listed twice
        return Read(Rows(self._names, texts), errors)


def _decoder(names: Sequence[str]) -> Any:
    """Make a decoder of answers. Raises ValueError for a name that cannot be a field's."""
    fields = {f"text_{place}": name for place, name in enumerate(names)}
    attrs = msgspec.defstruct(
        "Attrs", [(field, str, None) for field in fields], rename=fields, forbid_unknown_fields=True, gc=False
    )
    user = msgspec.defstruct("User", [("To_Account", str), ("Attrs", attrs)], forbid_unknown_fields=True, gc=False)
    users: Any = list[user]  # type: ignore[valid-type] # made just now
    anything = [(name, Any, None) for name in ("ErrorCode", "ActionStatus")]
    passed_over: Any = [(name, str | None, None) for name in ("ErrorInfo", "ErrorDisplay", "RequestId")]
    # Read by the library of the exact way: the two do not agree on every number.
    listed = ("ErrorList", msgspec.Raw, msgspec.Raw())
    answer = msgspec.defstruct(
        "Answer", [("UserAttrs", users), *anything, *passed_over, listed], forbid_unknown_fields=True
    )
    return msgspec.json.Decoder(answer)
