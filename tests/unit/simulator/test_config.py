import re
from typing import Any

import pytest

from exporter.simulator.config import Config
from exporter.simulator.server import changed


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"faults": {"htlm": 0.1}}, "There is no fault 'htlm'"),
        ({"outages": ("always",)}, "An outage is written like"),
        ({"unknown_share": 1.1}, "unknown_share is a share from 0 to 1, not 1.1."),
        ({"empty_share": -0.1}, "empty_share is a share from 0 to 1, not -0.1."),
        ({"rate": -1}, "rate cannot be negative; it is -1."),
        ({"unknown_as": "nothing"}, "unknown_as is one of absent, error_list, whole_call, not 'nothing'."),
        ({"latency_ms": (5, 1)}, "latency_ms is (from, to) with 0 <= from <= to, not (5, 1)."),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    """The sentence names the setting and the value."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Config(**settings)


def test_the_key_is_not_shown() -> None:
    """A printed Config does not hold the key."""
    assert "sesame" not in repr(Config(secret_key="sesame"))


def test_settings_are_changed_by_name_and_type() -> None:
    """Lists become tuples, whole numbers are fractions too, the rest stays."""
    config = changed(Config(seed=9), {"rate": 5, "latency_ms": [1, 2], "unknown_share": 0, "faults": {"html": 1}})
    assert (config.rate, config.latency_ms, config.unknown_share, config.seed) == (5, (1, 2), 0, 9)
    assert config.faults == {"html": 1}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ([], "/control takes a JSON object with some of these settings: batch_max, "),
        ({"speed": 1}, "/control takes a JSON object with some of these settings: batch_max, "),
        ({"port": 1}, "/control takes a JSON object with some of these settings: batch_max, "),
        ({"rate": "fast"}, "rate is of type int, not str."),
        ({"rate": True}, "rate is of type int, not bool."),
        ({"people_seed": None}, "people_seed is of type int, not NoneType."),
        ({"latency_ms": 5}, "latency_ms is of type tuple, not int."),
        ({"rate": -1}, "rate cannot be negative"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_a_sentence(changes: object, sentence: str) -> None:
    """Unknown names, other types and impossible values change nothing."""
    with pytest.raises(ValueError, match=re.escape(sentence)):
        changed(Config(), changes)
