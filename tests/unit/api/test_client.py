"""The one call, over real sockets."""

import asyncio
import gzip
import json
import logging
import socket
import ssl
import struct
import subprocess
import traceback
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exporter.api.client import Client
from exporter.api.signer import KeySigner, ReadySigner
from exporter.api.usersig import sign
from exporter.errors import AttemptError, SettingsError, Verdict
from tests.conftest import tool

SAMPLES = Path(__file__).parents[2] / "samples"
ASKED = ["Zhang Xiaohong", "Chen Xiaoming", "abc"]
OK = (SAMPLES / "ok.json").read_bytes()
# This moment gives a UserSig with each of the three letters that are special to base64 or URLs.
USERSIG = sign(sdkappid=1400000000, key="k", identifier="administrator", now=1_700_000_002, expire_s=86_400)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RawHandler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def client_to(base_url: str, **settings: Any) -> Client:
    """A client with short waits; any of its settings replaced."""
    usual: dict[str, Any] = {
        "sdkappid": 1400000000,
        "identifier": "administrator",
        "signer": ReadySigner(USERSIG),
        "in_flight_max": 8,
    }
    return Client(base_url=base_url, **(usual | settings))


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An HTTP server with one handler for every path: its base URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def raw_serving(handler: RawHandler) -> AsyncIterator[str]:
    """A server that speaks as it likes: HOST:PORT."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def request_of(reader: asyncio.StreamReader) -> bytes:
    """One whole request: its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
    return head


def answers(body: bytes, **settings: Any) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, **settings)

    return handler


def said(head_and_body: bytes, *, reset: bool = False) -> RawHandler:
    """Says this to every request and hangs up, by a reset if told so."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(head_and_body)
        if reset:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    return handler


async def failure_at(base_url: str, **settings: Any) -> AttemptError:
    """The one failure of a call, which holds no secret."""
    async with client_to(base_url, **settings) as client, asyncio.timeout(20):
        with pytest.raises(AttemptError) as caught:
            await client.fetch(ASKED)
    keeps_secret(caught.value)
    return caught.value


def keeps_secret(error: AttemptError) -> None:
    """Nothing that can be printed of the error holds the UserSig or the URL, and no other error hangs on it."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error)), *traceback.format_exception(error)]
    assert not any(USERSIG[:40] in text or "usersig=" in text for text in texts)
    assert error.__context__ is None
    assert error.__cause__ is None


@pytest.fixture(autouse=True)
def _logs_keep_secret(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.DEBUG)
    yield
    assert USERSIG[:40] not in caplog.text


# What goes out


async def test_request_on_the_wire() -> None:
    """A call is a POST with the five documented parameters in the query and the accounts in the body."""
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        assert await request.json() == {"To_Account": ASKED}
        return web.Response(body=OK)

    async with serving(handler) as url, client_to(url, random=lambda: 4294967295) as client:
        reply = await client.fetch(ASKED)
    assert list(reply.found) == ASKED
    assert (seen[0].method, seen[0].path) == ("POST", "/v4/all_member_push/im_get_attr")
    assert seen[0].content_type == "application/json"
    assert dict(seen[0].query) == {
        "sdkappid": "1400000000",
        "identifier": "administrator",
        "usersig": USERSIG,
        "random": "4294967295",
        "contenttype": "json",
    }


@pytest.mark.parametrize("identifier", ["管理员", "a b+c&d=e%20#?/", "*~_-", "ü\"'"])
async def test_special_letters_arrive(identifier: str) -> None:
    """Any identifier, and the letters * - _ of the UserSig, arrive as they were meant."""
    usersig = sign(sdkappid=1400000000, key="k", identifier=identifier, now=1_700_000_000, expire_s=86_400)
    assert set("*-_") <= set(USERSIG)
    for signer in (ReadySigner(usersig), ReadySigner(USERSIG)):
        seen: list[web.Request] = []

        async def handler(request: web.Request, seen: list[web.Request] = seen) -> web.Response:
            seen.append(request)
            return web.Response(body=OK)

        async with serving(handler) as url, client_to(url, identifier=identifier, signer=signer) as client:
            await client.fetch(ASKED)
        assert seen[0].query["identifier"] == identifier
        assert seen[0].query["usersig"] == signer.current()
        assert f"usersig={signer.current()}&" in seen[0].raw_path


