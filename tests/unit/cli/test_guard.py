"""Every way on which a process writes by itself, in processes of their own: the guard is for a whole process."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import redaction
from exporter.cli import guard

ROOT = Path(__file__).parents[3]
SECRET = 'canary "*é%-_' + "7" * 40

START = f"""
import asyncio, ctypes, gc, logging, os, resource, sys, threading, time, warnings
from exporter.cli.console import say
from exporter.cli.guard import keep_secrets
SECRET = {SECRET!r}
class Loud:
    def __repr__(self):
        return SECRET
    def __del__(self):
        raise ValueError(SECRET)
class Structured(logging.Formatter):
    def format(self, record):
        text = str(record.__dict__)
        return text + (repr(record.exc_info[1]) if record.exc_info else "")
def fail():
    raise ValueError(SECRET)
async def fail_later():
    fail()
async def forgotten():
    asyncio.ensure_future(fail_later())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
async def handled():
    asyncio.get_running_loop().call_exception_handler({{"message": SECRET, "future": SECRET, "exception": ValueError(SECRET)}})
async def called():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)
def traced():
    try:
        fail()
    except ValueError:
        logging.exception("it failed with %s", SECRET)
keep_secrets()
"""

WAYS = {
    "say": "say(SECRET)",
    "uncaught": "fail()",
    "uncaught in a chain": "try:\n    fail()\nexcept ValueError as error:\n    raise KeyError(1) from error",
    "uncaught with a note": "error = ValueError(1)\nerror.add_note(SECRET)\nraise error",
    "thread": "thread = threading.Thread(target=fail, name=SECRET)\nthread.start()\nthread.join()",
    "unraisable": "loud = Loud()\ndel loud\ngc.collect()",
    "warning": "warnings.simplefilter('always')\nwarnings.warn(f'old {SECRET}', DeprecationWarning)",
    "warning as a log": "logging.captureWarnings(True)\nlogging.basicConfig()\nwarnings.warn(SECRET)",
    "log without a handler": "logging.getLogger('aiohttp').error('%s', SECRET)",
    "log by arguments": "logging.basicConfig(level=10)\nlogging.getLogger('x').debug('%(a)s', {'a': SECRET})",
    "log by message": "logging.basicConfig()\nlogging.error(SECRET + ' 100%% %s')",
    "log by object": "logging.basicConfig()\nlogging.error(ValueError(SECRET))",
    "log that does not fit": "logging.basicConfig()\nlogging.error('%d', SECRET)",
    "log of a traceback": "logging.basicConfig()\ntraced()",
    "log of a stack": "logging.basicConfig()\nexec(compile('logging.error(1, stack_info=True)', SECRET, 'exec'))\nsay(SECRET)",
    "log to a later handler": "later = logging.StreamHandler()\nlater.setFormatter(Structured())\nlogging.root.addHandler(later)\ntraced()",
    "task nobody awaits": "asyncio.run(forgotten())",
    "handler of the loop": "asyncio.run(handled())",
    "callback of the loop": "asyncio.run(called())",
    "loop in debug mode": "logging.basicConfig(level=10)\nasyncio.run(called(), debug=True)",
}


def child(code: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "EXPORTER_SECRET_KEY": SECRET, **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("way", WAYS)
def test_no_way_out_shows_the_key(way: str) -> None:
    """Something is written, the key is covered in it, and no spelling of the key is left."""
    done = child(START + WAYS[way])
    written = (done.stdout + done.stderr).decode()
    assert "***" in written
    assert not any(spelling in written for spelling in redaction.spellings(SECRET))


@pytest.mark.parametrize(
    "way", ["uncaught", "thread", "unraisable", "warning", "log without a handler", "task nobody awaits"]
)
def test_what_python_writes_by_itself_is_said_as_all_else(way: str) -> None:
    """Also to those who want to hear nothing but warnings and errors, and as lines of JSON for those who want these."""
    wanted = "from exporter.cli.console import speak\nfrom exporter.cli.logs import JsonLines\n"
    done = child(START + wanted + "speak(quiet=True, as_json=False, write=JsonLines())\n" + WAYS[way])
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert lines
    assert {line["level"] for line in lines} <= {"warning", "error", "critical"}


def test_a_process_keeps_memory_files_and_tls_keys_to_itself() -> None:
    """No core file, not dumpable, private files, no key log for any library; signals still end it."""
    code = (
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),"
        " oct(os.umask(0)), 'SSLKEYLOGFILE' in os.environ, flush=True)\nos.kill(os.getpid(), 15)\ntime.sleep(20)"
    )
    done = child(START + code, SSLKEYLOGFILE="/nowhere/keys")
    assert done.stdout == b"(0, 0) 0 0o77 False\n"
    assert done.returncode == -signal.SIGTERM


@pytest.mark.parametrize("seeded", [True, False])
def test_a_crash_leaves_no_core(*, seeded: bool, tmp_path: Path) -> None:
    """Where a core file is allowed and would be written, a guarded process leaves none: told by the kernel itself."""
    crash = "os.abort()"
    code = START.replace("keep_secrets()\n", "") + crash if seeded else START + crash
    limited = f'ulimit -c unlimited && exec {sys.executable} -c "$CODE"'
    process = subprocess.Popen(
        ["bash", "-c", limited], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT), "CODE": code}
    )
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert os.WTERMSIG(status) == signal.SIGABRT
    assert os.WCOREDUMP(status) == seeded


@pytest.fixture
def _hidden() -> Iterator[None]:
    redaction.hide(SECRET)
    yield
    redaction._secrets.clear()  # noqa: SLF001 - other tests hide other values


@pytest.mark.usefixtures("_hidden")
def test_a_record_is_redacted_when_it_is_made() -> None:
    """Message and arguments are one covered text, the traceback is text, and nothing of the error hangs on it."""
    error = ValueError(SECRET)
    info = (type(error), error, None)
    record = guard.RedactedRecord("n", logging.ERROR, "p", 1, "a %s b", (SECRET,), info)
    assert record.getMessage() == "a *** b"
    assert (record.args, record.exc_info) == ((), None)
    assert "ValueError: ***" in (record.exc_text or "")
    assert SECRET not in logging.Formatter().format(record)


def test_a_record_without_secrets_says_what_it_said() -> None:
    """Redaction changes nothing else, percent signs included."""
    for message, arguments, text in (("100%", (), "100%"), ("%s%%", ("5",), "5%"), ("%d", ("x",), "%d ('x',)")):
        assert guard.RedactedRecord("n", 40, "p", 1, message, arguments, None).getMessage() == text
