"""Which request meets which fault: a plan that is the same whenever the seed and the request's number are the same."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, NamedTuple

WRONG_TYPES = ("error_code", "user_attrs", "account", "attrs", "item")


class Kind(NamedTuple):
    """A kind of fault: what may follow its name (a pattern), and what happens to the request."""

    parameter: str
    what: str


KINDS: Mapping[str, Kind] = {
    # These end the request: the first that hits is the answer.
    "code": Kind(r":-?[1-9]\d{0,5}", "code:91000: the whole call fails with this code"),
    "http502": Kind("", "HTTP status 502 with a page of HTML, as a gateway sends it"),
    "http": Kind(r":[45]\d\d", "http:503: this HTTP status, 400 to 599"),
    "redirect": Kind("", "HTTP status 302 to another path"),
    "reset": Kind("", "the connection is reset in the middle of the answer"),
    "hang": Kind("", "no answer at all"),
    "cut": Kind("", "the body ends before its Content-Length"),
    "cut_json": Kind("", "whole HTTP, half a JSON document"),
    "html": Kind("", "HTTP status 200 with a page of HTML"),
    "empty": Kind("", "HTTP status 200 without a body"),
    "huge": Kind("", "a right answer of over 2 MiB"),
    "gzip_bomb": Kind("", "200 MiB of JSON in a small gzip body"),
    "deep": Kind("", "JSON nested 100,000 deep"),
    # These change a right answer: all that hit are done, in this order.
    "missing": Kind("", "one account that was asked for is left out"),
    "error_list": Kind(
        r"(:[1-9]\d{0,5})?", "error_list:91000: one account is in ErrorList instead (70107 unless said)"
    ),
    "non_string": Kind("", "one account's values are numbers, booleans, null and nested"),
    "duplicate": Kind("", "one account comes twice, the same"),
    "conflict": Kind("", "one account comes twice, with different values"),
    "stranger": Kind("", "an account that nobody asked for"),
    "reorder": Kind("", "the accounts come in another order"),
    "wrong_types": Kind(rf"(:({'|'.join(WRONG_TYPES)}))?", "wrong_types:attrs: one field is of another JSON type"),
    "null_user_attrs": Kind("", "OK, and UserAttrs is null"),
    "no_user_attrs": Kind("", "OK, without UserAttrs"),
}

OUTAGES = ("http502", "refuse", "hang")
_OUTAGE = re.compile(rf"({'|'.join(OUTAGES)}):(requests|seconds)=(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")


def parse_faults(texts: Iterable[str]) -> dict[str, float]:
    """`["code:91000=0.02", "html=0.01"]` as a table of shares.

    Raises ValueError with a sentence for a kind that does not exist or a share that is not 0..1.
    """
    table = {}
    for text in texts:
        kind, sign, share = text.rpartition("=")
        if not sign:
            raise ValueError(f"A fault is written KIND=SHARE, like html=0.01; {text!r} has no '='.")
        try:
            table[kind] = float(share)
        except ValueError:
            raise ValueError(f"The share of fault {kind} is a number from 0 to 1, not {share!r}.") from None
    return checked_faults(table)


def checked_faults(table: Mapping[str, float]) -> dict[str, float]:
    """The table in the order in which faults apply. Raises ValueError as `parse_faults` does."""
    for kind, share in table.items():
        name = kind.partition(":")[0]
        if name not in KINDS:
            raise ValueError(f"There is no fault {kind!r}; the faults are {', '.join(KINDS)}.")
        if not re.fullmatch(name + KINDS[name].parameter, kind, re.ASCII):
            raise ValueError(f"Fault {kind!r} is not written like that. {name} means: {KINDS[name].what}.")
        if not 0 <= share <= 1:
            raise ValueError(f"The share of fault {kind} is a number from 0 to 1, not {share}.")
    places = list(KINDS)
    return {kind: table[kind] for kind in sorted(table, key=lambda kind: (places.index(kind.partition(":")[0]), kind))}


def draw(seed: int, number: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = blake2b(f"{seed}:{number}:{name}".encode(), digest_size=6).digest()
    return int.from_bytes(digest) / (1 << 48)


def hits(table: Mapping[str, float], seed: int, number: int) -> tuple[str, ...]:
    """The kinds that request `number` meets, in the order of the table; each is drawn by itself."""
    return tuple(kind for kind, share in table.items() if draw(seed, number, kind) < share)


def latency_s(bounds_ms: tuple[float, float], seed: int, number: int) -> float:
    """How long the answer to request `number` waits: seconds, drawn evenly between the bounds in milliseconds."""
    low, high = bounds_ms
    return (low + (high - low) * draw(seed, number, "latency")) / 1_000 if high else 0.0


@dataclass(frozen=True, slots=True)
class Outage:
    """A window in which nothing is served: request numbers (from 1) or seconds since the start, both ends included."""

    kind: str
    unit: Literal["requests", "seconds"]
    first: float
    last: float

    def covers(self, number: int, second: float) -> bool:
        """Whether request `number`, come `second` seconds after the start, falls into the window."""
        return self.first <= (number if self.unit == "requests" else second) <= self.last


def parse_outage(text: str) -> Outage:
    """`"http502:requests=100-200"` or `"hang:seconds=2.5-4"`. Raises ValueError with a sentence."""
    match = _OUTAGE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"An outage is written like http502:requests=100-200 or hang:seconds=2.5-4 "
            f"(kinds: {', '.join(OUTAGES)}), not {text!r}."
        )
    unit: Literal["requests", "seconds"] = "requests" if match[2] == "requests" else "seconds"
    return Outage(match[1], unit, float(match[3]), float(match[4]))


class Poison:
    """Ids that fail every request which holds one; an item that ends in `*` stands for all ids with that beginning."""

    def __init__(self, items: Collection[str]) -> None:
        texts = [str(item) for item in items]
        self._ids = frozenset(text for text in texts if not text.endswith("*"))
        self._prefixes = tuple(text[:-1] for text in texts if text.endswith("*"))

    def spoils(self, accounts: Collection[str]) -> bool:
        """Whether one of the accounts is poison."""
        if not self._ids.isdisjoint(accounts):
            return True
        return bool(self._prefixes) and any(account.startswith(self._prefixes) for account in accounts)
