"""Hostile answers, hostile input and loud libraries, met by real processes: memory stays small, secrets stay inside."""

import asyncio
import bz2
import contextlib
import http.server
import io
import json
import logging
import socketserver
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.api.usersig import describe
from exporter.app import Job, export
from exporter.progress import Progress
from exporter.settings import load
from tests.acceptance.conftest import measured
from tests.conftest import (
    APP,
    CANARY,
    ROOT,
    WITHOUT,
    Double,
    Exporting,
    Ran,
    assert_no_secret,
    environment,
    exporter,
    tool,
    write_ids,
)

Cli = Callable[..., Ran]
Send = Callable[[bytes], object]

MIB = 1 << 20


# Answers

HEAD = b"HTTP/1.1 200 OK\r\n"


def packed(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(mebibytes)), packer.flush()])


def whole(send: Send, body: bytes, head: bytes = b"") -> None:
    send(HEAD + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def endless(send: Send, head: bytes, piece: bytes, *, wait_s: float = 0.0) -> None:
    send(head)
    while True:
        send(piece)
        time.sleep(wait_s)


BOMB = packed(200)
HOSTILE: dict[str, tuple[Callable[[Send], None], str]] = {
    "gzip bomb": (lambda send: whole(send, BOMB, b"Content-Encoding: gzip\r\n"), "SPLIT"),
    "a gigabyte": (lambda send: endless(send, HEAD + b"Content-Length: 1073741824\r\n\r\n", bytes(MIB)), "SPLIT"),
    "endless chunks": (
        lambda send: endless(send, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"100000\r\n" + bytes(MIB) + b"\r\n"), "SPLIT",
    ),
    "a byte now and then": (lambda send: endless(send, HEAD + b"Content-Length: 99\r\n\r\n", b" ", wait_s=0.2), "RETRY"),
    "endless headers": (lambda send: endless(send, HEAD, b"X: " + b"y" * 8000 + b"\r\n"), "RETRY"),
    "one endless header": (lambda send: endless(send, HEAD + b"X: ", b"y" * 65536), "RETRY"),
    "an endless chunk size": (lambda send: endless(send, HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;", b"y" * 65536), "RETRY"),
    "endless interim answers": (lambda send: endless(send, b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 999), "RETRY"),
    "two million brackets": (lambda send: whole(send, b"[" * 2_000_000), "RETRY"),
    "many small objects": (lambda send: whole(send, b'{"UserAttrs":[' + b"{}," * 680_000 + b"{}]}"), "RETRY"),
    "a number of two million digits": (lambda send: whole(send, b'{"ErrorCode":' + b"9" * 2_000_000 + b"}"), "RETRY"),
}  # fmt: skip

CALLS = """
import asyncio, json, resource, sys, time
from exporter.api.client import Client
from exporter.api.signer import KeySigner
from exporter.errors import AttemptError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def calls(address, at_once):
    signer = KeySigner(1400000000, "administrator", "key", clock=time.time)
    client = Client(base_url=address, sdkappid=1400000000, identifier="administrator", signer=signer,
                    in_flight_max=at_once, timeout_s=2.0)
    async def verdict():
        try:
            await client.fetch(["a", "b"])
        except AttemptError as error:
            return error.verdict.name
    async with client:
        before = peak()
        verdicts = await asyncio.gather(*(verdict() for _ in range(at_once)))
        print(json.dumps([sorted(set(verdicts)), peak() - before]))

asyncio.run(calls(sys.argv[1], int(sys.argv[2])))
"""


@contextlib.contextmanager
def answering(answer: Callable[[Send], None]) -> Iterator[str]:
    """A server that reads a request and then speaks as it likes, until the other side has enough: its address."""

    class Handler(socketserver.StreamRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Answer once."""
            with contextlib.suppress(ConnectionError):
                while self.rfile.readline().strip():
                    pass
                answer(self.request.sendall)

    class Server(socketserver.ThreadingTCPServer):
        """Many connections at once."""

        daemon_threads, block_on_close, request_queue_size = True, False, 128

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize("at_once", [1, 32])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_costs_one_attempt_and_little_memory(case: str, at_once: int) -> None:
    """Whatever an answer unfolds to, 64 MiB and 5 MiB for each call under way hold it, and its verdict is the right one."""
    answer, verdict = HOSTILE[case]
    with answering(answer) as address:
        done = subprocess.run(
            [sys.executable, "-c", CALLS, address, str(at_once)], env=environment(), capture_output=True, check=True, timeout=60
        )  # fmt: skip
    verdicts, grown_mib = json.loads(done.stdout)
    assert verdicts == [verdict]
    assert grown_mib < 64 + 5 * at_once


# Input


def bomb(path: Path, rows: int, kind: Any = None, **options: Any) -> None:
    """One row group, in which a text of a megabyte stands so many times."""
    texts: Any = pa.array(["x" * 1_000_000] * 10, pa.string())
    column = pa.chunked_array([texts.cast(kind) if kind else texts] * (rows // 10))
    pq.write_table(pa.table({"account_id": column}), path, compression="zstd", **options)


def stream(path: Path, codec: Literal["gzip", "zstd"], mebibytes: int) -> None:
    with pa.output_stream(path, codec) as file:
        file.write(b"account_id\n")
        for _ in range(mebibytes):
            file.write(b"0" * MIB)


def bzipped(path: Path) -> None:
    packer = bz2.BZ2Compressor()
    pieces = [packer.compress(b"0" * MIB) for _ in range(300)]
    path.write_bytes(bz2.compress(b"account_id\n") + b"".join([*pieces, packer.flush()]))


DICTIONARY = pa.dictionary(pa.int32(), pa.string())
BOMBS: dict[str, tuple[Callable[[Path], None], int, int, str]] = {
    # how it is made, its bytes at most, exit code, words
    "dictionary.parquet": (lambda path: bomb(path, 2000), 600, 3, "2,000 accounts failed"),
    "folded.parquet": (lambda path: bomb(path, 2000, DICTIONARY), 700, 3, "2,000 accounts failed"),
    "prefixes.parquet": (
        lambda path: bomb(path, 1500, use_dictionary=False, column_encoding="DELTA_BYTE_ARRAY"), 1400, 3, "1,500 accounts",
    ),
    "pages.parquet": (lambda path: bomb(path, 1500, use_dictionary=False), 80_000, 2, "row group 1 has"),
    "line.csv.gz": (lambda path: stream(path, "gzip", 1000), 1_100_000, 2, "line 2"),
    "line.csv.zst": (lambda path: stream(path, "zstd", 1000), 100_000, 2, "line 2"),
    "line.csv.bz2": (bzipped, 1_000, 2, "line 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_as_input_is_refused_or_rejected_in_little_memory(double: Double, tmp_path: Path, name: str) -> None:
    """A small file that unfolds to over a gigabyte: a sentence or rejects, and the whole process stays under 300 MiB."""
    make, bytes_max, wanted, words = BOMBS[name]
    make(tmp_path / name)
    assert (tmp_path / name).stat().st_size <= bytes_max
    flags = ["--out", "out", *double.flags, "--rate", "100000"]
    code, peak_mib, said = measured(exporter("run", name, *flags), tmp_path)
    assert (code, "Traceback" in said) == (wanted, False), said
    assert words in said
    assert peak_mib < 300


# Words of others

LOUD = """
import asyncio, logging, warnings
import aiohttp
logging.basicConfig(level=logging.DEBUG)
calm = aiohttp.ClientSession._request
async def loud(self, method, url, **options):
    logging.getLogger("loud").debug("%s %s", method, url)
    loop = asyncio.get_running_loop()
    loop.call_exception_handler({"message": "loud", "url": url, "exception": ValueError(str(url))})
    return await calm(self, method, url, **options)
aiohttp.ClientSession._request = loud
"""


def test_a_library_that_logs_every_address_shows_no_usersig(double: Double, tmp_path: Path) -> None:
    """Debug logs, the loop in debug mode and its handler, all full of addresses: each of them is covered."""
    (tmp_path / "loud").mkdir()
    (tmp_path / "loud/sitecustomize.py").write_text(LOUD)
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(300)])
    env = {"PYTHONPATH": f"{tmp_path / 'loud'}:{ROOT}:{WITHOUT}", "PYTHONASYNCIODEBUG": "1"}
    command = exporter("run", str(ids), "--out", str(tmp_path / "out"), *double.flags, "--rate", "100000")
    done = subprocess.run(command, capture_output=True, env=environment(**env), cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert_no_secret(done.stdout + done.stderr, "the logs")
    assert done.stderr.count(b"DEBUG:loud:POST http://127.0.0.1") == 3
    assert done.stderr.count(b"ValueError: http://127.0.0.1") == 3
    assert done.stderr.count(b"usersig=***") == 9
    assert b"DEBUG:asyncio:" in done.stderr


def test_our_own_code_logs_no_secret_at_any_level(
    exporting: Exporting, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without any redaction: a run in this process, every logger at DEBUG, the loop in debug mode, half of all answers bad."""
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    before = logging.root.level
    logging.root.addHandler(handler)
    logging.root.setLevel(logging.DEBUG)
    try:
        for fault in ("http502", "reset", "cut", "html", "redirect", "gzip_bomb", "code:70009"):
            exporting.double.control(faults={fault: 0.5})
            with contextlib.suppress(Exception):
                exporting.run([f"user_{number:05d}" for number in range(500)])
    finally:
        logging.root.removeHandler(handler)
        logging.root.setLevel(before)
    assert "selector" in heard.getvalue()  # the loop's debug log was heard
    told = capfd.readouterr()
    assert_no_secret((heard.getvalue() + told.out + told.err).encode(), "the logs")


def test_every_usersig_is_told_to_whoever_prints(exporting: Exporting, tmp_path: Path) -> None:
    """The first and, after a refusal, the next: what is covered by value must be known."""
    told: list[str] = []
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number:05d}" for number in range(300)])
    exporting.double.control(expire_at_request=exporting.double.stats()["requests"] + 2)
    settings = load(base_url=exporting.double.address, **APP, secret_key=CANARY, rate=1e6, in_flight=1)
    job = Job([str(ids)], tmp_path / "out", settings, Progress(time.monotonic), hide=told.append)
    asyncio.run(export(job))
    assert [describe(usersig).identifier for usersig in told] == ["administrator"] * 2


# TLS keys


@pytest.fixture
def tls_address(tmp_path: Path) -> Iterator[str]:
    """A server with a certificate of its own, `cert.pem`: its address."""
    command = [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=double", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    subprocess.run([*command, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    class Handler(http.server.BaseHTTPRequestHandler):
        """Says to everything that the UserSig has expired."""

        def do_POST(self) -> None:
            """Answer."""
            body = (ROOT / "tests/samples/70001.json").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


USUAL = """
import ssl, sys, urllib.request
urllib.request.urlopen(sys.argv[1], b"{}", context=ssl.create_default_context(cafile="cert.pem")).read()
"""


def test_tls_keys_are_written_nowhere(run_cli: Cli, tls_address: str, tmp_path: Path) -> None:
    """SSLKEYLOGFILE lays open what a usual client sends, and nothing of what we send."""
    keys = tmp_path / "keys"
    ran = run_cli(
        "check", "--base-url", tls_address, "--sdkappid", "1400000000", "--identifier", "administrator",
        "--ca-file", "cert.pem", env={"SSLKEYLOGFILE": str(keys)},
    )  # fmt: skip
    assert (ran.code, "70001" in ran.err) == (4, True), ran.err
    assert not keys.exists()
    usual = [sys.executable, "-c", USUAL, tls_address]
    subprocess.run(usual, env=environment(SSLKEYLOGFILE=str(keys)), cwd=tmp_path, check=True)
    assert b"_SECRET" in keys.read_bytes()


# Files

WATCHED = """
import os, sys
seen = os.open(os.environ["SEEN"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
FOLDERS = {"os.remove": 1, "os.rename": 2, "os.rmdir": 1}
def watch(event, args):
    if event in FOLDERS and not isinstance(args[0], int):
        at = args[FOLDERS[event]]
        try:
            mode = os.lstat(args[0], dir_fd=at if at >= 0 else None).st_mode
        except FileNotFoundError:
            return
        os.write(seen, f"{mode:o} {os.fsdecode(args[0])}\\n".encode())
sys.addaudithook(watch)
"""


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_everything_a_run_writes_is_private(double: Double, tmp_path: Path, umask: int) -> None:
    """Folders 0700 and files 0600, whatever the umask: what is there at the end, and what was moved or removed before."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(WATCHED)
    ids = write_ids(tmp_path / "ids.csv", [f"user_{number % 999:05d}" for number in range(1000)])
    out = tmp_path / "new/out"
    env = environment(PYTHONPATH=f"{tmp_path / 'watch'}:{ROOT}", SEEN=str(tmp_path / "seen"))
    flags = ["--out", str(out), *double.flags, "--rate", "100000", "--shard-rows", "100"]
    subprocess.run(exporter("run", str(ids), *flags), env=env, check=True, umask=umask, stdout=subprocess.DEVNULL)
    seen = [line.split(" ", 1) for line in (tmp_path / "seen").read_text().splitlines()]
    left = [out.parent, *out.parent.rglob("*")]
    seen += [[f"{path.lstat().st_mode:o}", str(path)] for path in left]
    for name in (
        ".part-000009.parquet.tmp",
        "part-000009.parquet",
        "journal",
        "later-000000",
        "manifest.json",
        ".lock",
    ):
        assert any(path.endswith(name) for _, path in seen), f"{name} was not seen"
    assert [(mode, path) for mode, path in seen if mode not in {"100600", "40700"}] == []
