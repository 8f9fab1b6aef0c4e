"""The reference says all there is, and nothing else: it is made from the code, and lacks no setting, command or code."""

import importlib
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import typer

from exporter.api.codes import CODES
from exporter.cli import app
from exporter.cli.exits import BUG, COMPLETE, EXIT_CODES, SIGNAL_CODES, TOO_MANY_REJECTS
from exporter.metrics import ROWS
from exporter.model import Reason
from exporter.settings import SECRETS, Settings, flag, load, spelt, variable
from tests.conftest import Ran, environment
from tests.docs.fences import DOCS, ROOT

REFERENCE = DOCS / "reference"
EXAMPLE = DOCS / "exporter.example.toml"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What makes the pages, imported as its script imports it."""
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("generate")


def _page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_the_committed_pages_are_those_that_are_made(generate: ModuleType, tmp_path: Path) -> None:
    """Nobody changed the code and forgot `make docs`, and nobody changed a page by hand; `--check` tells which."""
    assert generate.stale() == []
    (tmp_path / "reference").mkdir()
    for name, make in generate.PAGES.items():
        (tmp_path / name).write_text(make() + ("." if name == "reference/metrics.md" else ""), encoding="utf-8")
    assert generate.stale(tmp_path) == ["reference/metrics.md"]


def test_a_made_page_says_so_first(generate: ModuleType) -> None:
    """Whoever opens it to mend something reads where to mend it."""
    for name in generate.PAGES:
        first = (DOCS / name).read_text(encoding="utf-8").splitlines()[0]
        assert re.search(r"generated from exporter/\S+ by docs/generate.py; do not edit", first), name


def test_every_command_and_each_of_its_options_is_there() -> None:
    """A command that is added has its section without anybody writing it."""
    page = _page("commands.md")
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined] # it is a group
        section = re.split(r"^## ", page.partition(f"\n## `exporter {name}`\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
        assert section, name
        for param in command.params:
            shown = param.metavar if param.param_type_name == "argument" else param.opts[0]
            assert f"`{shown}" in section, f"{name} {shown}"


def test_every_setting_is_there_in_all_its_spellings() -> None:
    """Flag, variable, key and meaning of each stand in one row; secrets have their variable alone."""
    page = _page("settings.md")
    for name, field in Settings.model_fields.items():
        if name in SECRETS:
            assert f"| `{variable(name)}` |" in page
            assert flag(name) + "`" not in page
        else:
            row = next(line for line in page.splitlines() if line.startswith(f"| `{flag(name)}`<br>"))
            assert f"<br>`{variable(name)}`<br>`{spelt(name)}` |" in row
            assert str(field.description) in row


def test_every_code_reason_and_metric_is_there() -> None:
    """Exit codes, the service's codes, the reasons and the metrics."""
    ends = {COMPLETE, BUG, TOO_MANY_REJECTS, *EXIT_CODES.values(), *SIGNAL_CODES.values()}
    for end in ends:
        assert f"\n| `{end}` | " in _page("exit-codes.md")
    for number, code in CODES.items():
        assert re.search(
            rf"^\| `{number}` \| {re.escape(code.meaning)} \| .* \| {re.escape(code.remedy)}",
            _page("error-codes.md"),
            re.MULTILINE,
        )
    for reason in Reason:
        assert f"\n| `{reason}` | " in _page("output-format.md")
    for row in ROWS:
        assert re.search(rf"^\| `exporter_{row.name}(_total)?` \| ", _page("metrics.md"), re.MULTILINE)


def test_the_example_of_a_settings_file_loads_as_it_stands(run_cli: Callable[..., Ran]) -> None:
    """It changes nothing: every setting in it is commented out."""
    assert tomllib.loads(EXAMPLE.read_text(encoding="utf-8")) == {}
    ran = run_cli("config", "--config", str(EXAMPLE))
    assert ran.code == 0
    assert "exporter.example.toml" not in ran.out


@pytest.mark.parametrize("left_out", ["region", "base_url"])
def test_every_setting_of_the_example_can_be_given(tmp_path: Path, left_out: str) -> None:
    """With the # taken away each line is a setting that loads; defaults stay what they are. Region and address exclude each other."""
    lines = re.sub(r"^#(\w+ = )", r"\1", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE).splitlines()
    kept = [line for line in lines if not line.startswith(f"{left_out} = ")]
    path = tmp_path / "exporter.toml"
    path.write_text("\n".join(kept), encoding="utf-8")
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(given) == {spelt(name) for name in Settings.model_fields if name not in SECRETS} - {left_out}
    made = load(path)
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if default not in (None, {}):
            assert getattr(made, name) == default, name


def test_the_shell_completes_commands_flags_and_values(tmp_path: Path) -> None:
    """What `--install-completion` puts into a shell asks us, and we answer."""
    entry = tmp_path / "exporter"
    entry.write_text(f"#!{sys.executable}\nfrom exporter.__main__ import main\n\nmain()\n")
    entry.chmod(0o755)
    installed = _answer(entry, tmp_path, "--show-completion", "bash")
    assert "_EXPORTER_COMPLETE=complete_bash" in installed
    for words, wanted in (
        ("exporter ver", ["verify"]),
        ("exporter run --shard", ["--shard-rows"]),
        ("exporter run --region s", ["singapore", "seoul", "silicon-valley", "saudi-arabia"]),
        ("exporter check --region tok", ["tokyo"]),
        ("exporter plan --duplicates ", ["drop", "keep"]),
        ("exporter run --attributes ", ["auto"]),
        ("exporter run --rate ", []),
        ("exporter simulate --unknown-as a", ["absent"]),
    ):
        asking = {"_EXPORTER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        assert _answer(entry, tmp_path, **asking).split() == wanted, words


def _answer(entry: Path, home: Path, *arguments: str, **more: str) -> str:
    env = {**environment(**more), "HOME": str(home), "PATH": os.environ.get("PATH", "")}
    done = subprocess.run([str(entry), *arguments], capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
