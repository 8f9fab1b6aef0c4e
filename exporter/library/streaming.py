"""A stream as the caller holds it: an iterator over record batches, sync and async, whose work is done in the background."""

import asyncio
import time
import weakref
from collections import Counter, deque
from collections.abc import AsyncIterable, Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from exporter.api.client import Client
from exporter.app.judging import excess
from exporter.app.service import make_client
from exporter.app.stream import StreamJob
from exporter.app.stream import stream as work
from exporter.errors import InputError, TooManyRejects
from exporter.library.background import Work
from exporter.library.handover import Handover
from exporter.library.passing import Carried, carried_past
from exporter.library.pulling import Pulled
from exporter.library.result import Reject, Totals
from exporter.library.telling import covered, tell, warn
from exporter.model import ANSWERS
from exporter.output.blocks import Block
from exporter.progress import Progress
from exporter.redaction import hide
from exporter.settings import Settings
from exporter.source import chunks_of, refuse_no_ids

if TYPE_CHECKING:
    Given = Iterable[str | None] | AsyncIterable[str | None] | pa.Array[Any] | pa.ChunkedArray[Any]


@dataclass(slots=True)
class _Counts:
    input: int = 0
    rows: int = 0
    duplicates: int = 0
    blank: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    bad_values: Counter[str] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, block: Block) -> None:
        self.input += block.input
        self.rows += block.rows
        self.duplicates += block.duplicates
        self.blank += block.blank
        self.reasons.update(reject["reason"] for reject in block.rejects)
        self.bad_values.update(block.bad_values)
        self.ignored.update(block.ignored)


class Stream:
    """The rows of many accounts as record batches of one schema: `for batch in stream`, or `async for`; made by `stream()`.

    Use it as a context manager where it may be left before its end: that cancels what is still asked. It begins with the
    first batch (or the schema) that is asked for. An interrupt or an error ends it; what it raised, it raises again.
    """

    def __init__(self, ids: "Given", settings: Settings, on_reject: Callable[[Reject], object] | None) -> None:
        refuse_no_ids(ids)
        client = make_client(settings, hide=hide)
        self._settings = settings
        self._on_reject = on_reject
        self._pulled = Pulled(ids) if isinstance(ids, AsyncIterable) else None
        self._ready: deque[pa.RecordBatch] = deque()
        self._counts = _Counts()
        self._begun = self._told = False
        self._schema: Future[pa.Schema] = Future()
        self._handover: Handover[Block] = Handover()
        make = partial(_asked, self._pulled or ids, settings, client, self._schema, self._handover)
        # Nothing of it is half done when the process ends, and so it does not keep it from ending.
        self._work = Work(make, daemon=True)
        self._work.ended.add_done_callback(partial(_ended, self._schema, self._handover))
        # For those who leave a loop early and never look back; what is cancelled knows nothing of this object.
        weakref.finalize(self, _stop, self._work, self._pulled)

    @property
    def schema(self) -> pa.Schema:
        """The schema of all batches; waits for the attribute names where the settings do not name them."""
        self._begin()
        return self._schema.result()

    @property
    def totals(self) -> Totals:
        """What became of the ids, as far as the batches were read."""
        counts = self._counts
        return Totals(
            input=counts.input,
            rows=counts.rows,
            rejects=counts.reasons.total(),
            rejects_by_reason=dict(sorted(counts.reasons.items())),
            duplicates=counts.duplicates,
            blank=counts.blank,
            bad_values=dict(sorted(counts.bad_values.items())),
            ignored_attributes=dict(sorted(counts.ignored.items())),
        )

    def reader(self) -> pa.RecordBatchReader:
        """Give the batches as an Arrow reader, which other libraries read from as it is."""
        return pa.RecordBatchReader.from_batches(self.schema, self)

    def close(self) -> None:
        """Cancel what is still asked, and wait until its thread and its connections are gone."""
        _stop(self._work, self._pulled)
        self._work.join()

    async def aclose(self) -> None:
        """Do as `close` does, without blocking the event loop."""
        _stop(self._work, self._pulled)
        if self._begun:
            await asyncio.gather(asyncio.wrap_future(self._work.ended), return_exceptions=True)
            self._work.join()  # which has nothing left to do

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> pa.RecordBatch:
        if self._pulled:
            raise InputError("the ids are an async iterable: read the stream with `async for`.")
        self._begin()
        try:
            while not self._ready and (block := self._handover.ask().result()):
                self._take(block)
            if not self._ready:
                self._finish()
        except BaseException:
            self.close()
            raise
        if not self._ready:
            raise StopIteration
        return self._ready.popleft()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> pa.RecordBatch:
        self._begin()
        try:
            while not self._ready and (block := await asyncio.wrap_future(self._handover.ask())):
                self._take(block)
            if not self._ready:
                self._finish()
        except BaseException:
            await self.aclose()
            raise
        if not self._ready:
            raise StopAsyncIteration
        return self._ready.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def _begin(self) -> None:
        if self._begun:
            return
        if self._pulled:
            self._pulled.loop = asyncio.get_running_loop()
        self._begun = True
        self._work.start()

    def _take(self, block: Block) -> None:
        self._counts.add(block)
        if self._on_reject:
            for found in block.rejects:
                self._on_reject(Reject(**{name: found[name] for name in _REJECT}))
        self._ready.extend(block.batches)

    def _finish(self) -> None:
        """Say at the end what there is to say of the whole."""
        counts = self._counts
        if counts.ignored and not self._told:
            told = ", ".join(f"{name} ({number:,})" for name, number in sorted(counts.ignored.items()))
            warn(f"attributes without a column, and the accounts that have them: {told}.")
        self._told = True
        failures = sum(number for reason, number in counts.reasons.items() if reason not in ANSWERS)
        if sentence := excess(failures, counts.input, self._settings, where="on_reject hears of each of them and why"):
            raise TooManyRejects(sentence, totals=self.totals)


_REJECT = tuple(item.name for item in fields(Reject))


async def _asked(
    ids: Any, settings: Settings, client: Client, schema: Future[pa.Schema], handover: Handover[Block]
) -> None:
    job = StreamJob(
        chunks=carried_past(chunks_of(ids)),
        settings=settings,
        progress=Progress(time.monotonic),
        client=client,
        give_schema=schema.set_result,
        hand_over=handover.give,
        tell=tell,
    )
    with covered():
        await work(job)


def _ended(schema: Future[pa.Schema], handover: Handover[Block], ended: Future[None]) -> None:
    error = ended.exception()
    if isinstance(error, asyncio.CancelledError):
        error = RuntimeError("this stream was closed before its end")
    if isinstance(error, Carried):
        error = error.error
    if not schema.done():
        schema.set_exception(error or RuntimeError("this stream has no schema"))
    handover.end(error)


def _stop(work: Work[None], pulled: Pulled | None) -> None:
    if pulled:
        pulled.stop()
    work.cancel()
