"""A service for benchmarks: it answers many times faster than it is asked, so that it is never the bottleneck.

The double of the package checks everything and answers 2,000 requests a second. This one checks nothing but the quota,
puts answers together from attributes that are ready as bytes, and speaks just enough HTTP. `benchmarks/cpu.py` shows what
it can: the rate at which the bare loop is answered. Delays on the way are real: the quota sees a request after them.

    python -m rig.service --port 0              prints its address, serves until it is killed
    POST /weather {"rate": 50, …}               see Weather; begins the counting of /facts anew
    POST /change  {"rate": 50, …}               the same, and goes on counting
    GET  /facts                                 what it has seen since
"""

import argparse
import asyncio
import random
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

NAMES = ("sex", "city", "level", "score", "vip", "seen", "nick", "rank", "Membership level", "会员等级")
CITIES = ("New York", "Shenzhen", "深圳", "上海", "São Paulo", "Zürich", "Москва", "東京", "Hà Nội", "Silicon Valley")
KINDS = 4_096
"""So many different people there are; who an account is follows from its name."""


@dataclass(frozen=True)
class Weather:
    """What the service and the way to it are like.

    rate             requests accepted in any rolling second, 0 for no limit
    count_refused    whether a refused request uses the quota up as well
    way_ms           (from, to): how long a request is on its way before the quota sees it
    answer_ms        (from, to): how long the answer takes after that
    again_share      share of requests answered with 91000
    hang_share       share of requests never answered
    straggler        the request of this number (from 1) takes straggler_s
    poison           accounts for which no request is ever answered
    """

    rate: int = 0
    count_refused: bool = False
    way_ms: tuple[float, float] = (0.0, 0.0)
    answer_ms: tuple[float, float] = (0.0, 0.0)
    again_share: float = 0.0
    hang_share: float = 0.0
    straggler: int = 0
    straggler_s: float = 0.0
    poison: tuple[str, ...] = ()


@dataclass(slots=True)
class Facts:
    """What was seen: times are seconds of the service's monotonic clock, `accepted_at` those of accepted requests."""

    requests: int = 0
    refused: int = 0
    again: int = 0
    hung: int = 0
    worst_second: int = 0
    in_flight_most: int = 0
    connections: int = 0
    seen_at: list[float] = field(default_factory=list)
    accepted_at: list[float] = field(default_factory=list)


def people() -> list[bytes]:
    """Ready attributes of KINDS different people, as JSON."""
    chance = random.Random(1)
    return [orjson.dumps(dict(zip(NAMES, _values(chance), strict=True))) for _ in range(KINDS)]


def _values(chance: random.Random) -> tuple[str, ...]:
    rank = chance.randrange(4)
    day, second = chance.randrange(1, 29), chance.randrange(60)
    return (
        chance.choice(("Female", "Male", "unknown")),
        chance.choice(CITIES),
        str(chance.randrange(64)),
        f"{chance.randrange(9_000) / 100:.2f}",
        "true" if rank == 3 else "false",
        f"2026-{chance.randrange(1, 13):02d}-{day:02d}T{chance.randrange(24):02d}:{chance.randrange(60):02d}:{second:02d}Z",
        f"{chance.choice(('fox', '小红', 'Anna', 'ゆき'))} {chance.randrange(1_000_000)}",
        ("普通会员", "银牌会员", "金牌会员", "钻石会员")[rank],
        ("Basic", "Silver", "Gold", "Platinum plus")[rank],
        str(rank),
    )