async def test_random_is_fresh() -> None:
    """Every attempt has a number of its own, all 32 bits of it in use."""
    seen: list[int] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(int(request.query["random"]))
        return web.Response(body=OK)

    async with serving(handler) as url, client_to(url) as client:
        for _ in range(64):
            await client.fetch(ASKED)
    assert len(set(seen)) == 64
    assert 2**31 < max(seen) < 2**32


async def test_attribute_names() -> None:
    """The names are asked for with an empty object, and come in the order of their numbers."""
    seen: list[tuple[str, bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.path, await request.read()))
        return web.Response(body=(SAMPLES / "names.json").read_bytes())

    async with serving(handler) as url, client_to(url) as client:
        assert await client.attribute_names() == ["sex", "会员等级", "Membership level", "last"]
    assert seen == [("/v4/all_member_push/im_get_attr_name", b"{}")]


async def test_connections_are_kept_and_bounded() -> None:
    """Connections are used again, and no more calls than `in_flight_max` are on the way at once."""
    ports: set[int] = set()
    now, most = 0, 0

    async def handler(request: web.Request) -> web.Response:
        nonlocal now, most
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return web.Response(body=OK)

    async with serving(handler) as url, client_to(url, in_flight_max=3) as client:
        await asyncio.gather(*(client.fetch(ASKED) for _ in range(60)))
    assert most <= 3
    assert len(ports) <= 3


