"""Right answers, and the ways in which a right answer can be changed without ceasing to be JSON."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from exporter.simulator.faults import WRONG_TYPES
from exporter.simulator.people import ATTRIBUTE_NAMES, World, attributes_of

Document = dict[str, Any]
Shape = Callable[[Document, int, str], None]
"""Changes a document in place; the number picks the account, the text is what stood after the kind's colon."""

NOT_IMPORTED = 70107

INFO: Mapping[int, str] = {
    60002: "HTTP parse Error",
    60003: "HTTP request JSON parsing error",
    60006: "invalid SDKAppID",
    60007: "REST API call frequency exceeds the limit",
    60009: "request resource error",
    60010: "the request requires App administrator permissions",
    60012: "the REST API requires the SDKAppID",
    60015: "UserID type error in the request body: a UserID must be a string",
    60025: "SDKAppID, identifier, UserSig or ContentType error",
    70001: "UserSig expired",
    70002: "UserSig is empty",
    70003: "illegal UserSig",
    70009: "UserSig verification failed",
    70013: "the UserID in the request differs from the one in the UserSig",
    70014: "the SDKAppID in the request differs from the one in the UserSig",
    70107: "the requested account is not imported",
    90001: "Fail to Parse json data of body, Please check it",
    90003: "To_Account is missing",
    90018: "the number of requested accounts exceeds the limit",
    90028: "To_Account is not an array",
    90029: "the array size of To_Account is 0",
    90048: "the user account does not exist",
    91000: "internal service error, please try again",
    93000: "the JSON packet is too long",
}


def refusal(code: int) -> Document:
    """A failed call; the text may be empty, as it is for codes in no public table."""
    return {"ActionStatus": "FAIL", "ErrorInfo": INFO.get(code, ""), "ErrorCode": code}


def names() -> Document:
    """The answer of `im_get_attr_name`."""
    numbered = {str(number): name for number, name in enumerate(ATTRIBUTE_NAMES)}
    return {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "AttrNames": numbered}


def attributes(accounts: Sequence[str], world: World, *, unknown_as: str, turn: int) -> Document:
    """The answer of `im_get_attr`: an entry for every account that exists, the first `turn` (modulo) of them last."""
    entries = []
    unknown = []
    for account in accounts:
        attrs = attributes_of(account, world)
        if attrs is None:
            unknown.append({"To_Account": account, "ErrorCode": NOT_IMPORTED})
        else:
            entries.append({"To_Account": account, "Attrs": attrs})
    if unknown and unknown_as == "whole_call":
        return refusal(NOT_IMPORTED)
    if entries:
        turn %= len(entries)
        entries = entries[turn:] + entries[:turn]
    document = {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0, "UserAttrs": entries}
    if unknown and unknown_as == "error_list":
        document["ErrorList"] = unknown
    return document


def shape(document: Document, kinds: Iterable[str], pick: int) -> list[str]:
    """Change the document, each name once, as far as there is an entry to change; returns the kinds that were done.

    `kinds` are in the order of `faults.KINDS`: the changes that destroy the list of entries come last.
    """
    done: dict[str, str] = {}
    for kind in kinds:
        name, _, parameter = kind.partition(":")
        if name in SHAPES and name not in done and document.get("UserAttrs"):
            SHAPES[name](document, pick, parameter)
            done[name] = kind
    return list(done.values())


def _missing(document: Document, pick: int, _: str) -> None:
    entries = document["UserAttrs"]
    del entries[pick % len(entries)]


def _error_list(document: Document, pick: int, code: str) -> None:
    entries = document["UserAttrs"]
    moved = entries.pop(pick % len(entries))
    item = {"To_Account": moved["To_Account"], "ErrorCode": int(code or NOT_IMPORTED), "ErrorInfo": ""}
    document.setdefault("ErrorList", []).append(item)


def _non_string(document: Document, pick: int, _: str) -> None:
    entries = document["UserAttrs"]
    values = {"score": 12.5, "level": 7, "vip": True, "nick": None, "city": {"name": "Zürich", "codes": [8001, None]}}
    entries[pick % len(entries)]["Attrs"] = values


def _duplicate(document: Document, pick: int, _: str) -> None:
    entries = document["UserAttrs"]
    entries.append(dict(entries[pick % len(entries)]))


def _conflict(document: Document, pick: int, _: str) -> None:
    entries = document["UserAttrs"]
    entry = entries[pick % len(entries)]
    entries.append({**entry, "Attrs": {**entry["Attrs"], "city": "Elsewhere"}})


def _stranger(document: Document, pick: int, _: str) -> None:
    document["UserAttrs"].append({"To_Account": f"stranger_{pick}", "Attrs": {"city": "Nowhere"}})


def _reorder(document: Document, _pick: int, _: str) -> None:
    entries = document["UserAttrs"]
    document["UserAttrs"] = entries[1::2] + entries[::2][::-1]


def _wrong_types(document: Document, pick: int, place: str) -> None:
    entries = document["UserAttrs"]
    entry = entries[pick % len(entries)]
    match place or WRONG_TYPES[pick % len(WRONG_TYPES)]:
        case "error_code":
            document["ErrorCode"] = "0"
        case "user_attrs":
            document["UserAttrs"] = {item["To_Account"]: item["Attrs"] for item in entries}
        case "account":
            entry["To_Account"] = 27149
        case "attrs":
            entry["Attrs"] = [{"Name": name, "Value": value} for name, value in entry["Attrs"].items()]
        case "item":
            entries[pick % len(entries)] = None


def _null_user_attrs(document: Document, _pick: int, _: str) -> None:
    document["UserAttrs"] = None


def _no_user_attrs(document: Document, _pick: int, _: str) -> None:
    del document["UserAttrs"]


SHAPES: Mapping[str, Shape] = {
    "missing": _missing,
    "error_list": _error_list,
    "non_string": _non_string,
    "duplicate": _duplicate,
    "conflict": _conflict,
    "stranger": _stranger,
    "reorder": _reorder,
    "wrong_types": _wrong_types,
    "null_user_attrs": _null_user_attrs,
    "no_user_attrs": _no_user_attrs,
}