class Service:
    """The state that all connections share."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.people = people()
        self.window: deque[float] = deque()
        self.second: deque[float] = deque()
        self.chance = random.Random(2)
        self.in_flight = 0
        self.begin(Weather())

    def begin(self, weather: Weather) -> None:
        """Go on with this weather, and count anew; the quota remembers what it saw."""
        self.weather, self.facts = weather, Facts()

    def answer(self, body: bytes) -> bytes | None:
        """Answer a request that has arrived; None: never."""
        weather, facts, now = self.weather, self.facts, self.loop.time()
        facts.requests += 1
        facts.seen_at.append(now)
        self._count_second(now)
        if not self._admit(now):
            facts.refused += 1
            return _refusal(60007, "request frequency exceeded")
        facts.accepted_at.append(now)
        draw = self.chance.random()
        if draw < weather.again_share:
            facts.again += 1
            return _refusal(91000, "internal service error")
        accounts = orjson.loads(body)["To_Account"]
        if draw > 1 - weather.hang_share or not set(weather.poison).isdisjoint(accounts):
            facts.hung += 1
            return None
        return self.found(accounts)

    def found(self, accounts: list[str]) -> bytes:
        """The answer in which all of the accounts are known."""
        attrs = self.people
        users = [b'{"To_Account":%b,"Attrs":%b}' % (orjson.dumps(name), attrs[hash(name) % KINDS]) for name in accounts]
        return b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"UserAttrs":[%b]}' % b",".join(users)

    def _admit(self, now: float) -> bool:
        window, weather = self.window, self.weather
        while window and now - window[0] >= 1.0:
            window.popleft()
        accepted = weather.rate == 0 or len(window) < weather.rate
        if weather.rate and (accepted or weather.count_refused):
            window.append(now)
        return accepted

    def _count_second(self, now: float) -> None:
        self.second.append(now)
        while now - self.second[0] >= 1.0:
            self.second.popleft()
        self.facts.worst_second = max(self.facts.worst_second, len(self.second))


def _refusal(code: int, info: str) -> bytes:
    return orjson.dumps({"ActionStatus": "FAIL", "ErrorInfo": info, "ErrorCode": code})


class Connection(asyncio.Protocol):
    """One connection, one request after the other."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - the library's call
        self.transport: Any = transport
        self.service.facts.connections += 1

    def data_received(self, data: bytes) -> None:  # noqa: D102 - the library's call
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self.buffer[:end])
        size = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
        if len(self.buffer) < end + 4 + size:
            return
        body = bytes(self.buffer[end + 4 : end + 4 + size])
        del self.buffer[: end + 4 + size]
        view = head.split(b" ", 2)[1]
        if view.startswith(b"/v4/"):
            self._asked(body)
        elif view in {b"/weather", b"/change"}:
            weather = Weather(**{k: tuple(v) if isinstance(v, list) else v for k, v in orjson.loads(body).items()})
            if view == b"/change":
                self.service.weather = weather
            else:
                self.service.begin(weather)
            self._send(b"{}")
        else:
            self._send(orjson.dumps(asdict(self.service.facts)))

    def _asked(self, body: bytes) -> None:
        service, weather = self.service, self.service.weather
        service.in_flight += 1
        service.facts.in_flight_most = max(service.facts.in_flight_most, service.in_flight)
        self._later(weather.way_ms, lambda: self._arrived(body))

    def _arrived(self, body: bytes) -> None:
        weather, answer = self.service.weather, self.service.answer(body)
        if answer is None:
            self.service.in_flight -= 1
            return
        straggles = self.service.facts.requests == weather.straggler
        delay_ms = weather.answer_ms if not straggles else (weather.straggler_s * 1000,) * 2
        self._later(delay_ms, lambda: self._answered(answer))

    def _answered(self, answer: bytes) -> None:
        self.service.in_flight -= 1
        self._send(answer)

    def _later(self, span_ms: tuple[float, float], call: Callable[[], None]) -> None:
        if span_ms[1]:
            self.service.loop.call_later(self.service.chance.uniform(*span_ms) / 1000, call)
        else:
            call()

    def _send(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.transport.write(head + body)


async def serve(port: int) -> None:
    """Serve until killed."""
    service = Service()
    server = await service.loop.create_server(lambda: Connection(service), "127.0.0.1", port, backlog=1_024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(parser.parse_args().port))
