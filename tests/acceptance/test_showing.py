"""How commands show themselves: on a terminal, in a log, to a log collector, to a script, and to Prometheus."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pyte
import pytest

from tests.conftest import Double, Ran, environment, exporter, read_export, tool, write_ids

Cli = Callable[..., Ran]
IDS = [f"user_{number:05d}" for number in range(12_000)]


@dataclass
class Terminal:
    """A terminal of some width, and what it showed: after each piece of output the lines that are not blank."""

    columns: int
    process: "subprocess.Popen[str] | None" = None
    env: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    pictures: list[list[str]] = field(default_factory=list)

    def run(self, command: list[str]) -> str:
        """Run a command with its standard error here; return its standard output."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, self.columns, 0, 0))
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=environment(**{"TERM": "xterm-256color", "NO_COLOR": "", **self.env}),
            text=True,
        )
        os.close(theirs)
        screen = pyte.Screen(self.columns, 30)
        stream = pyte.ByteStream(screen)
        with os.fdopen(ours, "rb", buffering=0) as terminal:
            while part := _part(terminal.fileno()):
                stream.feed(part)
                self.raw += part
                self.pictures.append([line.rstrip() for line in screen.display if line.strip()])
        out = self.process.stdout.read() if self.process.stdout else ""
        self.process.communicate()
        return out


def _part(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-7]|38;[\d;]+)m")


@pytest.mark.parametrize(
    ("env", "coloured", "drawn"),
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
    ids=["a terminal", "NO_COLOR", "a dumb terminal"],
)
def test_colour_is_for_terminals_that_want_it(
    double: Double, tmp_path: Path, env: dict[str, str], *, coloured: bool, drawn: bool
) -> None:
    """The bar has a colour; NO_COLOR takes it away and leaves the picture; a dumb terminal gets plain lines alone."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:7_000])
    terminal = Terminal(100, env=env)
    out = terminal.run(exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags, "--rate", "60"))
    assert out.startswith("Complete.")
    assert bool(COLOUR.search(terminal.raw)) == (b"\x1b[36m" in terminal.raw) == coloured
    assert ("━".encode() in terminal.raw) == drawn
    assert (b"\x1b" in terminal.raw) == drawn


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_terminal_sees_a_picture_that_renews_itself(double: Double, tmp_path: Path, columns: int) -> None:
    """Bar, percent, accounts, rate beside the quota and time left, in a few lines; nothing of it is left at the end."""
    double.control(faults={"code:91000": 0.05})
    ids = write_ids(tmp_path / "ids.csv", IDS)
    terminal = Terminal(columns)
    out = terminal.run(exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags, "--rate", "60"))
    assert out.startswith("Complete.")
    shown = "\n".join(" ".join(lines) for lines in terminal.pictures)
    for words in ("accounts", "of 60 requests/s", "accounts/s", "%", "left", "━", "retr"):
        assert words in shown, terminal.pictures
    assert max(map(len, terminal.pictures)) <= (4 if columns >= 80 else 8)
    assert terminal.pictures[-1] == []


def test_a_terminal_sees_why_a_run_waits(double: Double, tmp_path: Path) -> None:
    """In an outage the picture names it; what was said about it stays on the screen."""
    seen = int(double.stats()["requests"])
    double.control(outages=[f"http502:requests={seen + 20}-{seen + 44}"], latency_ms=[20.0, 20.0])
    ids = write_ids(tmp_path / "ids.csv", IDS)
    terminal = Terminal(100)
    command = exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags, "--rate", "60")
    assert terminal.run(command).startswith("Complete.")
    assert any("Out of reach: " in line and "502" in line for lines in terminal.pictures for line in lines)
    left = " ".join(terminal.pictures[-1])
    assert "Paused: the service is out of reach" in left
    assert "answers again" in left


def test_a_log_has_no_control_characters(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Where standard error is no terminal, plain lines alone."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:500])
    ran = run_cli("run", str(ids), "--out", "export", *double.flags, "--types", "score=int64")
    assert ran.code == 0
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", ran.err + ran.out)


def test_quiet_says_nothing_but_warnings_and_errors(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """A complete run is silent; one with rejects warns, one that fails says why; JSON is printed all the same."""
    ids = write_ids(tmp_path / "ids.csv", [*IDS[:500], "x" * 40])
    calm = run_cli("run", str(ids), "--out", "a", *double.flags, "--quiet", "--max-rejects", "1")
    assert (calm.code, calm.out, calm.err) == (0, "", "")
    rejecting = run_cli("run", str(ids), "--out", "b", *double.flags, "--quiet")
    assert (rejecting.code, rejecting.out) == (3, "")
    assert rejecting.err.startswith("Warning: Complete, but 1 account")
    failing = run_cli("run", "nowhere.csv", "--out", "c", *double.flags, env={"EXPORTER_QUIET": "1"})
    assert failing.code == 2
    assert failing.err.startswith("Error: nowhere.csv")
    assert json.loads(run_cli("run", str(ids), "--out", "b", *double.flags, "--quiet", "--json").out)["rows"] > 0


def test_quiet_warns_once_of_an_outage_that_passed(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Whoever waits for the export learns why it was late; a retry, which met none, says nothing of that."""
    seen = int(double.stats()["requests"])
    double.control(outages=[f"http502:requests={seen + 20}-{seen + 44}"])
    ids = write_ids(tmp_path / "ids.csv", IDS)
    command = ("run", str(ids), "--out", "export", *double.flags, "--quiet", "--log-format", "json")
    ran = run_cli(*command)
    assert (ran.code, ran.out) == (0, "")
    (told,) = map(json.loads, ran.err.splitlines())
    assert (told["level"], told["outages"]) == ("warning", 1)
    assert re.fullmatch(r"The service was out of reach once, for .* in all; it was waited for\.", told["message"])
    assert told["paused_s"] == pytest.approx(read_export(tmp_path / "export").manifest["paused_s"], abs=0.01)
    double.control(outages=[])
    again = run_cli("retry", "export", "--reasons", "unknown_account", "--quiet", *double.flags)
    assert (again.code, again.err) == (0, "")
    assert read_export(tmp_path / "export").manifest["outages"] == 1


