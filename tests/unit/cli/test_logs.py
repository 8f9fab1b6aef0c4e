"""Sentences as lines of JSON."""

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from exporter.cli.console import BUG, DETAIL, ERROR, INFO, WARNING
from exporter.cli.logs import JsonLines

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXTS, st.sampled_from([DETAIL, INFO, WARNING, ERROR, BUG]), st.dictionaries(st.sampled_from("abc"), TEXTS))
def test_a_sentence_is_one_line_and_comes_back_as_it_was(sentence: str, level: str, facts: dict[str, str]) -> None:
    """Whatever stands in it: percents, braces, line ends; with its level, its facts, and the time in UTC."""
    lines = JsonLines()
    lines.bind(run_id="0123abcd")
    line = lines(sentence, level, dict(facts))
    assert "\n" not in line
    told = json.loads(line)
    assert told.pop("message") == sentence
    assert told.pop("level") == level
    assert told.pop("run_id") == "0123abcd"
    assert abs((datetime.fromisoformat(told.pop("time")) - datetime.now(UTC)).total_seconds()) < 60
    assert told == facts
