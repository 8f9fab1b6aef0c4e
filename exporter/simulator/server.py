"""The double on the wire: one HTTP server that checks, counts, answers and misbehaves as its Config says.

Order of events for a request: counted, outage, quota, query, body, fault, poison, answer, latency. HTTP status is 200
for whatever the service itself would say, as the public documents promise.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, fields, replace
from typing import Any, NamedTuple

import orjson
from aiohttp import web

from exporter.simulator import answers, checks
from exporter.simulator.breakage import BREAKS, Scene, json_response
from exporter.simulator.config import Config
from exporter.simulator.facts import Facts
from exporter.simulator.faults import Poison, draw, hits, latency_s
from exporter.simulator.quota import Quota

__all__ = ["GET_ATTR", "GET_NAMES", "Config", "Service", "changed", "serve"]

GET_ATTR = "/v4/all_member_push/im_get_attr"
GET_NAMES = "/v4/all_member_push/im_get_attr_name"
FIXED = frozenset({"host", "port", "track_accounts"})
SHUTDOWN_S_MAX = 2.0

FREQUENCY, NO_SUCH_PATH, BAD_HTTP, EMPTY_BODY, BAD_JSON, TOO_LONG = 60007, 60009, 60002, 60003, 90001, 93000

_BODY_CHECKS = {GET_ATTR: checks.accounts_code, GET_NAMES: checks.names_code}


class Outcome(NamedTuple):
    """What to send: a document, or the same document broken by a kind of `BREAKS`; and the shapes it went through."""

    document: answers.Document
    broken_by: str = ""
    faults: tuple[str, ...] = ()

    @property
    def code(self) -> int | None:
        """The ErrorCode that the client can read, None when it can read nothing."""
        return None if self.broken_by else int(self.document["ErrorCode"])


async def serve(config: Config, on_ready: Callable[[int], None]) -> None:
    """Serve until cancelled; `on_ready(port)` is called once, when the server listens.

    Raises OSError when the address cannot be had.
    """
    service = Service(config)
    server = web.Server(service.handle, handler_cancellation=True, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S_MAX)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        on_ready(runner.addresses[0][1])
        await service.closing.wait()
    finally:
        service.closing.set()
        await runner.cleanup()


class Service:
    """One simulated app: its settings, which /control may replace, and what it has seen."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.facts = Facts()
        self.closing = asyncio.Event()
        self.quotas = {path: Quota(config.rate) for path in _BODY_CHECKS}
        self.started = asyncio.get_running_loop().time()
        self.expired_at: int | None = None
        self.apply(config)

    def apply(self, config: Config) -> None:
        """Go on with these settings; counters and quotas keep what they hold."""
        if config.expire_at_request != self.config.expire_at_request:
            self.expired_at = None
        self.config = config
        self.world = config.world()
        self.outages = config.windows()
        self.poison = Poison(config.poison)
        for quota in self.quotas.values():
            quota.rate, quota.count_refused = config.rate, config.count_refused

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one HTTP request, whatever its path."""
        if request.path in _BODY_CHECKS:
            return await self._command(request)
        if (request.method, request.path) == ("POST", "/control"):
            return self._control(await request.read())
        view = _VIEWS.get(request.path) if request.method == "GET" else None
        if view:
            return json_response(orjson.dumps(view(self)))
        self.facts.elsewhere += 1
        return json_response(orjson.dumps(answers.refusal(NO_SUCH_PATH)))

    async def _command(self, request: web.BaseRequest) -> web.StreamResponse:
        arrived = asyncio.get_running_loop().time()
        number = self.facts.start(time.time())
        try:
            outcome = await self._decide(request, number, arrived)
            self.facts.outcome(outcome.code, outcome.faults)
            await self._pause(latency_s(self.config.latency_ms, self.config.seed, number))
            return await self._send(request, outcome)
        finally:
            self.facts.in_flight -= 1

    async def _decide(self, request: web.BaseRequest, number: int, arrived: float) -> Outcome:
        for outage in self.outages:
            if outage.covers(number, arrived - self.started):
                faults = (f"outage:{outage.kind}",)
                self._remember(number, [], faults)
                return Outcome({}, outage.kind, faults)
        if not self.quotas[request.path].admit(arrived):
            self.facts.refused += 1
            return Outcome(answers.refusal(FREQUENCY))
        code = BAD_HTTP if request.method != "POST" else self._query_code(request, number)
        if code:
            return Outcome(answers.refusal(code))
        document, code = await _read(request)
        code = code or _BODY_CHECKS[request.path](document, self.config.batch_max)
        if code:
            return Outcome(answers.refusal(code))
        return self._answer(document.get("To_Account") if request.path == GET_ATTR else None, number)

    def _query_code(self, request: web.BaseRequest, number: int) -> int:
        now = time.time()
        if self.expired_at is None and 0 < self.config.expire_at_request <= number:
            self.expired_at = int(now)
        newer_than = -1 if self.expired_at is None else self.expired_at
        return checks.query_code(request.query, self.config, now=now, newer_than=newer_than)

    def _answer(self, accounts: list[str] | None, number: int) -> Outcome:
        kinds = hits(self.config.faults, self.config.seed, number)
        self._remember(number, accounts or [], kinds)
        ending = next((kind for kind in kinds if kind.partition(":")[0] not in answers.SHAPES), "")
        if ending.startswith("code:"):
            return Outcome(answers.refusal(int(ending[5:])), faults=(ending,))
        document = answers.names() if accounts is None else self._attributes(accounts, number)
        if ending:
            return Outcome(document, ending, (ending,))
        pick = int(draw(self.config.seed, number, "pick") * (1 << 32)) if kinds else 0
        return Outcome(document, faults=tuple(answers.shape(document, kinds, pick)))

    def _attributes(self, accounts: list[str], number: int) -> answers.Document:
        if self.poison.spoils(accounts):
            return answers.refusal(self.config.poison_code)
        turn = number if self.config.shuffle else 0
        return answers.attributes(accounts, self.world, unknown_as=self.config.unknown_as, turn=turn)

    def _remember(self, number: int, accounts: list[str], kinds: tuple[str, ...]) -> None:
        self.facts.accounts_asked += len(accounts)
        if self.config.track_accounts:
            self.facts.accounts.update(accounts)
        under_way = self.facts.in_flight
        self.facts.log.append(
            {"number": number, "at": self.facts.last_at, "ids": len(accounts), "faults": kinds, "in_flight": under_way}
        )

    async def _send(self, request: web.BaseRequest, outcome: Outcome) -> web.StreamResponse:
        body = orjson.dumps(outcome.document)
        if not outcome.broken_by:
            return json_response(body)
        name, _, parameter = outcome.broken_by.partition(":")
        redirect_to, hang_s_max = self.config.redirect_to, self.config.hang_s_max
        return await BREAKS[name](Scene(request, body, self._pause, parameter, redirect_to, hang_s_max))

    async def _pause(self, seconds: float) -> None:
        if seconds:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.closing.wait(), seconds)

    def _control(self, body: bytes) -> web.StreamResponse:
        try:
            self.apply(changed(self.config, orjson.loads(body)))
        except (ValueError, TypeError) as error:
            return web.Response(status=400, body=orjson.dumps({"error": str(error)}), content_type="application/json")
        return json_response(orjson.dumps(self.settings()))

    def settings(self) -> dict[str, Any]:
        """The settings in force, without the key."""
        return {name: value for name, value in asdict(self.config).items() if name != "secret_key"}

    def stats(self) -> dict[str, Any]:
        """The facts, and the most starts of one command in any rolling second."""
        return self.facts.as_json() | {"worst_second": max(quota.starts.worst for quota in self.quotas.values())}


_VIEWS: dict[str, Callable[[Service], Any]] = {
    "/stats": Service.stats,
    "/control": Service.settings,
    "/accounts": lambda service: service.facts.accounts,
    "/log": lambda service: list(service.facts.log),
}


def changed(config: Config, changes: object) -> Config:
    """The settings with some replaced, by their names in Config. Raises ValueError with a sentence."""
    open_names = {entry.name for entry in fields(config)} - FIXED
    if not isinstance(changes, dict) or not changes.keys() <= open_names:
        raise ValueError(f"/control takes a JSON object with some of these settings: {', '.join(sorted(open_names))}.")
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()
    }
    for name, value in plain.items():
        wanted = type(getattr(config, name))
        if type(value) is not wanted and (wanted, type(value)) != (float, int):
            raise ValueError(f"{name} is of type {wanted.__name__}, not {type(value).__name__}.")
    return replace(config, **plain)


async def _read(request: web.BaseRequest) -> tuple[Any, int]:
    try:
        body = await request.read()
        return (orjson.loads(body), 0) if body else (None, EMPTY_BODY)
    except web.HTTPRequestEntityTooLarge:
        return None, TOO_LONG
    except orjson.JSONDecodeError:
        return None, BAD_JSON
