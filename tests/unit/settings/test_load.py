from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import SettingsError
from exporter.schema import PARSERS
from exporter.settings import SECRETS, Settings, load, only
from exporter.settings.values import Limit


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer covers the one below, setting by setting; what no layer gives has its default."""
    config = tmp_path / "exporter.toml"
    config.write_text(
        'out = "export"\njson = true\nrate = 1\nshard_rows = 2\nin_flight = 3\n[types]\n"a=b,c" = "int64"\n'
    )
    monkeypatch.setenv("EXPORTER_SHARD_ROWS", "20")
    monkeypatch.setenv("EXPORTER_IN_FLIGHT", "30")
    made = load(config, in_flight=300, column=None)
    assert (made.rate, made.shard_rows, made.in_flight, made.timeout_s) == (1, 20, 300, 5)
    assert made.types == {"a=b,c": "int64"}
    assert (made.out, made.as_json) == (Path("export"), True)


@pytest.mark.parametrize(("flag", "variable"), [("base_url", "REGION"), ("region", "BASE_URL")])
def test_an_address_of_one_layer_replaces_both_of_a_lower_one(
    flag: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--base-url` for a try is not refused because the environment names the region, and the other way round."""
    monkeypatch.setenv(f"EXPORTER_{variable}", "somewhere")
    made = load(**{flag: "elsewhere"})
    assert getattr(made, flag) == "elsewhere"
    assert getattr(made, variable.lower()) is None
    with pytest.raises(SettingsError, match="give one of them"):
        load(region="a", base_url="b")


def test_variables_are_written_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    """One spelling: of two nobody could tell which one counts, and a key in the other would not be covered from the start."""
    monkeypatch.setenv("exporter_rate", "5")
    assert load().rate == 100


def test_a_secret_of_the_wrong_kind_is_not_shown() -> None:
    """A program may hand over a number."""
    with pytest.raises(SettingsError, match="--secret-key: is no text") as caught:
        only(secret_key=987654321)
    assert "987654321" not in str(caught.value)


def test_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """`EXPORTER_RATE=` means that nothing is set, as most shells would have it."""
    monkeypatch.setenv("EXPORTER_RATE", "")
    assert load().rate == 100


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"rate": "0"}, "--rate"),
    ({"rate": "nan"}, "--rate"),
    ({"shard_rows": "0"}, "--shard-rows"),
    ({"in_flight": "100000"}, "--in-flight"),
    ({"types": "level"}, "ATTRIBUTE=TYPE"),
    ({"types": "level=integer"}, "'integer'"),
    ({"attributes": "a,b,a"}, "twice"),
    ({"attributes": ""}, "--attributes"),
    ({"attributes": "a,,b"}, "--attributes"),
    ({"attributes": "auto,b"}, "auto stands alone"),
    ({"types": "a=bool,a=int64"}, "twice"),
    ({"no_header": True, "column": "name"}, "from 1"),
    ({"no_header": True, "column": "0"}, "from 1"),
    ({"no_header": True, "column": "-1"}, "from 1"),
    ({"encoding": "rot13"}, "rot13"),
    ({"encoding": "base64"}, "base64"),
    ({"encoding": "idna"}, "idna"),
    ({"delimiter": ""}, "--delimiter"),
    ({"delimiter": ";;"}, "--delimiter"),
    ({"delimiter": '"'}, "--delimiter"),
    ({"encoding": "utf-9"}, "utf-9"),
    ({"duplicates": "merge"}, "--duplicates"),
    ({"max_rejects": "-1"}, "--max-rejects"),
    ({"max_rejects": "101%"}, "--max-rejects"),
    ({"max_missing": "7"}, "5%"),
    ({"sdkappid": "zero"}, "--sdkappid"),
    ({"rate": "inf"}, "--rate: 'inf' is no number to count with"),
    ({"rate": float("nan")}, "--rate: 'nan' is no number to count with"),
    ({"usersig": "x" * 10, "secret_key": "y" * 10}, "exclude each other"),
]


@pytest.mark.parametrize(("flags", "words"), MISTAKES)
def test_a_mistake_is_named_in_one_line(flags: dict[str, Any], words: str) -> None:
    """The flag and what is wrong with it; never the value of a secret."""
    with pytest.raises(SettingsError) as mistake:
        load(**flags)
    assert words in str(mistake.value)
    assert "\n" not in str(mistake.value)
    assert "yyyyyyyyyy" not in str(mistake.value)


