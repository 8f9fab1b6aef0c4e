"""The table of likely mistakes in the docs: each row is made by a real process, which says what the row promises.

The page is the one source: mistake, message, exit code. `MISTAKES` knows for each row how to make it, and nothing else.
"""

import contextlib
import ctypes
import fcntl
import gzip
import os
import pty
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.api.usersig import sign
from exporter.settings import SECRETS, Settings, flag
from tests.conftest import CANARY, ROOT, Double, Ran, assert_no_secret, environment, exporter, write_ids

PAGE = ROOT / "docs/reference/mistakes.md"
PEOPLE = [f"user_{number:05d}" for number in range(1_000)]
OFF = {"EXPORTER_SECRET_KEY": ""}
SMALL_DISK = """
mount -t tmpfs -o size=20k,mode=700 tmpfs "$0" && cd "$0" && "$@"
code=$?
test -e out/_SUCCESS && exit 99
exit $code
"""
"""A shell's words for a command in a folder of 20 kB, which is gone with the command; 99 says that it published."""
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, PR_CAPBSET_DROP = 1, 2, 24  # linux/capability.h, linux/prctl.h


class Row(NamedTuple):
    """A row of the page: the whole message, with … for what varies or is left out."""

    mistake: str
    message: str
    exit: int
    way_out: str

    @property
    def pattern(self) -> str:
        """What the line on standard error has to match."""
        return "Error: " + ".*".join(map(re.escape, self.message.split("…")))


def read_rows() -> list[Row]:
    cells = [
        re.split(r"(?<!\\)\|", line)[1:-1] for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:1] == "|"
    ]
    found = [[cell.strip().replace("\\|", "|") for cell in row] for row in cells]
    return [
        Row(mistake, message.strip("`").strip(), int(code), way_out)
        for mistake, message, code, way_out in found
        if code.isdigit()
    ]


ROWS = read_rows()