async def test_no_cookies_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cookies are not kept, and a proxy of the environment never sees the UserSig."""
    cookies: list[object] = []
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def handler(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.Response(body=OK, headers={"Set-Cookie": "a=b; Path=/"})

    # By name: cookies of an address without a name are never kept.
    async with serving(handler) as url, client_to(url.replace("127.0.0.1", "localhost")) as client:
        await client.fetch(ASKED)
        await client.fetch(ASKED)
    assert cookies == [None, None]


# What comes back


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        *((status, Verdict.RETRY) for status in (408, 425, 500, 502, 503, 504, 301, 307, 204, 206)),
        (429, Verdict.SLOW_DOWN),
        *((status, Verdict.FATAL) for status in (400, 401, 403, 404, 413)),
    ],
)
async def test_http_status(status: int, verdict: Verdict) -> None:
    """A status other than 200 is judged by itself, even with a perfect answer below it; its number is named."""
    body = b"" if status == 204 else OK
    async with serving(answers(body, status=status)) as url:
        error = await failure_at(url)
    assert (error.verdict, error.code) == (verdict, None)
    assert f"HTTP status {status}: " in str(error)
    assert str(error).startswith("127.0.0.1:")
    assert "/v4/all_member_push/im_get_attr: " in str(error)


async def test_redirect_is_not_followed() -> None:
    """A redirect is a failure: the UserSig is not carried to wherever it points."""
    visits = 0

    async def elsewhere(_: web.Request) -> web.Response:
        nonlocal visits
        visits += 1
        return web.Response(body=OK)

    async with serving(elsewhere) as other:

        async def handler(request: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": f"{other}/{request.path_qs}"})

        async with serving(handler) as url:
            error = await failure_at(url)
    assert (error.verdict, visits) == (Verdict.RETRY, 0)
    assert "302" in str(error)


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (said(b""), "closed before an answer"),
        (said(b"", reset=True), "connection broke"),
        (said(HEAD[:9]), "closed before an answer"),
        (said(HEAD + b"Content-Length: 1000\r\n\r\n" + OK[:50]), "broke off"),
        (said(HEAD + b"Content-Length: 1000\r\n\r\n" + OK[:50], reset=True), "broke"),
        (said(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n{"), "broke off"),
        (said(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{"), "not valid HTTP"),
        (said(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n{no gzip}!"), "unpacked"),
        (said(HEAD + b"Content-Encoding: deflate\r\nContent-Length: 10\r\n\r\n{no zlib}!"), "not valid HTTP"),
        (said(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 20\r\n\r\n" + gzip.compress(OK)[:20]), "is empty"),
        (said(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "not valid HTTP"),
        (said(HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n"), "not valid HTTP"),
        (said(HEAD + b"Content-Length: -5\r\n\r\n"), "not valid HTTP"),
        (said(HEAD + b"Content-Length: 0\r\n\r\n"), "is empty"),
        (said(HEAD + b"\r\n" + OK[:100]), "no JSON object"),
        (
            said(HEAD + b"Content-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
            "no JSON object but begins with '<html>'",
        ),
    ],
)
async def test_broken_answers(handler: RawHandler, words: str) -> None:
    """However an answer breaks, it is one failed attempt without a code, in words that tell which way."""
    async with raw_serving(handler) as place:
        error = await failure_at(f"http://{place}")
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert words in str(error)


async def test_no_content_type_is_fine() -> None:
    """The published sample has no Content-Type, so none is asked for."""
    plain = said(HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK)
    async with raw_serving(plain) as place, client_to(f"http://{place}") as client:
        assert list((await client.fetch(ASKED)).found) == ASKED


async def test_reused_connection_that_was_closed() -> None:
    """A kept connection that the server closes under the next call fails that one attempt; the next one goes through."""
    calls = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        for turn in range(2):
            await request_of(reader)
            calls += 1
            if turn == 0:
                writer.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(OK) + OK)
                await writer.drain()

    async with raw_serving(handler) as place, client_to(f"http://{place}") as client:
        await client.fetch(ASKED)
        with pytest.raises(AttemptError, match="closed before an answer") as caught:
            await client.fetch(ASKED)
        keeps_secret(caught.value)
        assert caught.value.verdict is Verdict.RETRY
        assert calls == 2  # the library tried no third time behind our back, for every attempt costs quota
        assert list((await client.fetch(ASKED)).found) == ASKED


# Out of reach


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def test_refused() -> None:
    """Nobody listening is a passing failure."""
    error = await failure_at(f"http://127.0.0.1:{free_port()}")
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert "no connection could be made" in str(error)


async def test_unknown_name() -> None:
    """A name that cannot be resolved is a passing failure."""
    error = await failure_at("https://nowhere.invalid")
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert "nowhere.invalid/v4/all_member_push/im_get_attr: " in str(error)
    assert "could not be resolved" in str(error) or "within 3 s" in str(error)


@asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """A port that takes connections and says nothing: HOST:PORT."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_no_connection_in_time() -> None:
    """A handshake that never ends is ended after `connect_timeout_s`, and said to be that."""
    async with silent() as place:
        error = await failure_at(f"https://{place}", connect_timeout_s=0.2)
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert "no connection was made within 0.2 s" in str(error)


async def test_no_answer_in_time() -> None:
    """A server that never answers is left after `timeout_s`, and said to be that."""
    async with silent() as place:
        error = await failure_at(f"http://{place}", timeout_s=0.2)
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert "no complete answer came within 0.2 s" in str(error)


