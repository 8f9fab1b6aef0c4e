"""The Python API as a notebook or a task meets it: the command line's job, and a process left as it was."""

import asyncio
import gc
import hashlib
import json
import logging
import os
import pickle
import pkgutil
import resource
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Unpack, assert_type

import pytest

import exporter
from exporter import Export, Snapshot, aexport, export
from exporter.errors import AttemptError, ExporterError
from exporter.library import options
from exporter.library.options import Options, StreamOptions
from exporter.settings import SECRETS, WAYS, Settings
from tests.conftest import CANARY, Double, Ran, assert_no_secret, environment, read_export, write_ids

IDS = [f"user_{number:05d}" for number in range(1500)]


def service(double: Double, **more: Unpack[Options]) -> Options:
    """How to reach the double, as keywords, and other settings."""
    here = Options(base_url=double.address, sdkappid=1400000000, identifier="administrator", secret_key=CANARY)
    return {**here, "rate": 1e6, **more}


def app(double: Double) -> StreamOptions:
    """How to reach the double, for a stream."""
    known = service(double)
    return {name: known[name] for name in StreamOptions.__annotations__ if name in known}  # type: ignore[return-value,literal-required] # some of them


@pytest.fixture
def ids(tmp_path: Path) -> Path:
    return write_ids(tmp_path / "ids.csv", IDS)