@pytest.mark.parametrize(
    ("name", "value", "setting", "meant"),
    [
        ("MAX_REJECTS", "5%", "max_rejects", Limit("5%")),
        ("MAX_REJECTS", "5", "max_rejects", Limit("5")),
        ("MAX_MISSING", "2.5%", "max_missing", 0.025),
        ("ATTRIBUTES", "a, b", "attributes", ("a", "b")),
        ("TYPES", "a=bool,b=int64", "types", {"a": "bool", "b": "int64"}),
        ("NO_HEADER", "true", "no_header", True),
        ("DELIMITER", "tab", "delimiter", "\t"),
    ],
)
def test_a_variable_is_written_like_its_flag(
    name: str, value: str, setting: str, meant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a flag takes, the environment takes."""
    monkeypatch.setenv(f"EXPORTER_{name}", value)
    assert getattr(load(), setting) == meant


def test_a_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be ignored in silence; a variable that is like no setting may be somebody else's."""
    for name in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_METRICS", "PORT", "PORT_9464_TCP_ADDR", "HOME"):
        monkeypatch.setenv(f"EXPORTER_{name}", "10.0.0.1")
    assert load().rate == 100
    monkeypatch.setenv("EXPORTER_RAET", "5")
    with pytest.raises(SettingsError, match="did you mean EXPORTER_RATE"):
        load()


def test_a_service_of_the_metrics_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pod gets the address of a Service called exporter-metrics under the name of a setting."""
    for name in ("PORT", "SERVICE_HOST", "SERVICE_PORT", "PORT_9464_TCP", "PORT_9464_TCP_PORT"):
        monkeypatch.setenv(f"EXPORTER_METRICS_{name}", "tcp://10.0.0.1:9464" if name == "PORT" else "9464")
    assert load().metrics_port is None
    monkeypatch.setenv("EXPORTER_METRICS_PORT", "tcp")
    with pytest.raises(SettingsError, match="EXPORTER_METRICS_PORT"):
        load()


def test_all_mistakes_are_named_at_once() -> None:
    """Nobody has to run the command once for each."""
    with pytest.raises(SettingsError, match=r"--rate.*--sdkappid|--sdkappid.*--rate"):
        load(rate="x", sdkappid="y")


def test_a_mistake_is_named_where_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag, the variable, or the file and its key: what a person has to mend; and the value in plain words."""
    config = tmp_path / "exporter.toml"
    config.write_text("rate = 'fast'\nshard_rows = 1.5\nno_header = 'maybe'\nquiett = true\n")
    monkeypatch.setenv("EXPORTER_IN_FLIGHT", "5000")
    with pytest.raises(SettingsError) as refusal:
        load(config, duplicates="remove")
    assert sorted(str(refusal.value).split("; ")) == sorted(
        [
            f"{config}: rate: 'fast' is no number", "write one like 80 or 0.5",
            f"{config}: shard_rows: '1.5' is no whole number", "write digits alone",
            f"{config}: no_header: 'maybe' is neither true nor false",
            f"{config}: there is no setting 'quiett'", "did you mean 'quiet'?",
            "EXPORTER_IN_FLIGHT: '5000' is too much: it may be at most 2000",
            "--duplicates: 'remove' is unknown", "write 'drop' or 'keep'",
        ]
    )  # fmt: skip


def test_secrets_show_nowhere(tmp_path: Path) -> None:
    """Neither repr nor what goes into the manifest holds them, and a file may not."""
    made = only(secret_key="the canary key", usersig=None)
    assert "canary" not in repr(made) + str(made) + str(made.public()) + str(made.shaping())
    assert not SECRETS & made.public().keys()
    config = tmp_path / "exporter.toml"
    config.write_text("usersig = 'the canary sig'\n")
    with pytest.raises(SettingsError, match="EXPORTER_USERSIG") as refusal:
        load(config)
    assert "canary" not in str(refusal.value)


@pytest.mark.parametrize(("text", "words"), [(b"", "one line"), (b"a\nb", "one line"), (b"\xff\xfe", "one line")])
def test_a_key_file_of_no_use_is_named(tmp_path: Path, text: bytes, words: str) -> None:
    """Empty, two lines, or no text: the file is named, not what stands in it."""
    path = tmp_path / "key"
    path.write_bytes(text)
    with pytest.raises(SettingsError, match=words) as refusal:
        only(secret_key_file=path).key()
    assert str(path) in str(refusal.value)


@pytest.mark.parametrize("text", [b"the key", b"the key\n", b"the key\r\n"])
def test_a_key_file_may_end_with_a_newline(tmp_path: Path, text: bytes) -> None:
    """As editors and platforms write it."""
    path = tmp_path / "key"
    path.write_bytes(text)
    assert only(secret_key_file=path).key() == "the key"


def test_every_setting_is_described() -> None:
    """Flags and their help are made from the descriptions."""
    assert all(field.description for name, field in Settings.model_fields.items() if name not in SECRETS)


def test_the_types_named_in_the_help_are_those_there_are() -> None:
    """Help and table do not drift apart."""
    said = Settings.model_fields["types"].description or ""
    assert all(name in said for name in PARSERS)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_limit_is_a_number_or_a_share(limit: int, total: int) -> None:
    """`100` is a number of accounts; `50%` is half of all."""
    assert Limit(str(limit)).of(total) == limit
    assert Limit("50%").of(total) == total / 2
