"""One call to the service: it ends in a Reply or in an AttemptError, and no word of either holds the UserSig.

The UserSig travels in the query, and the HTTP library writes whole URLs into its errors. So library errors end here:
ours are made of host, path and a sentence, and raised after the `except` block, where nothing remembers the original.
"""

import errno
import math
import os
import random
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from exporter.api.codes import look_up_status
from exporter.api.regions import base_url_of
from exporter.api.signer import Signer
from exporter.api.wire import Answers, parse_names, query, request_body
from exporter.errors import AttemptError, ExporterError, MachineError, SettingsError, Verdict
from exporter.model import ON_SENT, Reply

ATTRS_PATH = "/v4/all_member_push/im_get_attr"
NAMES_PATH = "/v4/all_member_push/im_get_attr_name"
RANDOM_MAX = 4_294_967_295
RENEWED_ONCE = 2  # attempts: one with the UserSig that was refused, one with a new one

_Answer = TypeVar("_Answer")


class _Failure(NamedTuple):
    """What a library error means; `words` may name {connect_timeout_s} and {timeout_s}."""

    kind: type[Exception]
    verdict: Verdict
    words: str


_CERTIFICATE = (
    "the TLS certificate is not trusted. Check the address and this machine's clock; "
    "if a private authority signed it, name that authority's certificate with --ca-file"
)

# The first row that fits counts, so the narrower kinds stand first.
_FAILURES = (
    _Failure(aiohttp.ClientConnectorCertificateError, Verdict.FATAL, _CERTIFICATE),
    _Failure(aiohttp.ClientConnectorSSLError, Verdict.RETRY, "the TLS handshake failed"),
    _Failure(aiohttp.ClientConnectorDNSError, Verdict.RETRY, "the name of the host could not be resolved"),
    _Failure(aiohttp.ClientConnectorError, Verdict.RETRY, "no connection could be made"),
    _Failure(aiohttp.ConnectionTimeoutError, Verdict.RETRY, "no connection was made within {connect_timeout_s:g} s"),
    _Failure(TimeoutError, Verdict.RETRY, "no complete answer came within {timeout_s:g} s"),
    _Failure(aiohttp.ServerDisconnectedError, Verdict.RETRY, "the connection was closed before an answer"),
    _Failure(aiohttp.ClientPayloadError, Verdict.RETRY, "the answer broke off or could not be unpacked"),
    _Failure(aiohttp.ClientResponseError, Verdict.RETRY, "the answer is not valid HTTP"),
    _Failure(Exception, Verdict.RETRY, "the connection broke"),
)


def _random() -> int:
    return random.randint(0, RANDOM_MAX)  # noqa: S311 - it names the request and keeps no secret


