"""The other commands, and what a person sees, through real processes."""

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.acceptance.conftest import Command, Input, ended
from tests.conftest import CANARY, Double, Ran, assert_no_secret, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]


def test_check_says_in_words_that_all_is_right(run_cli: Cli, double: Double) -> None:
    """Two calls; what was reached, what is right, and the attribute names."""
    requests = double.stats()["requests"]
    ran = run_cli("check", *double.flags, "--attributes", "city,会员等级")
    assert ran.code == 0
    assert "are right" in ran.out
    assert "会员等级" in ran.out
    assert double.stats()["requests"] == requests + 2


def test_check_says_what_to_mend(run_cli: Cli, double: Double) -> None:
    """A wrong key, identifier, app or attribute is named with its remedy; a host that is not there ends with 75."""
    app = ["--base-url", double.address, "--sdkappid", "1400000000", "--identifier"]
    cases: list[tuple[list[str], dict[str, str], int, str]] = [
        ([*app, "administrator"], {"EXPORTER_SECRET_KEY": "some other key"}, 4, "70009"),
        ([*app, "nobody"], {}, 4, "60010"),
        ([*app, "administrator", "--attributes", "city,shoe size"], {}, 4, "shoe size"),
        (["--base-url", "http://127.0.0.1:9", *app[2:], "administrator"], {}, 75, "127.0.0.1"),
        (["--region", "atlantis", *app[2:], "administrator"], {}, 2, "atlantis"),
    ]
    for flags, env, code, words in cases:
        ran = run_cli("check", *flags, env=env)
        assert ran.code == code, ran.err
        assert words in ran.err
        assert len(ran.err.strip().splitlines()) == 1


def test_the_demo_exports_everybody(run_cli: Cli, tmp_path: Path) -> None:
    """With nothing set up: people, the double, an export of all of them; and once more over the old one."""
    for _ in range(2):
        ran = run_cli("demo", "--people", "3000", env={"EXPORTER_SECRET_KEY": "", "EXPORTER_REGION": "china"})
        assert ran.code == 0, ran.err
        made = read_export(tmp_path / "exporter-demo/export")
        assert made.manifest["input"] == 3000
        assert made.manifest["refusals"] == 0
        assert "duckdb" in ran.out


def test_version_and_help(run_cli: Cli) -> None:
    """They answer without any setting; help names every command."""
    assert run_cli("--version").out.startswith("exporter 0.")
    ran = run_cli("--help")
    assert all(name in ran.out for name in ("run", "demo", "check", "simulate", "75"))
    assert "--shard-rows" in run_cli("run", "--help").out


def test_help_is_written_for_people(run_cli: Cli) -> None:
    """What an option takes has a word of its own everywhere, no name of a type; and every fault of the double is named."""
    for command in ("run", "demo", "plan", "check", "config", "retry", "status", "report", "verify", "simulate"):
        options = run_cli(command, "--help").out.partition("Options:")[2]
        assert "--help" in options
        assert not re.search(r"--[a-z-]+ +<", options), command
    assert "gzip_bomb" in options
    assert run_cli("simulate", "--latency-ms", "20ms").err.startswith("Error: --latency-ms is FROM-TO")


def test_the_double_never_shows_a_key_that_cannot_be_copied(tmp_path: Path) -> None:
    """A key of the environment is covered on every way out, the public one as well: it is named, not shown as ***."""
    said = {}
    for key in ("", "simulated-secret-key", CANARY):
        with (tmp_path / "said").open("w+") as log:
            double = subprocess.Popen(
                exporter("simulate", "--port", "0"),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(EXPORTER_SECRET_KEY=key),
            )
            assert double.stdout
            double.stdout.readline()
            for _ in range(100):
                if "key of this double" in (tmp_path / "said").read_text():
                    break
                time.sleep(0.05)
            double.terminate()
            double.communicate()
        said[key] = (tmp_path / "said").read_text()
    assert "export EXPORTER_SECRET_KEY=simulated-secret-key" in said[""]
    for key in ("simulated-secret-key", CANARY):
        assert "the one in EXPORTER_SECRET_KEY" in said[key]
        assert "***" not in said[key]


def test_no_secret_in_the_process_title(double: Double, tmp_path: Path) -> None:
    """Neither key nor UserSig is an argument that others on the machine can read."""
    double.control(latency_ms=[300.0, 300.0])
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(2000)])
    command = exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags, "--in-flight", "2")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    before = double.stats()["requests"]
    while double.stats()["requests"] < before + 3 and process.poll() is None:
        time.sleep(0.05)
    title = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert title
    assert_no_secret(title + out + err, "title and output")


def test_running_twice_at_once_is_refused(command: Command, given: Input) -> None:
    """The second run ends with 5 and names the first one, which is not disturbed."""
    first = replace(command, inputs=["-"]).start(stdin=subprocess.PIPE)  # it lasts as long as its input
    assert first.stdin
    first.stdin.write(given.csv())
    first.stdin.flush()
    command.wait_for(first, (command.run_folder / "journal").exists)
    second = command.run()
    assert second.code == 5
    assert f"pid {first.pid}" in second.err
    assert ended(first).code == 0
    assert read_export(command.out).manifest["input"] == len(given.ids)