@dataclass
class Scene:
    """A folder with a thousand ids, the double, and a right command to be spoilt."""

    folder: Path
    double: Double
    was: tuple[dict[Path, bytes], int] = ({}, 0)
    """What was published, and how many requests had come, when the last command began."""

    def run(self, *more: str, inputs: str = "ids.csv", out: str = "out", **env: str) -> Ran:
        """Run an export; flags that stand in `more` again win."""
        return self.started("run", inputs, "--out", out, *self.double.flags, *more, **env)

    def started(self, *arguments: str, **env: str) -> Ran:
        """Run any command."""
        return self.process(exporter(*arguments), env)

    def process(
        self, command: list[str], env: Mapping[str, str] | None = None, before: Callable[[], None] | None = None
    ) -> Ran:
        """Run any process; `before` is done in it first."""
        self.was = self.state()
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment(**(env or {})),
            cwd=self.folder,
            preexec_fn=before,
            timeout=60,
            check=False,
        )
        assert_no_secret(done.stdout + done.stderr, "the output")
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def without(self, option: str, *more: str) -> Ran:
        """Run an export without one of the flags that every one needs."""
        flags = list(self.double.flags)
        at = flags.index(option)
        return self.started("run", "ids.csv", "--out", "out", *flags[:at], *flags[at + 2 :], *more)

    def written(self, content: str | bytes, name: str = "ids.csv") -> "Scene":
        """Put a file there."""
        (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def answering(self, fault: str) -> "Scene":
        """Have the double answer everything in this way."""
        self.double.control(faults={fault: 1.0})
        return self

    def state(self) -> tuple[dict[Path, bytes], int]:
        """What readers would take for a complete export, and how many requests the double has seen."""
        found = [path for name in ("_SUCCESS", "manifest.json") for path in self.folder.rglob(name)]
        return {path: path.read_bytes() for path in found}, self.double.stats()["requests"]


def usersig(**more: object) -> dict[str, str]:
    """A ready UserSig in place of the key; it has an hour to live unless said otherwise."""
    facts = {"sdkappid": 1400000000, "identifier": "administrator", "now": int(time.time()), "expire_s": 3600} | more
    return {**OFF, "EXPORTER_USERSIG": sign(key=CANARY, **facts)}  # type: ignore[arg-type] # facts of several kinds


def cut_short(here: Scene) -> Ran:
    whole = usersig()
    return here.run(**whole | {"EXPORTER_USERSIG": whole["EXPORTER_USERSIG"][:-20]})


def like_others() -> None:
    """Take from root what lets it read and write everything; others have no such right to lose."""
    for right in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
        LIBC.prctl(PR_CAPBSET_DROP, right, 0, 0, 0)


LIBC = ctypes.CDLL(None)


def unreadable(here: Scene) -> Ran:
    place = here.folder / "theirs"
    place.mkdir(mode=0)
    try:
        return here.process(exporter("run", "theirs/ids.csv", "--out", "out", *here.double.flags), before=like_others)
    finally:
        place.chmod(0o700)


def unwritable(here: Scene) -> Ran:
    (here.folder / "shared").mkdir(mode=0o500)
    return here.process(exporter("run", "ids.csv", "--out", "shared/out", *here.double.flags), before=like_others)


def full_disk(here: Scene) -> Ran:
    apart = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if shutil.which("unshare") is None or subprocess.run([*apart, "true"], check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root, or a namespace of one's own")
    command = exporter("run", str(here.folder / "ids.csv"), "--out", "out", *here.double.flags, "--shard-rows", "100")
    disk = here.folder / "disk"
    disk.mkdir()
    return here.process([*apart, "sh", "-c", SMALL_DISK, str(disk), *command])


def cut_parquet(here: Scene) -> Ran:
    path = here.folder / "ids.parquet"
    pq.write_table(pa.table({"account_id": PEOPLE}), path)
    return here.written(path.read_bytes()[:-10], path.name).run(inputs=path.name)


def old_export(here: Scene) -> Ran:
    assert here.run().code == 0
    return here.run("--types", "level=int64")


def unfinished_run(here: Scene) -> Ran:
    here.run(EXPORTER_FAIL_POINT="run-begun")
    return here.run("--shard-rows", "100")


def held(here: Scene) -> Ran:
    (here.folder / "out").mkdir(mode=0o700)
    with (here.folder / "out/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return here.run()


def made(here: Scene, make: Callable[[Path], object]) -> Ran:
    make(here.folder / "out")
    return here.run()


def linked(out: Path) -> None:
    (out.parent / "elsewhere").mkdir()
    out.symlink_to("elsewhere")


def shared_folder(out: Path) -> None:
    out.mkdir()
    out.chmod(0o775)


@contextlib.contextmanager
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def metrics_at_a_taken_port(here: Scene) -> Ran:
    with taken_port() as port:
        return here.run("--metrics-port", port)


def nobody_known(here: Scene) -> Ran:
    here.double.control(unknown_share=1.0)
    return here.run()


def configured(here: Scene, text: str) -> Ran:
    return here.written(text, "settings.toml").run("--config", "settings.toml")


COFFEE = "account_id\ncafé\n"
MISTAKES: dict[str, Callable[[Scene], Ran]] = {
    # Key and administrator
    "No key is set": lambda here: here.run(**OFF),
    "A wrong key, or that of another app": lambda here: here.run(EXPORTER_SECRET_KEY=f"not-{CANARY}"),
    "The key is given as a flag": lambda here: here.run("--secret-key", CANARY),
    "The key's file is not there": lambda here: here.run(**OFF, EXPORTER_SECRET_KEY_FILE="key.txt"),
    "Both a key and a ready UserSig": lambda here: here.run(EXPORTER_USERSIG=usersig()["EXPORTER_USERSIG"]),
    "A ready UserSig was cut short in copying": cut_short,
    "A ready UserSig has expired": lambda here: here.run(**usersig(now=int(time.time()) - 7200)),
    "A ready UserSig is that of another app": lambda here: here.run(**usersig(sdkappid=1400000001)),
    "This machine's clock is wrong": lambda here: here.answering("code:70001").run(),
    "The identifier is no administrator": lambda here: here.run("--identifier", "ada"),
    # App, region and address
    "No SDKAppID": lambda here: here.without("--sdkappid"),
    "The SDKAppID is no number": lambda here: here.run("--sdkappid", "my-app"),
    "The SDKAppID is that of another app": lambda here: here.run("--sdkappid", "1400000001"),
    "No region": lambda here: here.without("--base-url"),
    "The region is misspelt": lambda here: here.without("--base-url", "--region", "singapur"),
    "The app lives in another region": lambda here: here.answering("code:60026").run(),
    "The plan has expired": lambda here: here.answering("code:60020").run(),
    "The attributes feature is off": lambda here: here.answering("code:90045").run(),
    "The address begins with http": lambda here: here.run("--base-url", "http://console.tim.qq.com"),
    "The address has a path": lambda here: here.run("--base-url", "https://console.tim.qq.com/v4"),
    "Nobody listens at the address": lambda here: here.run("--base-url", "http://127.0.0.1:9", "--outage-max", "0.001"),
    "A sign-in page answers": lambda here: here.answering("html").run("--outage-max", "0.001"),
    # Input
    "The column has another name": lambda here: here.written("id,name\nu1,Ada\n").run(),
    "The column differs in case": lambda here: here.written("Account_ID\nu1\n").run(),
    "The columns are separated by semicolons": lambda here: here.written("account_id;name\nu1;Ada\n").run(),
    "There is no header": lambda here: here.written("u1\nu2\n").run(),
    "It is an Excel workbook": lambda here: here.written(b"PK\x03\x04" + bytes(99), "ids.xlsx").run(inputs="ids.xlsx"),
    "It is JSON": lambda here: here.written('{"account_id": "u1"}\n', "ids.json").run(inputs="ids.json"),
    "The Parquet file is cut off": cut_parquet,
    "The gzip file is cut off": lambda here: here.written(gzip.compress(COFFEE.encode())[:-9]).run(),
    "It is UTF-16": lambda here: here.written(COFFEE.encode("utf-16")).run(),
    "It is Latin-1": lambda here: here.written(COFFEE.encode("latin-1")).run(),
    "The file is not there, or the pattern matches nothing": lambda here: here.run(inputs="ids-*.csv"),
    "The ~ is quoted": lambda here: here.run(inputs="~/ids.csv"),
    "The file may not be read": unreadable,
    "Nothing comes through the pipe": lambda here: here.run(inputs="-"),
    "The input lies in a bucket": lambda here: here.run(inputs="s3://bucket/ids.csv"),
    "The ids are those of another app": nobody_known,
    # Output
    "No output folder": lambda here: here.started("run", "ids.csv", *here.double.flags),
    "The output folder holds other things": lambda here: here.run(out="."),
    "The output is a bucket": lambda here: here.run(out="s3://bucket/out"),
    "The output folder may not be made": unwritable,
    "The output folder is a file": lambda here: made(here, Path.touch),
    "The output folder is a link": lambda here: made(here, linked),
    "Others may write to the output folder": lambda here: made(here, shared_folder),
    "The disk is full": full_disk,
    "Another run is at work there": held,
    "An old export lies there": old_export,
    "An unfinished run of something else lies there": unfinished_run,
    # Settings
    "A type of a bad name": lambda here: here.run("--types", "level=integer"),
    "A misspelt flag": lambda here: here.run("--shard-row", "5"),
    "A misspelt variable": lambda here: here.run(EXPORTER_SHARD_ROW="5"),
    "A variable of no use": lambda here: here.run(EXPORTER_RATE="fast"),
    "A misspelt key of the file": lambda here: configured(here, "shard_row = 5\n"),
    "A text without quotes in the file": lambda here: configured(here, "region = singapore\n"),
    "A secret in the file": lambda here: configured(here, f'secret_key = "{CANARY}"\n'),
    "A rate of nothing": lambda here: here.run("--rate", "0"),
    "A share without its sign": lambda here: here.run("--max-missing", "5"),
    "The metrics port is taken": metrics_at_a_taken_port,
    # Other commands
    "An attribute that the app does not have": lambda here: here.started(
        "check", *here.double.flags, "--attributes", "citty"
    ),
    "A misspelt command": lambda here: here.started("rum", "ids.csv"),
    "`status` of a folder that holds nothing": lambda here: here.started("status", "out"),
    "`verify` of a folder that holds nothing": lambda here: here.started("verify", "out"),
}
"""How each mistake of the page is made."""


@pytest.fixture
def here(double: Double, tmp_path: Path) -> Scene:
    write_ids(tmp_path / "ids.csv", PEOPLE)
    return Scene(tmp_path, double)


def test_the_page_and_the_mistakes_are_the_same() -> None:
    """No row without a mistake that is made here, none made here without a row, and none twice."""
    assert [row.mistake for row in ROWS] == list(MISTAKES)


def test_every_way_out_can_be_typed() -> None:
    """The flags that a way out names exist."""
    known = {flag(name) for name in Settings.model_fields if name not in SECRETS} | {"--config", "--help"}
    named = {word for row in ROWS for word in re.findall(r"(?<![\w-])--[a-z][a-z-]*", row.way_out)}
    assert named
    assert named <= known


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mistake)
def test_a_mistake_is_told_as_the_page_has_it(here: Scene, row: Row) -> None:
    """One line with the promised words, the promised exit code, no traceback, no secret, nothing published.

    What ends with 2 is known before the first request.
    """
    ran = MISTAKES[row.mistake](here)
    *warnings, line = ran.err.splitlines()
    assert re.fullmatch(row.pattern, line), ran.err
    assert all(each.startswith("Warning: ") for each in warnings), ran.err
    assert ran.code == row.exit
    (published, requests), (published_before, requests_before) = here.state(), here.was
    assert published == published_before
    assert row.exit != 2 or requests == requests_before


def test_a_dash_at_a_terminal_says_what_it_waits_for(here: Scene) -> None:
    """Nothing was piped, so the ids are typed: the command says so, and how to end them."""
    keyboard, terminal = pty.openpty()
    command = exporter("run", "-", "--out", "out", *here.double.flags)
    process = subprocess.Popen(
        command, stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=here.folder
    )
    assert process.stderr
    assert b"end them with Ctrl-D" in process.stderr.readline()
    os.write(keyboard, b"account_id\nuser_00001\n\x04")
    process.communicate(timeout=60)
    os.close(keyboard)
    os.close(terminal)
    assert process.returncode == 0
    assert (here.folder / "out/_SUCCESS").exists()


def test_a_small_input_of_another_app_earns_a_warning(here: Scene) -> None:
    """Fewer accounts than prove a mistake: the export is complete, and says that it may be one."""
    here.double.control(unknown_share=1.0)
    write_ids(here.folder / "ids.csv", PEOPLE[:3])
    ran = here.run()
    assert ran.code == 0
    assert ran.err.startswith("Warning: The service knows none of these 3 accounts: check that --sdkappid")
