"""How the service is asked, by a run and by a stream alike: the order of the wrappers around a call is the policy."""

import asyncio
import math
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from exporter.api.client import Client
from exporter.api.regions import base_url_of
from exporter.batching import BATCH_ACCOUNTS_MAX, Shard
from exporter.errors import ServiceRefusal
from exporter.limiter import QUOTAS, RATE_UNLIMITED, Limiter, limited
from exporter.model import Batch, Fetch, Reply
from exporter.pipeline import DRAIN_S_MAX, WAITING_MAX, KnownCheck, Sink, carry_all, in_turn
from exporter.progress import Progress, counted
from exporter.retry import Apart, Breaker, Gate, Patience, Policy, held, hold, leading, patient, retrying
from exporter.settings import Settings

LINE_S = 0.05  # of tokens that the batches in line wait for; a repeated attempt stands behind no more
UNREACHABLE_S_MAX = 30.0  # before the first answer of a run


class Asking:
    """All calls of one job: behind one limiter, and counted by one progress. `tell` hears of outages, in sentences.

    Whatever jobs of this process ask the same app, one after the other or side by side, share its quota.
    """

    def __init__(self, settings: Settings, progress: Progress, tell: Callable[[str], None]) -> None:
        self._settings, self._progress, self._tell = settings, progress, tell
        host = base_url_of(settings.address).lower()  # however the caller wrote it
        share = QUOTAS.join((host, settings.sdkappid), settings.rate)
        self.limiter = Limiter(share, on_slow_down=progress.slowed)
        if settings.rate < RATE_UNLIMITED:
            progress.rate = settings.rate
        progress.pace = self.limiter.pace
        self._stopping = False

    def layered(self, call: Fetch, *, known: Sequence[str] = (), suspects: bool = False) -> Fetch:
        """Wrap a call in all that stands between a batch and the service.

        `known` are accounts that an earlier start had an answer for: they tell a service out of reach from a batch at
        fault. `suspects` says that any account may be one at fault.
        """
        settings, progress = self._settings, self._progress
        clock = asyncio.get_running_loop().time
        outage_s_max = settings.outage_max * 60
        breaker = self._breaker = Breaker(outage_s_max, known=known)
        # Outermost first: a retry is a new attempt, every attempt pays one token, and in an outage probes alone go out.
        only_probes = hold(breaker)

        def check() -> None:
            if self._stopping:
                raise asyncio.CancelledError  # whoever waits to be sent is not
            only_probes()

        asked = counted(patient(call, Patience(), clock), progress, clock)
        paced = limited(held(in_turn(asked), check), self.limiter, check)
        first_alone = leading(
            paced,
            clock=clock,
            unreachable_s_max=min(UNREACHABLE_S_MAX, outage_s_max),
            known=known,
            on_retry=progress.retried,
        )
        gate = Gate(
            first_alone,
            breaker,
            clock,
            random.random,
            on_retry=progress.retried,
            tell=self._tell,
            on_open=progress.paused,
            on_close=progress.resumed,
        )
        policy = Policy(slow_s_max=outage_s_max)
        return retrying(
            first_alone, policy, gate, jitter=random.random, apart=Apart(suspects), on_retry=progress.retried
        )

    async def carry(  # noqa: PLR0913 - the joint of all parts
        self,
        events: AsyncGenerator[Batch | Shard, None],
        fetch: Fetch,
        sink: Sink,
        *,
        check: KnownCheck | None,
        shards_ahead: int = 0,
        drain_s_max: float = DRAIN_S_MAX,
    ) -> None:
        """Carry all batches to the sink, by a `layered` fetch; closes the events.

        `shards_ahead` more shards than are in flight may be open. Raises what `carry_all` raises.
        """
        settings = self._settings

        def replied(batch: Batch, reply: Reply) -> None:
            self._progress.settle(reply)
            if check:
                check.reply(batch, reply)

        async with aclosing(events):
            await carry_all(
                events,
                fetch,
                sink,
                in_flight_max=settings.in_flight,
                waiting_max=max(WAITING_MAX, math.ceil(settings.rate * LINE_S)),
                # What is in flight, and what completes before it; stragglers are put aside.
                shards_open_max=1
                + math.ceil(settings.in_flight * BATCH_ACCOUNTS_MAX / settings.shard_rows)
                + shards_ahead,
                on_batch=check.start if check else lambda _batch: None,
                on_reply=replied,
                is_hopeless=lambda: self._breaker.is_open,
                on_stop=self._stop,
                drain_s_max=drain_s_max,
            )

    def _stop(self) -> None:
        self._stopping = True


async def attribute_names(client: Client, layered: Callable[[Fetch], Fetch]) -> list[str]:
    """Ask once for the app's attribute names, under the same policy as everything else: as if one account had them.

    Raises ServiceRefusal.
    """

    async def call(accounts: Sequence[str]) -> Reply:
        return Reply(found={name: dict.fromkeys(await client.attribute_names()) for name in accounts})

    reply = await layered(call)(["the app"])
    if reply.rejected:
        raise ServiceRefusal(f"the service did not tell its attribute names: {reply.rejected['the app'].message}")
    return list(reply.found["the app"])