class _Body(aiohttp.BytesPayload):
    """The body of a request; whoever waits is told when it has been written, with its headers, be it after a handshake."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        await super().write_with_length(writer, content_length)
        if on_sent := ON_SENT.get(None):
            on_sent()


@dataclass(kw_only=True)
class Client:
    """The calls of one app. Use as `async with Client(...) as client`.

    `random` gives 0..4294967295. `ca_file` names the certificates (PEM) to trust instead of the system's.
    Raises SettingsError when the base URL or `ca_file` cannot be used.
    """

    base_url: str
    sdkappid: int
    identifier: str
    signer: Signer
    in_flight_max: int
    connect_timeout_s: float = 3.0
    timeout_s: float = 5.0  # the service itself gives up after 3 s
    body_bytes_max: int = 2 * 1024 * 1024
    ca_file: Path | None = None
    random: Callable[[], int] = _random

    def __post_init__(self) -> None:
        self._base = base_url_of(self.base_url)
        self._tls = _tls_context(self.ca_file)
        self._session: aiohttp.ClientSession | None = None
        self._answers = Answers()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.in_flight_max, ssl=self._tls),
            timeout=aiohttp.ClientTimeout(
                total=self.timeout_s,
                connect=self.connect_timeout_s,
                ceil_threshold=math.inf,  # or timeouts of 5 s and more would be rounded up to a whole second
            ),
            headers={"Content-Type": "application/json"},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def fetch(self, accounts: Sequence[str]) -> Reply:
        """Ask once for the attributes of at most 100 different accounts. Raises AttemptError."""
        return await self._ask(ATTRS_PATH, request_body(accounts), lambda answer: self._answers.parse(answer, accounts))

    async def attribute_names(self) -> list[str]:
        """Ask once for the names of the app's attributes, in the order of their numbers. Raises AttemptError."""
        return await self._ask(NAMES_PATH, b"{}", parse_names)

    async def _ask(self, path: str, body: bytes, parse: Callable[[bytes], _Answer]) -> _Answer:
        usersig = self.signer.current()
        answer = await self._post(path, body, usersig)
        # Whatever stands between may echo the query.
        answer = answer.replace(usersig.encode(), b"***")
        try:
            return parse(answer)
        except AttemptError as error:
            refusal = error
        raise self._renewed(refusal, usersig)

    def _renewed(self, refusal: AttemptError, usersig: str) -> AttemptError:
        """The refusal of a stale UserSig is FATAL where the signer has no other, unless the code may pass by itself."""
        if refusal.verdict is not Verdict.RESIGN or self.signer.renew(usersig) or refusal.attempts_max > RENEWED_ONCE:
            return refusal
        message = f"{refusal} There is no key to make another: take a fresh UserSig and run the same command again."
        return AttemptError(message, verdict=Verdict.FATAL, code=refusal.code, known=refusal.known)

    async def _post(self, path: str, body: bytes, usersig: str) -> bytes:
        """The body of an answer with HTTP status 200."""
        if self._session is None:
            raise RuntimeError("Client is not open: use it as `async with Client(...)`")
        secret = query(sdkappid=self.sdkappid, identifier=self.identifier, usersig=usersig, random=self.random())
        url = URL(f"{self._base}{path}?{secret}", encoded=True)
        try:
            async with self._session.post(url, data=_Body(body), allow_redirects=False) as response:
                status = response.status
                answer = await self._body(response) if status == HTTPStatus.OK else b""
        except (aiohttp.ClientError, OSError) as error:
            failure: ExporterError = self._failure(path, error)
        else:
            if status == HTTPStatus.OK and answer is not None:
                return answer
            failure = self._over(path) if answer is None else self._bad_status(path, status)
        raise failure

    async def _body(self, response: aiohttp.ClientResponse) -> bytes | None:
        """The unpacked body, or None when it is over the limit; then the rest stays unread."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self.body_bytes_max:
                response.close()
                return None
        return bytes(body)

    def _failure(self, path: str, error: Exception) -> AttemptError | MachineError:
        inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
        if isinstance(inner, OSError) and inner.errno in {errno.EMFILE, errno.ENFILE}:
            return MachineError("too many open files. Raise the limit (ulimit -n), or lower --in-flight.")
        row = next(row for row in _FAILURES if isinstance(error, row.kind))
        words = row.words.format(connect_timeout_s=self.connect_timeout_s, timeout_s=self.timeout_s)
        return AttemptError(f"{self._place(path)}: {words}{_detail(error)}.", verdict=row.verdict)

    def _bad_status(self, path: str, status: int) -> AttemptError:
        row = look_up_status(status)
        words = f"{self._place(path)}: HTTP status {status}: {row.meaning}. {row.remedy}"
        return AttemptError(words.strip(), verdict=row.verdict, attempts_max=row.attempts_max)

    def _over(self, path: str) -> AttemptError:
        size = f"{self.body_bytes_max / 2**20:g} MiB"
        return AttemptError(f"{self._place(path)}: the answer is over {size}.", verdict=Verdict.SPLIT)

    def _place(self, path: str) -> str:
        return self._base.partition("://")[2] + path


def _detail(error: Exception) -> str:
    """What the operating system or TLS calls it, in brackets: texts that know nothing of the request."""
    inner = getattr(error, "certificate_error", error)
    if isinstance(inner, ssl.SSLCertVerificationError):
        return f" ({inner.verify_message.rstrip('.')})"
    # TLS and name resolution number their errors in ways of their own.
    errno = 0 if isinstance(error, ssl.SSLError) else getattr(error, "errno", None) or 0
    return f" ({os.strerror(errno)})" if errno > 0 else ""


def _tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Verify certificate and host name. Not `ssl.create_default_context`: that writes keys where SSLKEYLOGFILE says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cafile=ca_file)
    except OSError as error:
        problem = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror
    else:
        return context
    raise SettingsError(f"--ca-file {ca_file} cannot be used: {problem}.")
