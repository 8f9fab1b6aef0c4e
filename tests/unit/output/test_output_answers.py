"""What a shard's answers become when they are joined."""

from array import array

import pyarrow as pa
import pytest

from exporter.batching import Shard
from exporter.errors import SettingsError
from exporter.flatten import Texts
from exporter.output.answers import Answers, Part, in_input_order


def test_more_text_than_an_array_holds_is_told_and_never_cut_off() -> None:
    """Over 2 GiB in one column of a shard ends in a sentence with the way out; takes that much memory for a moment."""
    long = Texts(pa.array(["account", "x" * 2**28], pa.string()), 1, {"a": 1})
    answers = Answers(found={number: Part(long, array("q", [number])) for number in range(9)})
    answers.sighting.seen = frozenset({"a"})
    with pytest.raises(SettingsError, match=r"shard 3 has more than 2 GiB .* a smaller --shard-rows"):
        in_input_order(Shard(number=3, first_row=1), answers)
