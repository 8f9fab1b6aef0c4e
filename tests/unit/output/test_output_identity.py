"""Which export this is."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.errors import OutputError
from exporter.output.identity import STREAM, Identity

INPUTS: list[Mapping[str, object]] = [{"bytes": 10, "hash": "aa"}, {"bytes": 20, "hash": "bb"}]
SETTINGS: dict[str, object] = {
    "column": None,
    "shard_rows": 1000,
    "types": {"a": "int64", "b": "bool"},
    "attributes": ["x"],
}

values = st.none() | st.booleans() | st.text(max_size=3) | st.integers(2, 9) | st.lists(st.text(max_size=2), max_size=2)
some_settings = st.fixed_dictionaries(dict.fromkeys(("column", "strip", "keep"), values))
some_inputs = st.lists(st.fixed_dictionaries({"bytes": st.integers(0, 3), "hash": st.sampled_from("ab")}), max_size=3)
identities = st.builds(Identity, some_inputs, some_settings)


def stored(identity: Identity) -> Any:
    """The parts as they come back from a journal or a manifest."""
    return orjson.loads(orjson.dumps(identity.parts))


def refused(old: object, new: Identity) -> str | None:
    try:
        new.refuse_other(old, "OUT holds another export", "--restart")
    except OutputError as error:
        return str(error)
    return None


@given(identities, identities)
@settings(deadline=None, derandomize=True)
def test_only_the_same_export_is_accepted(one: Identity, two: Identity) -> None:
    """Equal parts, equal fingerprint, no refusal; anything else differs in all three."""
    same = one.parts == two.parts
    assert (one.fingerprint == two.fingerprint) is same
    assert (refused(stored(one), two) is None) is same
    assert refused(stored(one), one) is None


@pytest.mark.parametrize(
    ("inputs", "changed", "named"),
    [
        ([INPUTS[0]], {}, "the number of input files differs"),
        ([*INPUTS, INPUTS[0]], {}, "the number of input files differs"),
        ([INPUTS[0], {"bytes": 20, "hash": "cc"}], {}, "input 2 has other content"),
        (INPUTS[::-1], {}, "input 1 has other content"),
        (INPUTS, {"shard_rows": 10}, "shard_rows was 1000, now it is 10"),
        (INPUTS, {"column": "id"}, "column was not given, now it is 'id'"),
        (INPUTS, {"attributes": ["y", "x"]}, "attributes was x, now it is y,x"),
        (INPUTS, {"types": {"a": "text", "b": "bool"}}, "types was a=int64,b=bool, now it is a=text,b=bool"),
        (INPUTS, {"strip": True}, "strip was not given, now it is true"),
    ],
)
def test_the_first_difference_is_named(
    inputs: list[Mapping[str, object]], changed: dict[str, object], named: str
) -> None:
    """The sentence says what differs, where, and what to do."""
    sentence = refused(stored(Identity(INPUTS, SETTINGS)), Identity(inputs, {**SETTINGS, **changed}))
    assert sentence is not None
    assert sentence.startswith(f"OUT holds another export: {named}")
    assert sentence.endswith(". Choose another --out, or give --restart to begin anew.")


@pytest.mark.parametrize("name", ["exporter", "format", "pyarrow"])
def test_another_version_is_another_export(name: str) -> None:
    """The bytes depend on the library that writes them."""
    here = Identity(INPUTS, SETTINGS)
    old = stored(here)
    old["versions"][name] = "0.0"
    assert f"{name} was '0.0'" in str(refused(old, here))


def test_the_order_of_settings_does_not_matter() -> None:
    """The same settings in another order are the same export."""
    turned = Identity(INPUTS, dict(reversed(list(SETTINGS.items()))))
    assert turned.fingerprint == Identity(INPUTS, SETTINGS).fingerprint
    assert refused(stored(Identity(INPUTS, SETTINGS)), turned) is None


def test_a_stream_that_was_not_read_yet_is_like_another_stream_alone() -> None:
    """Between two streams only the rest can differ; a file is never taken for what a stream may give."""
    unread, read = Identity([STREAM], SETTINGS), Identity([{"bytes": 3, "sha256": "x"}], SETTINGS)
    assert refused(stored(unread), unread) is None
    assert "input 1 is a stream in one of both" in str(refused(stored(read), unread))
    assert "input 1 is a stream in one of both" in str(refused(stored(unread), read))
    assert refused(stored(unread), Identity([STREAM], {**SETTINGS, "column": "id"})) is not None
    assert "input 1" in str(refused(stored(read), Identity([{"bytes": 4, "sha256": "y"}], SETTINGS)))


BROKEN: list[object] = [
    None,
    5,
    "x",
    [],
    {},
    {"inputs": 5},
    {"inputs": INPUTS},
    {"inputs": INPUTS, "settings": 5, "versions": None},
]


@pytest.mark.parametrize("old", BROKEN, ids=range(len(BROKEN)))
def test_parts_that_cannot_be_read_are_another_export(old: object) -> None:
    """What does not say that it is this export is refused."""
    assert refused(old, Identity(INPUTS, SETTINGS)) is not None


def test_a_setting_that_is_no_more_is_a_difference() -> None:
    """A setting that shaped the old export and is unknown now may have shaped its bytes."""
    old = stored(Identity(INPUTS, {**SETTINGS, "compression": "gzip"}))
    assert "compression" in str(refused(old, Identity(INPUTS, SETTINGS)))