def python(code: str, **env: str) -> Ran:
    """Run a program of its own; what it prints is JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(**env), timeout=60, check=False
    )
    assert_no_secret((done.stdout + done.stderr).encode(), "the output")
    return Ran(done.returncode, done.stdout, done.stderr)


def hashes(out: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (out / "data").iterdir()}


LOADED = "import json, sys; before = set(sys.modules); {}; print(json.dumps(sorted(set(sys.modules) - before)))"


@pytest.mark.parametrize(
    ("statement", "ours"),
    [
        ("import exporter", {"exporter"}),
        ("from exporter import export, aexport, stream, ServiceUnreachable, Export", {"exporter"}),
        ("import exporter; dir(exporter); exporter.TooManyRejects", {"exporter"}),
    ],
)
def test_importing_loads_no_library(statement: str, ours: set[str]) -> None:
    """Nothing but the standard library and modules of ours, until something is called; alone, only the package itself."""
    ran = python(LOADED.format(statement))
    loaded = {name.partition(".")[0] for name in json.loads(ran.out)}
    assert loaded - set(sys.stdlib_module_names) == ours
    if statement == "import exporter":
        assert [name for name in json.loads(ran.out) if name.startswith("exporter")] == ["exporter"]


def test_the_public_names_are_there_and_stay() -> None:
    """Each is found, listed and no module, whatever is imported after it; others are an AttributeError."""
    import exporter.app.export
    import exporter.library.calls

    assert set(exporter.__all__) <= set(dir(exporter))
    for name in exporter.__all__:
        assert getattr(exporter, name) is not None
    assert exporter.export is exporter.library.calls.export
    assert not {module.name for module in pkgutil.iter_modules(exporter.__path__)} & set(exporter.__all__)
    roots = {kind.__name__ for kind in ExporterError.__subclasses__()} - {AttemptError.__name__}  # which never gets out
    assert roots | {"ExporterError"} == {
        name for name in exporter.__all__ if hasattr(getattr(exporter, name), "add_note")
    }
    with pytest.raises(AttributeError, match="has no attribute 'exprot'"):
        _ = exporter.exprot  # type: ignore[attr-defined] # which a type checker sees as well


def test_the_keywords_are_the_settings() -> None:
    """One keyword for each setting but those of a console; a stream takes none that tells of files."""
    assert set(Options.__annotations__) == Settings.model_fields.keys() - WAYS
    of_files = {"column", "no_header", "delimiter", "encoding", "allow_empty"}
    of_folders = {"overwrite", "restart", "report", "redact_ids"}
    assert set(StreamOptions.__annotations__) == set(Options.__annotations__) - of_files - of_folders


def test_a_type_checker_knows_the_keywords(double: Double, ids: Path, tmp_path: Path) -> None:
    """What is ignored here is an error to mypy (or the ignoring is one); misspelt it is a SettingsError that says so."""
    with pytest.raises(exporter.SettingsError, match="there is no setting 'rat'; did you mean 'rate'"):
        export(ids, tmp_path / "out", rat=80)  # type: ignore[call-arg] # the keyword under test
    with pytest.raises(exporter.SettingsError, match="there is no setting 'quiet'"):
        export(ids, tmp_path / "out", quiet=True)  # type: ignore[call-arg] # the keyword under test
    with pytest.raises(exporter.SettingsError, match="--rate: "):
        export(ids, tmp_path / "out", rate="fast")  # type: ignore[arg-type] # the type under test
    assert not (tmp_path / "out").exists()
    made = export([ids], tmp_path / "out", **service(double, attributes=["level", "city"], types={"level": "int64"}))
    assert_type(made, Export)
    assert_type(made.rows, int)
    assert made.dataset().schema.names == ["account_id", "level", "city"]


def test_it_is_the_export_of_the_command_line(
    run_cli: Callable[..., Ran], double: Double, ids: Path, tmp_path: Path
) -> None:
    """The same bytes, and the same figures; either goes on with what the other left, and finds it complete."""
    flags = ["--rate", "100000", "--shard-rows", "400", "--types", "level=int64"]
    run_cli("run", str(ids), "--out", "cli", *double.flags, *flags)
    made = export(str(ids), str(tmp_path / "python"), **service(double, shard_rows=400, types={"level": "int64"}))
    assert hashes(tmp_path / "python") == hashes(tmp_path / "cli")
    found = read_export(tmp_path / "python")
    assert made.asked
    assert made.manifest == found.manifest
    assert (made.rows, made.rejects, made.input, made.requests) == (
        len(found.rows), len(found.rejects), 1500, found.manifest["requests"],
    )  # fmt: skip
    assert [path.name for path in made.files] == [f"part-{number:06d}.parquet" for number in range(4)]
    assert made.dataset().to_table().to_pylist() == found.rows
    requests = double.stats()["requests"]
    again = export(ids, tmp_path / "cli", **service(double, shard_rows=400, types="level=int64"))
    assert (again.asked, again.rows, double.stats()["requests"]) == (False, made.rows, requests)


def test_environment_and_file_stand_below_the_keywords(
    double: Double, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on the command line: the file, above it the environment, above that what is said."""
    (tmp_path / "here.toml").write_text("shard_rows = 100\nattributes = ['city']\nrate = 1.0\n")
    for name, value in {"BASE_URL": double.address, "SDKAPPID": "1400000000", "IDENTIFIER": "administrator"}.items():
        monkeypatch.setenv(f"EXPORTER_{name}", value)
    monkeypatch.setenv("EXPORTER_SECRET_KEY", CANARY)
    monkeypatch.setenv("EXPORTER_RATE", "1000000")
    monkeypatch.setenv("EXPORTER_QUIET", "1")
    made = export(ids, tmp_path / "a", config=tmp_path / "here.toml", shard_rows=500)
    assert len(made.files) == 3
    assert made.manifest["settings"]["rate"] == 1e6
    assert made.dataset().schema.names == ["account_id", "city"]
    monkeypatch.setenv("EXPORTER_CONFIG", str(tmp_path / "here.toml"))
    assert len(export(ids, tmp_path / "b").files) == 15


async def test_it_works_within_a_running_loop(double: Double, ids: Path, tmp_path: Path) -> None:
    """As a notebook calls it; and the awaited one does not leave the loop waiting meanwhile."""
    assert export(ids, tmp_path / "a", **service(double)).rows > 1400
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    made = await aexport(ids, tmp_path / "b", **service(double))
    beating.cancel()
    assert made.rows > 1400
    assert beats > 100
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")


