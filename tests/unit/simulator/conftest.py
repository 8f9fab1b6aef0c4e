"""A simulator inside the test's own event loop, and a signer that shares nothing with the one under test."""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from exporter.simulator.server import GET_ATTR, Config, serve

Sign = Callable[..., str]


@pytest.fixture
def sign() -> Sign:
    def make(config: Config | None = None, *, at: int | None = None, expire: int = 86400, **other: Any) -> str:
        app = {"sdkappid": 1400000000, "identifier": "administrator", "key": "simulated-secret-key"}
        if config:
            app = {"sdkappid": config.sdkappid, "identifier": config.identifier, "key": config.secret_key}
        app |= other
        now = int(time.time()) if at is None else at
        content = (
            f"TLS.identifier:{app['identifier']}\nTLS.sdkappid:{app['sdkappid']}\nTLS.time:{now}\nTLS.expire:{expire}\n"
        )
        digest = hmac.new(str(app["key"]).encode(), content.encode(), hashlib.sha256).digest()
        document = {
            "TLS.ver": "2.0",
            "TLS.identifier": app["identifier"],
            "TLS.sdkappid": app["sdkappid"],
            "TLS.expire": expire,
            "TLS.time": now,
            "TLS.sig": base64.b64encode(digest).decode(),
        }
        packed = base64.b64encode(zlib.compress(json.dumps(document).encode()))
        return packed.decode().translate(str.maketrans("+/=", "*-_"))

    return make


@dataclass
class Sim:
    """One running simulator and a client session to speak to it."""

    port: int
    session: aiohttp.ClientSession
    query: dict[str, str]
    task: "asyncio.Task[None]"

    def url(self, path: str = GET_ATTR) -> str:
        """The address of a path, without a query."""
        return f"http://127.0.0.1:{self.port}{path}"

    def post(self, body: object, path: str = GET_ATTR, **query: str | None) -> Any:
        """One call with a good query; a parameter given as None is left out."""
        params = {name: value for name, value in (self.query | query).items() if value is not None}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.session.post(self.url(path), params=params, data=io.BytesIO(data), allow_redirects=False)

    async def answer(self, body: object, path: str = GET_ATTR, **query: str | None) -> Any:
        """The document that one call is answered with, at HTTP status 200."""
        async with self.post(body, path, **query) as response:
            assert response.status == 200
            return json.loads(await response.read())

    async def ask(self, accounts: Sequence[object]) -> Any:
        """The answer about these accounts."""
        return await self.answer({"To_Account": list(accounts)})

    async def get(self, path: str) -> Any:
        """The document at one of the views."""
        async with self.session.get(self.url(path)) as response:
            return json.loads(await response.read())

    async def control(self, **settings: object) -> tuple[int, Any]:
        """Change settings in mid-run: HTTP status and document."""
        async with self.session.post(self.url("/control"), json=settings) as response:
            return response.status, await response.json()


Start = Callable[..., Awaitable[Sim]]


@pytest.fixture
async def start(sign: Sign) -> AsyncIterator[Start]:
    sims: list[Sim] = []

    async def make(**settings: Any) -> Sim:
        config = Config(**settings)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(serve(config, ready.set_result))
        port = await ready
        query = {
            "sdkappid": str(config.sdkappid),
            "identifier": config.identifier,
            "usersig": sign(config),
            "random": "4294967295",
            "contenttype": "json",
        }
        sims.append(Sim(port, aiohttp.ClientSession(), query, task))
        return sims[-1]

    yield make
    for sim in sims:
        await sim.session.close()
        sim.task.cancel()
        with suppress(asyncio.CancelledError):
            await sim.task