async def test_no_end_in_time() -> None:
    """An answer that begins and never ends is left after `timeout_s` as well."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" ")
            await asyncio.sleep(0.01)

    async with serving(handler) as url:
        error = await failure_at(url, timeout_s=0.3)
    assert "no complete answer came within 0.3 s" in str(error)


async def test_cancelled_call_frees_its_place() -> None:
    """A call can be cancelled in mid-wait, and gives back the only connection there is."""
    first = True
    asked = asyncio.Event()

    async def handler(_: web.Request) -> web.Response:
        nonlocal first
        if first:
            first = False
            asked.set()
            await asyncio.Event().wait()
        return web.Response(body=OK)

    async with serving(handler) as url, client_to(url, in_flight_max=1) as client:
        call = asyncio.create_task(client.fetch(ASKED))
        await asked.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert list((await client.fetch(ASKED)).found) == ASKED


# Size


async def test_packed_answer() -> None:
    """A packed answer is unpacked."""
    packed = answers(gzip.compress(OK), headers={"Content-Encoding": "gzip"})
    async with serving(packed) as url, client_to(url) as client:
        assert list((await client.fetch(ASKED)).found) == ASKED


async def test_answer_at_the_limit() -> None:
    """The limit itself is allowed, one byte more is too much to ask for in one call."""
    async with serving(answers(OK)) as url:
        async with client_to(url, body_bytes_max=len(OK)) as client:
            await client.fetch(ASKED)
        error = await failure_at(url, body_bytes_max=len(OK) - 1)
    assert (error.verdict, error.code) == (Verdict.SPLIT, None)


def bomb(mebibytes: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(mebibytes)), packer.flush()])


@pytest.mark.parametrize("packed", [True, False])
async def test_huge_answer_is_bounded(*, packed: bool) -> None:
    """200 MiB, packed or not, cost a few MiB: reading stops at the limit, and the connection is given up."""
    small = bomb(200) if packed else b""
    gone = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        if packed:
            return web.Response(body=small, headers={"Content-Encoding": "gzip"})
        response = web.StreamResponse()
        await response.prepare(request)
        block = bytes(2**16)
        try:
            for _ in range(200 * 16):
                await response.write(block)
        except ConnectionError:
            gone.set()
            raise
        return response

    async with serving(handler) as url:
        tracemalloc.start()
        try:
            error = await failure_at(url)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        if not packed:
            await asyncio.wait_for(gone.wait(), 5)
    assert error.verdict is Verdict.SPLIT
    assert str(error).endswith("the answer is over 2 MiB.")
    assert peak < 16 * 2**20


# UserSig


@pytest.mark.parametrize("code", [70001, 70052, 60004])
async def test_stale_usersig_is_renewed(code: int) -> None:
    """With the key, a refused UserSig is one failed attempt, and the next one carries a new UserSig."""
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.query["usersig"])
        stale = {"ActionStatus": "FAIL", "ErrorCode": code, "ErrorInfo": f"expired {seen[0]}"}
        return web.Response(body=json.dumps(stale).encode() if seen[0] == seen[-1] else OK)

    signer = KeySigner(1400000000, "administrator", "key", clock=lambda: 1_700_000_000.0)
    async with serving(handler) as url, client_to(url, signer=signer) as client:
        refused = await asyncio.gather(*(client.fetch(ASKED) for _ in range(3)), return_exceptions=True)
        assert list((await client.fetch(ASKED)).found) == ASKED
    assert len(set(seen[:3])) == 1
    assert len(set(seen)) == 2
    for error in refused:
        assert isinstance(error, AttemptError)
        keeps_secret(error)
        assert seen[0] not in str(error)
        assert (error.verdict, error.code) == (Verdict.RESIGN, code)


async def test_stale_ready_usersig_ends_the_run() -> None:
    """Without the key a refused UserSig is final, and the operator reads what to do."""
    async with serving(answers((SAMPLES / "70001.json").read_bytes())) as url:
        error = await failure_at(url)
    assert (error.verdict, error.code, error.known) == (Verdict.FATAL, 70001, True)
    assert "take a fresh UserSig and run the same command again" in str(error)


@pytest.mark.parametrize("status", [200, 400, 502])
@pytest.mark.parametrize("form", ["html", "ErrorInfo", "account"])
async def test_echoed_usersig_is_masked(status: int, form: str) -> None:
    """A server that repeats the query in its answer does not bring the UserSig into our words."""

    async def handler(request: web.Request) -> web.Response:
        echo = request.query["usersig"]
        body = {
            "html": echo,
            "ErrorInfo": json.dumps({"ActionStatus": "FAIL", "ErrorCode": 70003, "ErrorInfo": f"bad sig {echo}"}),
            "account": json.dumps(
                {"ActionStatus": "OK", "ErrorCode": 0, "UserAttrs": [{"To_Account": echo, "Attrs": {}}]}
            ),
        }[form]
        return web.Response(body=body.encode(), status=status)

    async with serving(handler) as url:
        error = await failure_at(url)
    assert USERSIG[:20] not in str(error)
    assert ("***" in str(error)) == (status == 200)


def test_repr_keeps_secret() -> None:
    """A client can be shown."""
    shown = repr(client_to("https://console.tim.qq.com"))
    assert USERSIG not in shown
    assert "administrator" in shown


# TLS and settings


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1, and its key, in one file."""
    openssl = tool("openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, cert, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=double", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    both.write_bytes(key.read_bytes() + cert.read_bytes())
    return both


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_private_authority(certificate: Path) -> None:
    """A certificate named by `ca_file` is trusted."""
    async with serving(answers(OK), server_tls(certificate)) as url, client_to(url, ca_file=certificate) as client:
        assert list((await client.fetch(ASKED)).found) == ASKED


async def test_untrusted_certificate(certificate: Path) -> None:
    """A certificate that nobody vouches for ends the run before the UserSig is sent, with the way out."""
    visits = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal visits
        visits += 1
        return web.Response(body=OK)

    async with serving(handler, server_tls(certificate)) as url:
        error = await failure_at(url)
    assert (error.verdict, error.code, visits) == (Verdict.FATAL, None, 0)
    assert "--ca-file" in str(error)
    assert "self-signed certificate" in str(error)


async def test_certificate_of_another_host(certificate: Path) -> None:
    """A trusted certificate of another host does not do."""
    async with serving(answers(OK), server_tls(certificate)) as url:
        error = await failure_at(url.replace("127.0.0.1", "localhost"), ca_file=certificate)
    assert error.verdict is Verdict.FATAL
    assert "Hostname mismatch" in str(error)


async def test_tls_to_a_plain_server() -> None:
    """A port that speaks no TLS is a passing failure, said to be one of TLS."""
    async with raw_serving(no_tls) as place:
        error = await failure_at(f"https://{place}")
    assert (error.verdict, error.code) == (Verdict.RETRY, None)
    assert "TLS handshake failed" in str(error)


async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await writer.drain()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_no_key_log(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SSLKEYLOGFILE does not lay open what is sent."""
    tls = server_tls(certificate)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    async with serving(answers(OK), tls) as url, client_to(url, ca_file=certificate) as client:
        await client.fetch(ASKED)
    assert files_in(tmp_path) == []


def test_ca_file_must_hold_certificates(tmp_path: Path) -> None:
    """A file of certificates that is absent, a folder or something else is named before the first call."""
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    for path, words in ((tmp_path / "absent", "No such file"), (tmp_path, "."), (empty, "no certificate")):
        with pytest.raises(SettingsError, match=words) as caught:
            client_to("https://console.tim.qq.com", ca_file=path)
        assert str(path) in str(caught.value)
        assert caught.value.__context__ is None


def test_base_url_is_checked_first() -> None:
    """Plain http to another machine is refused before anything is sent."""
    with pytest.raises(SettingsError, match="https"):
        client_to("http://console.tim.qq.com")


async def test_closed_client_is_a_bug() -> None:
    """Outside its `async with` a client says how it is used."""
    client = client_to("http://127.0.0.1:9")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="async with"):
            await client.fetch(ASKED)
        async with client:
            pass
