"""Signals while publishing, and streams that are closed: what is said is true, and two runs never write at once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Double, Ran, environment, exporter, read_export, write_ids

Cli = Callable[..., Ran]


@pytest.mark.parametrize("seen", [".run/publish", ".run/publish/manifest.json", "data", "_SUCCESS"])
def test_a_signal_while_publishing_leaves_all_or_nothing(double: Double, tmp_path: Path, seen: str) -> None:
    """Exit 0 and a complete export, or 143 and none: never a sentence that the folder contradicts a moment later."""
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(10_000)])
    out = tmp_path / "export"
    command = exporter("run", str(ids), "--out", str(out), *double.flags, "--rate", "100000", "--shard-rows", "50")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True)
    while not (out / seen).exists() and process.poll() is None:
        time.sleep(0.001)
    process.terminate()
    told, err = process.communicate(timeout=60)
    complete = (out / "_SUCCESS").exists()
    assert "Traceback" not in err
    if process.returncode == 0:
        assert told.startswith("Complete.")
        assert read_export(out).manifest["input"] == 10_000
    else:
        assert process.returncode in {143, -signal.SIGTERM}  # the latter after the summary was printed
        assert complete == told.startswith("Complete.")
    again = subprocess.run(command, capture_output=True, env=environment(), text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert again.stdout.startswith("Already complete") == complete


def test_a_complete_export_and_a_silent_pipe_can_be_stopped(double: Double, tmp_path: Path) -> None:
    """Whether standard input is the same shows only at its end; Ctrl-C ends the wait."""
    flags = ["run", "-", "--out", str(tmp_path / "export"), *double.flags, "--rate", "100000", "--max-missing", "100%"]
    done = subprocess.run(
        exporter(*flags), input=b"account_id\nuser_1\n", capture_output=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    process = subprocess.Popen(exporter(*flags), stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
    assert process.stdin
    assert process.stderr
    # More than a pipe holds, and than is looked at before: once it is written, the process is reading for the rest.
    process.stdin.write(b"account_id\nuser_1\n" * 50_000)
    process.stdin.flush()
    process.terminate()
    try:
        assert process.wait(timeout=60) == 143  # its input is still open
    finally:
        process.kill()
    assert b"Traceback" not in process.stderr.read()
    process.stdin.close()
    process.stderr.close()


@pytest.mark.parametrize("closing", [">&-", "2>&-", ">/dev/full", "2>/dev/full", "| true", "<&-"])
def test_closed_and_full_streams_cost_words_but_no_data(double: Double, tmp_path: Path, closing: str) -> None:
    """The export is complete and the exit code right, wherever the words went."""
    ids = write_ids(tmp_path / "ids.gz", ["user_1", "user_2"])  # a name that earns a warning
    command = " ".join(exporter("run", str(ids), "--out", str(tmp_path / "export"), *double.flags))
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} {closing}"], capture_output=True, env=environment(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert read_export(tmp_path / "export").manifest["input"] == 2
    assert b"Traceback" not in done.stderr


def test_sigterm_ends_what_does_not_drain(tmp_path: Path) -> None:
    """It has a handler of ours from the start: the first process of a container is deaf to signals without one."""
    key = tmp_path / "key"
    os.mkfifo(key)
    command = exporter(
        "check", "--region", "china", "--sdkappid", "1", "--identifier", "a", "--secret-key-file", str(key)
    )
    process = subprocess.Popen(command, env=environment(EXPORTER_SECRET_KEY=""))
    writer = None
    while writer is None:
        assert process.poll() is None
        try:
            writer = os.open(key, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:  # nobody reads it yet
            time.sleep(0.01)
    process.terminate()
    assert process.wait(timeout=20) == 143
    os.close(writer)


@pytest.mark.parametrize("library", ["typer", "aiohttp", "pyarrow"])
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
@pytest.mark.parametrize("as_json", [True, False])
def test_a_signal_while_libraries_are_loaded_ends_as_promised(
    double: Double, tmp_path: Path, library: str, name: str, code: int, *, as_json: bool
) -> None:
    """Its own exit code, no traceback, and one object for who asked for JSON: from the first moment on."""
    here = tmp_path / "here"
    (tmp_path / "slow").mkdir()
    # A signal right before a long sleep would be heard after it: Python hears of signals between its own steps.
    slow = f"import time\nopen({str(here)!r}, 'w').close()\nfor _ in range(6000):\n    time.sleep(0.01)\n"
    (tmp_path / f"slow/{library}.py").write_text(slow)
    path = os.pathsep.join([str(tmp_path / "slow"), environment().get("PYTHONPATH", "")])
    command = exporter("run", "ids.csv", "--out", str(tmp_path / "export"), *double.flags)
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(PYTHONPATH=path, EXPORTER_JSON=str(as_json)),
        text=True,
    )
    while not here.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    process.send_signal(getattr(signal, name))
    told, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, "")
    if as_json:
        assert json.loads(told) == {"complete": False, "exit_code": code, "error": f"stopped by {name}"}
    else:
        assert told == ""


WHILE_READ = """
import os, signal, typer.core
from exporter.__main__ import main
read = typer.core.TyperGroup.parse_args
def parse_args(*given):
    os.kill(os.getpid(), signal.{name})
    return read(*given)
