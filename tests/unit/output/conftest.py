"""Ways to see what is on disk: a disk that is soon full, a process killed at every step, the system calls made."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import exporter
from exporter.batching import Planner
from exporter.flatten import Attributes
from exporter.model import Attrs, BadId, Batch, Chunk, Reason, Rejection, Reply
from exporter.output import files
from exporter.output.facts import FOLDERS, ShardFacts
from exporter.output.shards import ShardWriter
from exporter.schema import Layout
from tests.conftest import tool

Ids = Sequence[str | BadId | None]

CHILD_ENV = {**os.environ, "PYTHONPATH": str(Path(exporter.__file__).parents[1])}

KILLED_EVERYWHERE = """
import os, shutil, signal, sys
from pathlib import Path
{work}
STEPS = {{"os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.truncate"}}
template, steps = Path(sys.argv[1]), 0
while True:
    place = template.with_name(f"{{template.name}}-{{steps:03d}}")
    shutil.copytree(template, place)
    child = os.fork()
    if child == 0:
        left = steps
        def hook(event, args):
            global left
            if event in STEPS or (event == "open" and args[2] and args[2] & os.O_CREAT):
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
        sys.addaudithook(hook)
        work(place)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    steps += 1
"""


@pytest.fixture(scope="session")
def killed_everywhere() -> Callable[[str, Path], list[Path]]:
    """Run `work(folder)` on copies of a folder, killed before its first change of the disk, its second, and so on.

    Returns the folders as the killed processes left them; the last is of one that came to its end.
    """

    def places(work: str, template: Path) -> list[Path]:
        code = KILLED_EVERYWHERE.format(work=work)
        subprocess.run([sys.executable, "-c", code, str(template)], env=CHILD_ENV, check=True, timeout=60)
        return sorted(template.parent.glob(f"{template.name}-[0-9]*"))

    return places


@pytest.fixture(scope="session")
def system_calls(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., list[str]]:
    """Run Python code under strace; return its calls as `name(arguments)`, with paths for descriptors."""
    strace = tool("strace")
    if subprocess.run([strace, "-o", "/dev/null", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow strace")
    log = tmp_path_factory.mktemp("strace") / "log"
    names = "openat,write,fsync,fdatasync,close,rename,renameat,renameat2,unlink,unlinkat,ftruncate"

    def calls(code: str, *arguments: object) -> list[str]:
        python = [sys.executable, "-c", code, *map(str, arguments)]
        command = [strace, "-f", "-y", "--seccomp-bpf", "-s", "8", "-e", f"trace={names}", "-o", str(log), *python]
        subprocess.run(command, env=CHILD_ENV, check=True, timeout=60)
        return [re.sub(r"^\d+\s+", "", line) for line in log.read_text().splitlines()]

    return calls


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a file system that holds one megabyte."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this machine does not allow mounts: {mounted.stderr.partition(chr(10))[0]}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="session")
def fresh_folder() -> Callable[[], contextlib.AbstractContextManager[str]]:
    """Make folders for single examples, in memory where that is possible: a property syncs hundreds of files."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    return lambda: tempfile.TemporaryDirectory(dir=memory)


@pytest.fixture
def quick_path(fresh_folder: Callable[[], contextlib.AbstractContextManager[str]]) -> Iterator[Path]:
    """A folder for a test that syncs hundreds of files."""
    with fresh_folder() as name:
        yield Path(name)


class AtOnce(Executor):
    """Runs work where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Do it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the future carries it
            future.set_exception(error)
        return future


Answers = Mapping[str, Attrs | Rejection]
"""What the service says of each account; one that is not here is missing from its answer."""


def reply_of(answers: Answers, accounts: Sequence[str]) -> Reply:
    said = {account: answers.get(account, Rejection(Reason.MISSING)) for account in accounts}
    return Reply(
        found={account: answer for account, answer in said.items() if not isinstance(answer, Rejection)},
        rejected={account: answer for account, answer in said.items() if isinstance(answer, Rejection)},
    )


@pytest.fixture(scope="session")
def write_shards() -> Callable[..., list[ShardFacts]]:
    """Carry ids and answers through planner and writer into folders of staged shards; return their facts."""

    def written(
        folder: Path,
        ids: Ids,
        answers: Answers,
        *,
        layout: Layout | None = None,
        first: Sequence[str] = (),
        shard_rows: int = 1000,
        batch_accounts: int = 3,
        keep: bool = False,
        chunks: Sequence[int] = (),
        order: Callable[[list[Batch]], Sequence[Batch]] = list,
    ) -> list[ShardFacts]:
        layout = layout or Layout(None, {})
        attributes = Attributes(layout.chosen or first, exactly=layout.chosen is not None)
        facts: list[ShardFacts] = []
        writer = ShardWriter(folder, attributes, layout, thread=AtOnce(), on_durable=facts.append)
        for name in FOLDERS:
            files.make_folder(folder / name)
        planner = Planner(shard_rows=shard_rows, batch_accounts=batch_accounts, keep=keep)
        events = [event for chunk in cut(ids, chunks) for event in planner.add(chunk)] + planner.finish()
        for batch in order([event for event in events if isinstance(event, Batch)]):
            writer.add(batch, reply_of(answers, batch.accounts))
        for event in events:
            if not isinstance(event, Batch):
                asyncio.run(writer.commit(event))
        return facts

    return written


def cut(ids: Ids, sizes: Sequence[int]) -> Iterator[Chunk]:
    """Cut ids into chunks of these sizes, each of a file of its own; the rest is the last."""
    place = 0
    for number, size in enumerate([*sizes, len(ids)]):
        if part := ids[place : place + size]:
            yield Chunk(f"in-{number}.csv", 1, part)
        place += size