def test_the_process_stays_as_it_was(
    double: Double, ids: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No handler, hook, limit, umask or collector is changed, nothing is printed, no thread is left."""

    def state() -> list[object]:
        os.umask(mask := os.umask(0))
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
        hooks = [sys.excepthook, threading.excepthook, sys.unraisablehook, logging.getLogRecordFactory()]
        collector = [gc.get_threshold(), gc.get_freeze_count(), gc.isenabled()]
        return [mask, handlers, hooks, collector, resource.getrlimit(resource.RLIMIT_CORE), threading.enumerate()]

    import exporter.app  # what a library does when it is loaded is its own

    before = state()
    export(ids, tmp_path / "out", **service(double))
    with exporter.stream(IDS, **app(double)) as batches:
        assert sum(batch.num_rows for batch in batches) > 1400
    assert state() == before
    assert capfd.readouterr() == ("", "")


WATCH = """
import json, os, sys, threading
from pathlib import Path
os.umask(0)
from exporter import export
modes, done = {}, threading.Event()
def watch():
    while not done.is_set():
        for folder, _, names in os.walk(sys.argv[1]):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                try:
                    modes[os.path.relpath(path, sys.argv[1])] = os.stat(path).st_mode & 0o777
                except FileNotFoundError:
                    pass
watcher = threading.Thread(target=watch)
watcher.start()
try:
    made = export(sys.argv[2], sys.argv[1], shard_rows=100, rate=1e6, max_rejects="100%")
finally:
    done.set()
    watcher.join()
print(json.dumps([modes, os.umask(0), made.rows]))
"""


def test_files_are_private_whatever_the_umask(double: Double, ids: Path, tmp_path: Path) -> None:
    """With a umask of 000 every file and folder ever seen in OUT is its owner's alone."""
    env = {
        **environment(),
        "EXPORTER_BASE_URL": double.address,
        "EXPORTER_SDKAPPID": "1400000000",
        "EXPORTER_IDENTIFIER": "administrator",
    }
    command = [sys.executable, "-c", WATCH, str(tmp_path / "out"), str(ids)]
    done = subprocess.run(command, capture_output=True, env=env, timeout=60, check=True)
    modes, umask, rows = json.loads(done.stdout)
    assert (umask, rows > 1400) == (0, True)
    assert {".run", ".run/journal", "manifest.json", "data/part-000014.parquet"} <= modes.keys()
    assert {mode for mode in modes.values() if mode & 0o077} == set(), modes


async def test_a_cancelled_task_keeps_what_is_whole(double: Double, tmp_path: Path) -> None:
    """As the first signal does on the command line; the same call goes on, and asks only for the rest."""
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(20_000)])
    double.control(latency_ms=[20.0, 20.0])
    out = tmp_path / "out"
    wanted = service(double, shard_rows=500, in_flight=4)
    task = asyncio.create_task(aexport(ids, out, **wanted))
    while not list(out.glob(".run/data/part-*")):  # noqa: ASYNC110 - a folder tells nobody
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    kept = sorted(path.name for path in (out / ".run/data").iterdir())
    assert 0 < len(kept) < 40
    assert not (out / "_SUCCESS").exists()
    double.control(latency_ms=[0.0, 0.0])
    requests = double.stats()["requests"]
    made = await aexport(ids, out, **wanted)
    assert made.rows + made.rejects == 20_000
    assert double.stats()["requests"] - requests == 200 - 5 * len(kept)
    read_export(out)


INTERRUPTED = """
import signal, sys, threading
import exporter
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
try:
    exporter.export("ids.csv", "out", shard_rows=500, in_flight=4, rate=1e6)
except KeyboardInterrupt:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert [thread.name for thread in threading.enumerate()] == ["MainThread"], threading.enumerate()
    print("interrupted")
"""