typer.core.TyperGroup.parse_args = parse_args
main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_while_the_command_is_read_ends_as_promised(tmp_path: Path, name: str, code: int) -> None:
    """Between the libraries and the command itself nothing is begun, and who asked for JSON is told so too."""
    command = [sys.executable, "-c", WHILE_READ.format(name=name), "status", str(tmp_path), "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (code, b"")
    assert json.loads(done.stdout) == {"complete": False, "exit_code": code, "error": f"stopped by {name}"}


WHILE_LOOP_IS_MADE = """
import asyncio, os, signal
from exporter.__main__ import main
make = asyncio.BaseEventLoop.__init__
def init(loop):
    make(loop)
    os.kill(os.getpid(), signal.{name})
asyncio.BaseEventLoop.__init__ = init
main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_a_signal_while_the_event_loop_is_made_ends_as_promised(tmp_path: Path, name: str, code: int) -> None:
    """Half a loop is left as it is, without a word of the interpreter about what it never awaited."""
    ids = write_ids(tmp_path / "ids.csv", ["user_1"])
    command = [sys.executable, "-c", WHILE_LOOP_IS_MADE.format(name=name), "plan", str(ids), "--json"]
    done = subprocess.run(command, capture_output=True, env=environment(), check=False)
    assert (done.returncode, done.stderr) == (code, b"")
    assert json.loads(done.stdout) == {"complete": False, "exit_code": code, "error": f"stopped by {name}"}


def test_no_standard_input_is_a_sentence(double: Double, tmp_path: Path) -> None:
    """`-` with a closed standard input, as some supervisors leave it."""
    command = " ".join(exporter("run", "-", "--out", str(tmp_path / "export"), *double.flags))
    done = subprocess.run(["bash", "-c", f"{command} <&-"], capture_output=True, env=environment(), check=False)
    assert done.returncode == 2
    assert b"no standard input" in done.stderr


def test_a_pipe_by_path_is_not_taken_for_the_same_input(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Nobody can tell what a pipe will give: a complete export beside it is not called the same."""
    os.mkfifo(tmp_path / "pipe")
    command = ["run", "pipe", "--out", "export", *double.flags, "--max-missing", "100%"]
    feeder = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(b"account_id\nuser_1\n",))
    feeder.start()
    assert run_cli(*command).code == 0
    feeder.join()
    ran = run_cli(*command)
    assert ran.code == 2
    assert "is a pipe" in ran.err


def test_what_is_not_ours_is_not_removed(run_cli: Cli, double: Double, tmp_path: Path) -> None:
    """Folders of others stay, with and without --overwrite; an empty --out or an address is no folder."""
    write_ids(tmp_path / "ids.csv", ["user_1"])
    (tmp_path / "theirs/data").mkdir(parents=True)
    (tmp_path / "theirs/data/mine.csv").write_text("precious")
    for flags in ([], ["--overwrite"], ["--restart"]):
        ran = run_cli("run", "ids.csv", "--out", "theirs", *double.flags, *flags)
        assert ran.code == 2
        assert "not of an export" in ran.err
    assert (tmp_path / "theirs/data/mine.csv").read_text() == "precious"
    for out in ("", ".", "s3://bucket/export"):
        ran = run_cli("run", "ids.csv", "--out", out, *double.flags, "--overwrite")
        assert ran.code == 2
        assert "name a folder" in ran.err
