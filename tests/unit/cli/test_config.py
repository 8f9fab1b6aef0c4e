"""The settings in force, as they are shown."""

import json

import pytest

from exporter.cli.config import HIDDEN, config
from exporter.settings import SECRETS, Settings, given, made, spelt


def _shown(capsys: pytest.CaptureFixture[str], **flags: object) -> dict[str, str]:
    found = given(**flags)
    assert config(made(found), found) == 0
    rows = (line.split("  ") for line in capsys.readouterr().out.splitlines())
    return {cells[0]: next(cell.strip() for cell in cells[1:] if cell) for cells in rows}


def test_every_setting_is_shown_as_its_flag_would_take_it(capsys: pytest.CaptureFixture[str]) -> None:
    """Switches in words, lists with commas, limits as they were written, and nothing as a dash."""
    shown = _shown(capsys, strip=True, attributes="a,b", max_rejects="0.5%", max_missing="5%", delimiter="tab")
    assert list(shown) == [spelt(name) for name in Settings.model_fields]
    expected = {"strip": "true", "quiet": "false", "attributes": "a,b", "max_rejects": "0.5%", "delimiter": "tab"}
    assert {name: shown[name] for name in expected} == expected
    assert shown["region"] == "-"


def test_a_secret_is_said_to_be_there_only_where_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And never what it is."""
    for name in SECRETS:
        monkeypatch.delenv(f"EXPORTER_{name.upper()}", raising=False)
    assert {_shown(capsys)[name] for name in SECRETS} == {"-"}
    found = given(secret_key="a canary of a key")
    config(made(found), found)
    out = capsys.readouterr().out
    assert HIDDEN in out
    assert "canary" not in out
    found = given(secret_key="a canary of a key", as_json=True)
    config(made(found), found)
    told = json.loads(capsys.readouterr().out)
    assert (told["secret_key"]["value"], told["usersig"]["value"]) == (HIDDEN, None)