def test_an_interrupt_ends_the_work_and_is_raised(double: Double, tmp_path: Path) -> None:
    """Ctrl-C in a script: what is in flight ends, whole shards are kept, no thread is left, then KeyboardInterrupt."""
    write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(20_000)])
    double.control(latency_ms=[20.0, 20.0])
    app = {"EXPORTER_SDKAPPID": "1400000000", "EXPORTER_IDENTIFIER": "administrator"}
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        env=environment(EXPORTER_BASE_URL=double.address, **app),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not list(tmp_path.glob("out/.run/data/part-*")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert told == ("interrupted\n", "")
    shards = [line for line in (tmp_path / "out/.run/journal").read_bytes().splitlines() if b'"shard"' in line]
    assert 0 < len(shards) < 40
    double.control(latency_ms=[0.0, 0.0])
    requests = double.stats()["requests"]
    made = export(tmp_path / "ids.csv", tmp_path / "out", **service(double, shard_rows=500, in_flight=4))
    assert made.rows + made.rejects == 20_000
    assert double.stats()["requests"] - requests == 200 - 5 * len(shards)


def test_too_many_rejects_come_with_the_complete_export(double: Double, ids: Path, tmp_path: Path) -> None:
    """Published all the same, also when it was complete before; allowed, it is no error. It survives a pickle."""
    double.control(poison=IDS[:3])
    for asked in (True, False):
        with pytest.raises(exporter.TooManyRejects, match="3 accounts failed and --max-rejects allows 2") as failed:
            export(ids, tmp_path / "out", **service(double, max_rejects=2))
        made = failed.value.export
        assert isinstance(made, Export)
        assert (made.asked, made.rejects_by_reason["refused"]) == (asked, 3)
        copy = pickle.loads(pickle.dumps(failed.value))
        assert (str(copy), copy.export) == (str(failed.value), made)
    assert len(read_export(tmp_path / "out").rows) == made.rows
    assert export(ids, tmp_path / "out", **service(double, max_rejects="1%")).rows == made.rows


def test_each_way_to_fail_has_its_class(double: Double, ids: Path, tmp_path: Path) -> None:
    """As the exit codes tell them apart, in the same sentences; nothing is published."""
    out = tmp_path / "out"
    with pytest.raises(exporter.InputError, match=r"nobody\.csv: no such file"):
        export(tmp_path / "nobody.csv", out, **service(double))
    with pytest.raises(exporter.InputError, match="There is no standard input"):
        export("-", out, **service(double))
    with pytest.raises(exporter.SettingsError, match="--sdkappid and --identifier must be given"):
        export(ids, out, base_url=double.address, secret_key=CANARY)
    with pytest.raises(exporter.ServiceRefusal, match=r"70003|key") as refusal:
        export(ids, out, **service(double, secret_key="some-other-key"))
    assert pickle.loads(pickle.dumps(refusal.value)).code == refusal.value.code
    with pytest.raises(exporter.ServiceUnreachable, match="no connection could be made"):
        export(ids, out, **service(double, base_url="http://127.0.0.1:9", outage_max=0.005))
    (tmp_path / "file").touch()
    with pytest.raises(exporter.MachineError):
        export(ids, tmp_path / "file" / "out", **service(double))
    export(ids, out, **service(double))
    write_ids(ids, ["somebody else"])
    with pytest.raises(exporter.OutputError, match="input 1 has other content"):
        export(ids, out, **service(double))


@pytest.mark.parametrize("name", ["secret_key", "usersig"])
@pytest.mark.parametrize("call", [export, lambda _ids, _out, **more: exporter.stream(["user_1"], **more)])
def test_no_frame_of_ours_shows_a_secret(
    double: Double, ids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: Callable[..., object]
) -> None:
    """Tools that show the variables of every frame of a traceback find none, given as a keyword or in the environment."""
    reach: dict[str, object] = {**service(double), "rate": 0}
    del reach["secret_key"]
    with pytest.raises(exporter.SettingsError, match="--rate") as by_keyword:
        call(ids, tmp_path / "out", **{**reach, name: CANARY})
    monkeypatch.setenv(f"EXPORTER_{name.upper()}", CANARY)
    with pytest.raises(exporter.SettingsError, match="--rate") as by_environment:
        call(ids, tmp_path / "out", **reach)
    for raised in (by_keyword, by_environment):
        shown = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
        ours = [frame for frame in shown.stack if Path(exporter.__file__).parent in Path(frame.filename).parents]
        assert {Path(frame.filename).name for frame in ours} >= {"calls.py", "options.py", "load.py"}
        assert_no_secret(str([frame.locals for frame in ours]).encode(), "the frames")


def test_the_names_of_the_secrets_are_those_of_the_settings() -> None:
    """Both lists are the same, each known without the other's libraries."""
    assert set(options.SECRETS) == SECRETS


def test_the_log_hears_what_a_console_would(double: Double, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Warnings as warnings and news as news, to the logger `exporter`; no secret, though an input file is called like it."""
    caplog.set_level(logging.DEBUG)
    requests = double.stats()["requests"]
    double.control(outages=[f"http502:requests={requests + 4}-{requests + 1_000_000}"])

    def back(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Paused"):
            double.control(outages=[])
        return True

    logging.getLogger("exporter").addFilter(back)
    place = tmp_path / f"usersig={CANARY}"
    place.mkdir()
    ids = write_ids(place / "ids.csv", ["1.23457E+17", *IDS])
    try:
        export(ids, tmp_path / "out", **service(double, max_rejects="100%", in_flight=8))
    finally:
        logging.getLogger("exporter").removeFilter(back)
        double.control(outages=[])
    told = {(record.levelname, record.name) for record in caplog.records if record.name.startswith("exporter")}
    assert told == {("WARNING", "exporter"), ("INFO", "exporter")}
    assert any("spreadsheet" in record.getMessage() for record in caplog.records)
    assert any("Complete: " in record.getMessage() for record in caplog.records)
    assert any("out of reach" in record.getMessage() for record in caplog.records)
    assert_no_secret(caplog.text.encode(), "the log")
    with pytest.raises(exporter.InputError) as refused:
        export(place / "none.csv", tmp_path / "out", **service(double))
    assert_no_secret(str(refused.value).encode(), "an error")


def test_progress_is_told_until_the_end(double: Double, tmp_path: Path) -> None:
    """About once a second while it lasts, and once more when all is done."""
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(20_000)])
    double.control(latency_ms=[50.0, 50.0])
    told: list[Snapshot] = []
    handlers = {signal.getsignal(signal.SIGINT)}

    def note(now: Snapshot) -> None:
        told.append(now)
        handlers.add(signal.getsignal(signal.SIGINT))

    export(ids, tmp_path / "out", on_progress=note, **service(double, in_flight=5))
    assert len(handlers) == 1  # also meanwhile nobody else listens
    assert len(told) > 1
    assert [each.settled for each in told] == sorted(each.settled for each in told)
    assert told[0].settled < told[-1].settled == 20_000
    assert told[-1].left_s == 0.0
    assert told[-1].paused_why is None


def test_progress_that_fails_stops_the_export(double: Double, tmp_path: Path) -> None:
    """What the caller's own function raises is raised; what is whole is kept."""
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(20_000)])
    double.control(latency_ms=[50.0, 50.0])

    def fail(_: Snapshot) -> None:
        raise ZeroDivisionError

    wanted = service(double, in_flight=5, shard_rows=500)
    with pytest.raises(ZeroDivisionError):
        export(ids, tmp_path / "out", on_progress=fail, **wanted)
    double.control(latency_ms=[0.0, 0.0])
    requests = double.stats()["requests"]
    assert export(ids, tmp_path / "out", **wanted).input == 20_000
    assert double.stats()["requests"] - requests < 200