def test_every_command_can_be_quiet(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Where all is well the exit code alone tells; what is wrong is told all the same, and JSON is printed."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:500])
    service = [*double.flags]
    assert run_cli("run", str(ids), "--out", "export", *service).code == 0
    commands = [
        ("run", str(ids), "--out", "export", *service),
        ("retry", "export", *service),
        ("plan", str(ids), *service),
        ("check", *service),
        *(("status", "export"), ("verify", "export"), ("report", "export")),
    ]
    for command in commands:
        ran = run_cli(*command, "--quiet")
        assert (ran.code, ran.out, ran.err) == (0, "", ""), command
        ran = run_cli(*command, env={"EXPORTER_QUIET": "1"})
        assert (ran.code, ran.out, ran.err) == (0, "", ""), command
    for name in ("plan", "status", "verify"):
        assert json.loads(run_cli(name, str(ids) if name == "plan" else "export", "--quiet", "--json").out)
    waiting = run_cli("plan", "-", "--quiet", stdin=b"account_id\nu1\n")
    assert (waiting.code, waiting.out) == (0, "")
    assert waiting.err == "Warning: standard input was read to its end: the run needs it sent again.\n"
    (tmp_path / "export/data/part-000000.parquet").write_bytes(b"PAR1")
    damaged = run_cli("verify", "export", "--quiet")
    assert (damaged.code, damaged.out) == (5, "")
    assert [line[:35] for line in damaged.err.splitlines()] == [
        "Error: data/part-000000.parquet has",
        "Error: export does not match its ma",
    ]
    nothing = run_cli("status", "nowhere", "--quiet", "--json")
    assert (nothing.code, json.loads(nothing.out)["exit_code"]) == (2, 2)
    assert nothing.err.startswith("Error: nowhere holds neither")


def test_json_logs_are_one_object_a_line(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Time, level, message, the run's id in every line once it is known, and the shard where a line is about one."""
    ids = write_ids(tmp_path / "ids.csv", [*IDS[:950], "x" * 40])
    ran = run_cli(
        *("run", str(ids), "--out", "export", *double.flags, "--log-format", "json", "--json", "--shard-rows", "300"),
    )
    assert ran.code == 3
    lines = [json.loads(line) for line in ran.err.splitlines()]
    summary = json.loads(ran.out)
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    shards = [line for line in lines if "shard" in line]
    assert [line["shard"] for line in sorted(shards, key=lambda line: int(line["shard"]))] == [0, 1, 2, 3]
    assert {line["run_id"] for line in shards} == {summary["run_id"]}
    assert sum(line["rows"] for line in shards) == summary["rows"]
    assert lines[-1]["level"] == "warning"
    assert "Warning" not in lines[-1]["message"]


def test_json_logs_tell_errors_with_their_exit_code(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """A failing command: one line on standard error, and one object on standard output for who asked for JSON."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:100])
    ran = run_cli(
        *("run", str(ids), "--out", "export", *double.flags, "--log-format", "json", "--json"),
        env={"EXPORTER_SECRET_KEY": "another key"},
    )
    assert ran.code == 4
    last = json.loads(ran.err.splitlines()[-1])
    assert (last["level"], last["exit_code"]) == ("error", 4)
    told = json.loads(ran.out)
    assert (told["complete"], told["exit_code"], told["error"]) == (False, 4, last["message"])


def test_the_run_keeps_its_id_when_it_goes_on(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Logs of all starts of one run can be found together; another run has another id."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:900])
    command = ("run", str(ids), "--out", "export", *double.flags, "--shard-rows", "300", "--log-format", "json")
    killed = subprocess.run(
        exporter(*command),
        env=environment(EXPORTER_FAIL_POINT="shard-recorded"),
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    first = {json.loads(line).get("run_id") for line in killed.stderr.splitlines()}
    second = {json.loads(line).get("run_id") for line in run_cli(*command).err.splitlines()}
    made = read_export(tmp_path / "export").manifest["run_id"]
    assert made
    assert first - {None} == second - {None} == {made}
    run_cli(*command, "--overwrite")
    assert read_export(tmp_path / "export").manifest["run_id"] != made


def test_metrics_can_be_scraped_while_a_run_lasts(double: Double, tmp_path: Path) -> None:
    """At the address that it says, on loopback; and no more once it has ended."""
    double.control(latency_ms=[100.0, 100.0])
    ids = write_ids(tmp_path / "ids.csv", IDS)
    command = exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags)
    process = subprocess.Popen(
        [*command, "--in-flight", "3", "--metrics-port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    assert process.stderr
    address = process.stderr.readline().split()[-1]
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/metrics", address)
    requests = 0.0
    while requests < 3 and process.poll() is None:
        with urllib.request.urlopen(address) as answer:
            text = answer.read().decode()
        requests = float(re.findall(r"^exporter_requests_total\{.*\} (.*)$", text, re.MULTILINE)[0])
    assert requests >= 3
    assert 'exporter_info{sdkappid="1400000000",version="' in text
    assert "exporter_rate_limit" in text
    assert "process_cpu_seconds_total" in text
    process.communicate(timeout=60)
    assert process.returncode == 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address)


def _samples(path: Path) -> dict[str, float]:
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return {
        line.rpartition(" ")[0].replace('sdkappid="1400000000"', ""): float(line.rpartition(" ")[2]) for line in lines
    }


def test_a_text_file_tells_how_the_last_run_ended(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """For the node exporter: figures of the run, its exit code, and when one was last complete, also after a failure."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:500])
    command = ("run", str(ids), "--out", "export", *double.flags, "--metrics-textfile", "exporter.prom")
    assert run_cli(*command).code == 0
    path = tmp_path / "exporter.prom"
    made = read_export(tmp_path / "export").manifest
    good = _samples(path)
    assert good["exporter_last_run_exit_code{}"] == 0
    assert good["exporter_rows{}"] == made["rows"]
    assert good["exporter_requests_total{}"] == made["requests"] == 5
    assert good['exporter_rejects{reason="unknown_account",}'] == made["rejects_by_reason"]["unknown_account"]
    assert path.stat().st_mode & 0o777 == 0o644
    assert run_cli(*command, "--overwrite", env={"EXPORTER_SECRET_KEY": "another key"}).code == 4
    bad = _samples(path)
    assert bad["exporter_last_run_exit_code{}"] == 4
    assert bad["exporter_last_success_timestamp_seconds{}"] == good["exporter_last_success_timestamp_seconds{}"]
    assert "exporter_rows{}" not in bad
    assert [file.name for file in tmp_path.glob("*prom*")] == ["exporter.prom"]


def test_too_many_rejects_are_no_success(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Exit 3 is an export, whose figures are told, and nothing that an alarm may take for a good night."""
    ids = write_ids(tmp_path / "ids.csv", [*IDS[:100], "x" * 40])
    command = ("run", str(ids), "--out", "export", *double.flags, "--metrics-textfile", "exporter.prom")
    assert run_cli(*command).code == 3
    found = _samples(tmp_path / "exporter.prom")
    assert found["exporter_last_run_exit_code{}"] == 3
    assert found['exporter_rejects{reason="invalid_id",}'] == 1
    assert "exporter_last_success_timestamp_seconds{}" not in found


def test_a_text_file_tells_also_that_the_port_was_taken(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """A job that fails for it every night shall not look as if it ran."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    taken = double.address.rpartition(":")[2]
    flags = ("--metrics-textfile", "exporter.prom", "--metrics-port", taken)
    assert run_cli("run", str(ids), "--out", "export", *double.flags, *flags).code == 2
    assert _samples(tmp_path / "exporter.prom")["exporter_last_run_exit_code{}"] == 2


def test_an_export_found_complete_is_no_newer_success(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """The time is that of the export: a job that finds last week's every night shall not look healthy."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    command = ("run", str(ids), "--out", "export", *double.flags)
    run_cli(*command)
    assert "Already complete" in run_cli(*command, "--metrics-textfile", "exporter.prom").out
    assert "*.prom" not in run_cli(*command, "--metrics-textfile", "second.prom").err
    assert "Warning: --metrics-textfile third.txt: the node exporter reads files called *.prom alone." in (
        run_cli(*command, "--metrics-textfile", "third.txt").err
    )
    times = [
        _samples(tmp_path / name)["exporter_last_success_timestamp_seconds{}"]
        for name in ("exporter.prom", "second.prom")
    ]
    assert times[0] == times[1]


def test_promtool_finds_nothing_to_say(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Names, units and help are as Prometheus wants them."""
    promtool = tool("promtool")
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    run_cli("run", str(ids), "--out", "export", *double.flags, "--metrics-textfile", "exporter.prom")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=(tmp_path / "exporter.prom").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_metrics_that_cannot_be_had_are_refused_at_once(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """A port in use and a folder that is not there are named before anything is asked."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    port = double.address.rpartition(":")[2]
    cases = [(("--metrics-port", port), 2, port), (("--metrics-textfile", "nowhere/x.prom"), 5, "nowhere/x.prom")]
    before = double.stats()["requests"]
    for flags, code, words in cases:
        ran = run_cli("run", str(ids), "--out", "export", *double.flags, *flags)
        assert ran.code == code, ran.err
        assert words in ran.err
        assert len(ran.err.splitlines()) == 1
    assert double.stats()["requests"] == before


@pytest.mark.parametrize("flags", [("--nope",), ("--rate", "abc"), ("--config", "nowhere.toml"), ("--out",)])
@pytest.mark.parametrize("by_environment", [False, True])
def test_mistakes_in_flags_are_json_where_that_was_asked_for(
    run_cli: Cli, flags: tuple[str, ...], *, by_environment: bool
) -> None:
    """One object on standard output, and nothing but objects on standard error, also before the settings are read."""
    wanted = () if by_environment else ("--json", "--log-format", "json")
    ran = run_cli(
        *("run", "ids.csv", *wanted, *flags),
        env={"EXPORTER_JSON": "true", "EXPORTER_LOG_FORMAT": "json"} if by_environment else {},
    )
    assert ran.code == 2
    told = json.loads(ran.out)
    assert (told["complete"], told["exit_code"]) == (False, 2)
    assert [json.loads(line)["message"] for line in ran.err.splitlines()] == [told["error"]]


def test_metrics_replace_no_file_of_anybody_else(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Not the input, no export, no device, nothing that a link leads to; a name that cannot be is told in one line."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    command = ("run", str(ids), "--out", "export", *double.flags)
    assert run_cli(*command).code == 0
    (tmp_path / "link.prom").symlink_to(ids)
    os.mkfifo(tmp_path / "fifo.prom")
    kept = {name: (tmp_path / name).read_bytes() for name in ("ids.csv", "export/manifest.json")}
    cases = {**dict.fromkeys((*kept, "link.prom", "fifo.prom", ".", "/"), 2), "x" * 256: 5, "ids.csv/x.prom": 5}
    for name, code in cases.items():
        ran = run_cli(*command, "--metrics-textfile", name)
        assert (ran.code, len(ran.err.splitlines())) == (code, 1), ran.err
        assert "--metrics-textfile" in ran.err
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert (tmp_path / "link.prom").is_symlink()


def test_metrics_take_any_name_that_a_file_may_have(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Also the longest, whatever the number of the process is; and nothing but that file is left behind."""
    ids = write_ids(tmp_path / "ids.csv", IDS[:300])
    (tmp_path / "metrics").mkdir()
    name = f"metrics/{'x' * 250}.prom"
    assert run_cli("run", str(ids), "--out", "export", *double.flags, "--metrics-textfile", name).code == 0
    assert [str(path.relative_to(tmp_path)) for path in (tmp_path / "metrics").iterdir()] == [name]


def test_config_shows_what_is_in_force_and_whence(run_cli: Cli, tmp_path: Path) -> None:
    """Flags over environment over file over defaults; a secret is told to be there, and is not shown."""
    (tmp_path / "exporter.toml").write_text(
        'rate = 50\nregion = "seoul"\nshard_rows = 1000\n[types]\nlevel = "int64"\n'
    )
    ran = run_cli(
        *("config", "--config", "exporter.toml", "--shard-rows", "2000", "--delimiter", "tab"),
        env={"EXPORTER_REGION": "tokyo"},
    )
    assert ran.code == 0
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines()}
    assert rows["rate"] == ["50", "exporter.toml"]
    assert rows["region"] == ["tokyo", "EXPORTER_REGION"]
    assert rows["shard_rows"] == ["2000", "--shard-rows"]
    assert rows["types"] == ["level=int64", "exporter.toml"]
    assert rows["in_flight"] == ["400", "default"]
    assert rows["delimiter"] == ["tab", "--delimiter"]
    assert rows["secret_key"] == ["(set,", "not", "shown)", "EXPORTER_SECRET_KEY"]
    told = json.loads(run_cli("config", "--config", "exporter.toml", "--json").out)
    assert told["rate"] == {"value": 50.0, "from": "exporter.toml"}
    assert told["json"] == {"value": True, "from": "--json"}


def test_unknown_keys_are_refused_with_the_nearest_right_one(run_cli: Cli, tmp_path: Path) -> None:
    """In the file, the environment and the flags alike."""
    (tmp_path / "exporter.toml").write_text("shard_row = 1000\n")
    file = run_cli("config", "--config", "exporter.toml")
    assert file.code == 2
    assert "shard_rows" in file.err
    variable = run_cli("config", env={"EXPORTER_INFLIGHT": "4"})
    assert variable.code == 2
    assert "EXPORTER_IN_FLIGHT" in variable.err
    flag = run_cli("config", "--in-fligth", "4")
    assert flag.code == 2
    assert "--in-flight" in flag.err
