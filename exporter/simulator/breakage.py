"""The ways in which HTTP itself goes wrong: each takes the right answer's bytes and sends something else."""

import asyncio
import socket
import struct
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache

from aiohttp import web

HUGE_BYTES = 3 * 1024 * 1024
BOMB_BYTES = 200 * 1024 * 1024
DEEP_LEVELS = 100_000

_PAGE = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><hr>nginx/1.7.10</body></html>"
_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """One request that goes wrong: what would have been the answer, and what the kind's parameter says.

    `pause(seconds)` waits, and returns sooner when the server stops.
    """

    request: web.BaseRequest
    body: bytes
    pause: Callable[[float], Awaitable[None]]
    parameter: str = ""
    redirect_to: str = ""
    hang_s_max: float = 0.0


Break = Callable[[Scene], Awaitable[web.StreamResponse]]


def json_response(body: bytes) -> web.Response:
    """HTTP 200 with a body of JSON."""
    return web.Response(body=body, content_type="application/json")


async def _status(scene: Scene) -> web.StreamResponse:
    status = int(scene.parameter or 502)
    return web.Response(status=status, text=_PAGE.format(f"{status} from the gateway"), content_type="text/html")


async def _redirect(scene: Scene) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": scene.redirect_to or "/redirected"})


async def _refuse(scene: Scene) -> web.StreamResponse:
    transport = scene.request.transport
    if transport is not None:
        # Without lingering the kernel answers with RST instead of an orderly end.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        transport.abort()
    return web.Response()


async def _reset(scene: Scene) -> web.StreamResponse:
    response = await _half(scene)
    await _refuse(scene)
    return response


async def _cut(scene: Scene) -> web.StreamResponse:
    response = await _half(scene)
    response.force_close()
    return response


async def _hang(scene: Scene) -> web.StreamResponse:
    await scene.pause(scene.hang_s_max)
    return await _refuse(scene)


async def _cut_json(scene: Scene) -> web.StreamResponse:
    return json_response(scene.body[: len(scene.body) // 2])


async def _html(_: Scene) -> web.StreamResponse:
    return web.Response(text=_PAGE.format("Please sign in to this network"), content_type="text/html")


async def _empty(_: Scene) -> web.StreamResponse:
    return json_response(b"")


async def _huge(scene: Scene) -> web.StreamResponse:
    return json_response(scene.body[:-1] + b',"Padding":"' + b"x" * HUGE_BYTES + b'"}')


async def _gzip_bomb(_: Scene) -> web.StreamResponse:
    body = await asyncio.to_thread(gzip_bomb)
    return web.Response(body=body, content_type="application/json", headers={"Content-Encoding": "gzip"})


async def _deep(_: Scene) -> web.StreamResponse:
    head = b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"UserAttrs":'
    return json_response(head + b"[" * DEEP_LEVELS + b"]" * DEEP_LEVELS + b"}")


async def _half(scene: Scene) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(scene.body)
    await response.prepare(scene.request)
    await response.write(scene.body[: len(scene.body) // 2])
    return response


@cache
def gzip_bomb() -> bytes:
    """A valid JSON answer of 200 MiB, in about 200 kB of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    blanks = b" " * (1 << 20)
    parts = [packer.compress(b'{"ActionStatus":"OK","ErrorCode":0,"UserAttrs":[')]
    parts += [packer.compress(blanks) for _ in range(BOMB_BYTES // len(blanks))]
    parts += [packer.compress(b"]}"), packer.flush()]
    return b"".join(parts)


BREAKS: Mapping[str, Break] = {
    "http502": _status,
    "http": _status,
    "redirect": _redirect,
    "refuse": _refuse,
    "reset": _reset,
    "hang": _hang,
    "cut": _cut,
    "cut_json": _cut_json,
    "html": _html,
    "empty": _empty,
    "huge": _huge,
    "gzip_bomb": _gzip_bomb,
    "deep": _deep,
}
"""Every kind that ends a request but `code`, which is still an answer; `refuse` comes with outages alone."""
