"""A stream against the double: the rows of an export, in order, one schema, bounded, and nothing left of it."""

import asyncio
import concurrent.futures
import contextlib
import gc
import importlib
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Unpack, assert_type

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import exporter
from exporter import Reject, Stream, stream
from exporter.app.stream import BLOCKS_AHEAD
from exporter.library.options import StreamOptions
from tests.conftest import CALM, CANARY, Double, Exporting, assert_no_secret, environment

IDS = [f"user_{number:05d}" for number in range(1500)]
ANY = "100%"


def service(double: Double, **more: Unpack[StreamOptions]) -> StreamOptions:
    """How to reach the double, as keywords, and other settings."""
    here = StreamOptions(base_url=double.address, sdkappid=1400000000, identifier="administrator", secret_key=CANARY)
    return {**here, "rate": 1e6, **more}


def rows_of(batches: Stream) -> list[dict[str, object]]:
    return [row for batch in batches for row in batch.to_pylist()]


def until(true: Callable[[], bool]) -> None:
    """Wait until something holds that will."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, threading.enumerate()
        time.sleep(0.01)


def until_calm(threads: int) -> None:
    """Wait until no more threads are left than there were; one that only read ids may still be ending."""
    until(lambda: threading.active_count() <= threads)


def sockets() -> int:
    found = 0
    for link in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(FileNotFoundError):  # what the list itself was read through
            found += str(link.readlink()).startswith("socket:")
    return found


TEXTS = st.one_of(
    st.integers(0, 60).map(lambda number: f"user_{number:05d}"),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=12),
    st.sampled_from(["", " a", "a ", "张小红", 'q"q', ",", "x" * 33, "é" * 17, "bell\x07", None, None]),
)
FAULTS = st.dictionaries(
    st.sampled_from(
        ["code:91000", "code:60007", "http502", "reset", "cut_json", "html", "reorder", "duplicate", "stranger",
         "error_list:91000", "wrong_types"]
    ),
    st.sampled_from([0.05, 0.2]),
    max_size=3,
)  # fmt: skip


@given(st.data())
@settings(
    max_examples=25,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_it_hands_out_what_an_export_writes(exporting: Exporting, data: st.DataObject) -> None:
    """Rows, rejects and counts of a stream are those of an export of the same ids, whatever the faults on the way."""
    ids = data.draw(st.lists(TEXTS, min_size=1, max_size=60))
    ids += data.draw(st.lists(st.sampled_from(ids), max_size=10))
    rows = data.draw(st.sampled_from([1, 7, 25, 1000]))
    keep = data.draw(st.booleans())
    wanted = service(
        exporting.double,
        duplicates="keep" if keep else "drop",
        types=data.draw(st.sampled_from([{}, {"level": "int64", "vip": "bool", "city": "float64"}])),
        attributes=data.draw(st.sampled_from(["auto", "city,level,nobody", ["sex"]])),
        max_missing=1.0,
        max_rejects=ANY,
    )
    path = exporting.folder / f"{time.monotonic_ns()}.csv"
    lines = ["" if text is None else '"' + text.replace('"', '""') + '"' for text in ["account_id", *ids]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    exporting.double.control(**CALM)
    # A run drops what stands again in another shard as well: of one shard the two are the same.
    written = exporting.run(path, shard_rows=1000, **wanted)

    exporting.double.control(**{**CALM, "faults": data.draw(FAULTS), "seed": data.draw(st.integers(1, 1000))})
    rejected: list[Reject] = []
    batches = stream(iter(ids), on_reject=rejected.append, **StreamOptions({**wanted, "shard_rows": rows}))
    found = rows_of(batches)
    totals, made = batches.totals, written.manifest
    assert (totals.input, totals.blank) == (made["input"], made["blank"])
    assert totals.input == totals.rows + totals.rejects + totals.duplicates + totals.blank
    assert (totals.rows, totals.rejects) == (len(found), len(rejected))
    assert totals.rejects_by_reason == {
        reason: sum(each.reason == reason for each in rejected) for reason in sorted({each.reason for each in rejected})
    }
    assert [each.row_number for each in rejected] == sorted(each.row_number for each in rejected)
    assert all(ids[each.row_number - 1] == each.account_id for each in rejected)
    of_rejects = [
        (row["account_id"], row["reason"], row["code"], row["message"], row["row_number"]) for row in written.rejects
    ]
    if rows == 1000:
        assert totals.duplicates == made["duplicates"]
        assert (totals.bad_values, totals.ignored_attributes) == (made["bad_values"], made["ignored_attributes"])
        assert found == written.rows
        assert [tuple(getattr(each, name) for name in Reject.__slots__) for each in rejected] == of_rejects
    elif keep:
        assert found == written.rows
    else:  # of what stands again in another block the first is the one
        first: dict[object, object] = {}
        for row in found:
            first.setdefault(row["account_id"], row)
        assert list(first.values()) == written.rows
    assert batches.schema.names == ([*written.rows[0]] if written.rows else batches.schema.names)


@pytest.mark.parametrize("rows", [7, 100, 10_000])
def test_batches_have_one_schema_and_stand_in_order(double: Double, rows: int) -> None:
    """Whatever came back first: with latencies all over the place the rows are in the order of the ids."""
    double.control(latency_ms=[0.0, 60.0], unknown_share=0.0)
    batches = stream(IDS, **service(double, shard_rows=rows, types={"level": "int64"}))
    assert_type(batches, Stream)
    schema = batches.schema
    found = list(batches)
    assert {batch.schema for batch in found} == {schema}
    assert schema.field("account_id") == pa.field("account_id", pa.string(), nullable=False)
    assert schema.field("level").type == pa.int64()
    assert schema.names == ["account_id", *sorted(schema.names[1:])]
    assert [name for batch in found for name in batch.column("account_id").to_pylist()] == IDS
    assert [batch.num_rows for batch in found[:-1]] == [rows] * (
        len(IDS) // rows if len(IDS) % rows else len(IDS) // rows - 1
    )
    assert list(batches) == []


def test_any_way_to_give_the_ids_gives_the_same(double: Double) -> None:
    """A list, a generator, Arrow arrays of any kind of text, a column of pandas."""
    wanted = service(double, shard_rows=400)
    table = stream(IDS, **wanted).reader().read_all()
    assert table.num_rows > 1400
    array = pa.array(IDS)
    chunked = pa.chunked_array([array.slice(0, 700), array.slice(700)])
    ways = [iter(IDS), (name for name in IDS), array, chunked, array.cast(pa.large_string()), array.dictionary_encode()]
    pandas: Any = importlib.import_module("pandas")  # which has no types
    for ids in [*ways, pandas.Series(IDS)]:
        assert stream(ids, **wanted).reader().read_all() == table


def test_a_column_of_pandas_may_have_gaps(double: Double) -> None:
    """However pandas writes nothing; a whole table is refused, instead of asking for the names of its columns."""
    pandas: Any = importlib.import_module("pandas")  # which has no types
    names = ["user_00001", None, "user_00002"]
    for kind in ("object", "string", "category"):
        batches = stream(pandas.Series(names, dtype=kind), **service(double))
        assert [row["account_id"] for row in rows_of(batches)] == [names[0], names[2]]
        assert batches.totals.blank == 1
    tables: list[Any] = [pandas.DataFrame({"account_id": names}), pa.table({"account_id": names})]
    for table in tables:
        with pytest.raises(exporter.InputError, match=r"with columns: give the one .* such as ids\['account_id'\]"):
            stream(table, **service(double))


async def test_it_is_read_in_a_running_loop_as_well(double: Double) -> None:
    """By `async for`, from ids that come asynchronously too, which only that can read; and by `for`."""
    wanted = service(double, shard_rows=400)
    expected = rows_of(stream(IDS, **wanted))

    async def numbers() -> AsyncIterator[str]:
        for name in IDS:
            await asyncio.sleep(0)
            yield name

    for ids in (IDS, numbers()):
        async with stream(ids, **wanted) as batches:
            assert [row async for batch in batches for row in batch.to_pylist()] == expected
    with stream(numbers(), **wanted) as batches, pytest.raises(exporter.InputError, match="async for"):
        next(batches)


def test_nothing_stands_for_a_blank_line_and_bad_text_for_a_reject(double: Double) -> None:
    """None and pandas' NaN are blank; what is no id, or no UTF-8, is a reject with its place; all are counted."""
    told: list[Reject] = []
    ids = ["user_00001", None, float("nan"), "\udcff", "", "x" * 33, "user_00001", "user_00002"]
    double.control(unknown_share=0.0)
    batches = stream(ids, on_reject=told.append, **service(double, max_rejects=3))  # type: ignore[arg-type] # the NaN
    assert [row["account_id"] for row in rows_of(batches)] == ["user_00001", "user_00002"]
    assert [(each.row_number, each.reason, each.message) for each in told] == [
        (4, "invalid_id", "not UTF-8"),
        (5, "invalid_id", "empty"),
        (6, "invalid_id", "33 bytes; an account id has at most 32"),
    ]
    totals = batches.totals
    assert (totals.input, totals.rows, totals.rejects, totals.duplicates, totals.blank) == (8, 2, 3, 1, 2)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        ("user_1", "the ids are one text"),
        (5, "of type int, which yields nothing"),
        (pa.array([1, 2]), "an array of int64, not of texts"),
        (["user_1", 17], "id 2 is of type int, not a text"),
        ([b"user_1"], "id 1 is of type bytes, not a text"),
    ],
)
def test_ids_are_texts_and_never_made_so(double: Double, ids: list[str], words: str) -> None:
    """What else is given is refused, by its place."""
    with pytest.raises(exporter.InputError, match=words):
        list(stream(ids, **service(double)))


def test_too_many_rejects_come_at_the_very_end(double: Double) -> None:
    """Every row was handed out before; an answer is no failure, and what is allowed is none either."""
    double.control(poison=IDS[:3])
    found: list[pa.RecordBatch] = []
    batches = stream(IDS, **service(double, shard_rows=100, max_rejects=2))
    with pytest.raises(exporter.TooManyRejects, match="3 accounts failed and --max-rejects allows 2: on_re") as failed:
        found.extend(batches)
    assert failed.value.totals == batches.totals
    assert failed.value.export is None
    assert sum(batch.num_rows for batch in found) + batches.totals.rejects == 1500
    assert batches.totals.rejects_by_reason["refused"] == 3
    assert len(rows_of(stream(IDS, **service(double, max_rejects=3)))) == batches.totals.rows


def test_nothing_the_service_said_is_dropped_uncounted(double: Double, caplog: pytest.LogCaptureFixture) -> None:
    """Attributes without a column and values of another type are counted, and the former warned about at the end."""
    batches = stream(IDS[:100], **service(double, attributes=["city", "level"], types={"city": "int64"}))
    with caplog.at_level(logging.WARNING, "exporter"):
        found = rows_of(batches)
    assert {row["city"] for row in found} == {None}
    assert batches.totals.bad_values["city"] > 50
    assert batches.totals.ignored_attributes["score"] > 50
    assert "score (" in caplog.text
    assert_no_secret(caplog.text.encode(), "the log")


def test_who_does_not_read_on_is_not_asked_for(double: Double) -> None:
    """An endless source, one batch taken: the asking stops some blocks ahead, and stays so while others work on."""
    double.control(unknown_share=0.0, latency_ms=[1.0, 1.0])
    given = 0

    def endless() -> Iterator[str]:
        nonlocal given
        while True:
            yield f"user_{given:09d}"
            given += 1

    wanted = service(double, shard_rows=200, in_flight=4)
    ahead = (
        1 + 4 * 100 // 200 + BLOCKS_AHEAD
    )  # blocks that may be open; beside them one is begun, and a piece is read ahead
    before = double.stats()["accounts_asked"]
    with stream(endless(), **wanted) as batches:
        first = next(batches)
        assert first.num_rows == 200
        until(lambda: double.stats()["accounts_asked"] - before >= ahead * 200)
        done = len(rows_of(stream(IDS, **service(double, in_flight=1))))  # a while, by the clock of the double
        assert done == 1500
        assert double.stats()["accounts_asked"] - before - 1500 <= (ahead + 1) * 200
        assert given <= (ahead + 2) * 200 + 3 * 1000
        second = next(batches)
        assert second.column("account_id")[0].as_py() == "user_000000200"


def test_a_stream_that_is_left_early_leaves_nothing(double: Double) -> None:
    """Closed, left by an error, or just dropped: no thread, no socket, no further question."""
    double.control(latency_ms=[20.0, 20.0])
    calm, open_sockets = threading.active_count(), sockets()
    wanted = service(double, shard_rows=100, in_flight=4)
    with stream(iter(IDS), **wanted) as batches:
        next(batches)
        assert threading.active_count() > calm
        assert sockets() > open_sockets
    assert sockets() == open_sockets
    with pytest.raises(RuntimeError, match="closed before its end"):
        next(batches)
    with pytest.raises(ZeroDivisionError), stream(iter(IDS), **wanted) as batches:
        raise ZeroDivisionError
    for _ in stream(iter(IDS), **wanted):
        break
    gc.collect()
    until_calm(calm)
    assert sockets() == open_sockets
    asked = double.stats()["accounts_asked"]
    assert len(rows_of(stream(IDS[:1], **wanted))) == 1
    assert double.stats()["accounts_asked"] == asked + 1


async def test_a_cancelled_reader_leaves_nothing(double: Double, caplog: pytest.LogCaptureFixture) -> None:
    """`async for` under a timeout: the stream is closed, and whoever reads on is told so."""
    double.control(faults={"hang": 1.0})
    calm, open_sockets = threading.active_count(), sockets()
    batches = stream(IDS, **service(double, attributes="city", timeout_s=60, outage_max=0.5))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await anext(batches)
    until_calm(calm)
    assert sockets() == open_sockets
    with pytest.raises(RuntimeError, match="closed before its end"):
        await anext(batches)
    async with stream(IDS, **service(double, attributes="city", timeout_s=60, outage_max=0.5)) as batches:
        asyncio.get_running_loop().call_later(0.1, asyncio.create_task, batches.aclose())
        with pytest.raises(RuntimeError, match="closed before its end"):
            await anext(batches)
    del batches
    gc.collect()
    assert caplog.text == ""  # the loop would complain of an exception that nobody looked at


def test_what_others_raise_ends_it(double: Double) -> None:
    """The caller's ids and the caller's own function: their error comes out as it is, and nothing is left."""
    calm = threading.active_count()

    def broken() -> Iterator[str]:
        yield from IDS[:300]
        raise ZeroDivisionError("the database is gone")

    batches = stream(broken(), **service(double, shard_rows=100))
    with pytest.raises(ZeroDivisionError, match="the database is gone"):
        list(batches)
    with pytest.raises(ZeroDivisionError, match="the database is gone"):
        next(batches)

    def fail(reject: Reject) -> None:
        raise KeyError(reject.account_id)

    batches = stream(["x" * 33, *IDS], on_reject=fail, **service(double))
    with pytest.raises(KeyError, match="x" * 33):
        next(batches)
    until_calm(calm)


@pytest.mark.parametrize("rows", [0, 300, 1000, 1300])
@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), concurrent.futures.CancelledError(), SystemExit(3), KeyboardInterrupt()]
)
def test_ids_that_are_cut_off_are_not_complete(
    double: Double, caplog: pytest.LogCaptureFixture, rows: int, error: BaseException
) -> None:
    """What an event loop would take for a sign to itself comes out as any other error, wherever a block ends."""
    calm = threading.active_count()

    def broken() -> Iterator[str]:
        yield from IDS[:rows]
        raise error

    batches = stream(broken(), **service(double, shard_rows=100))
    with pytest.raises(type(error)):
        list(batches)
    until_calm(calm)
    del batches
    gc.collect()
    assert caplog.text == ""


async def test_async_ids_that_are_cut_off_are_not_complete(double: Double) -> None:
    """A cancelled task that they waited for is no end of them."""

    async def broken() -> AsyncIterator[str]:
        for name in IDS[:300]:
            yield name
        gone = asyncio.ensure_future(asyncio.sleep(60))
        gone.cancel()
        await gone

    with pytest.raises(asyncio.CancelledError):
        async for _ in stream(broken(), **service(double, shard_rows=100)):
            pass


def test_each_way_to_fail_has_its_class(double: Double) -> None:
    """Wrong settings at once, a refusal with the first batch or schema, a service out of reach in its time."""
    with pytest.raises(exporter.SettingsError, match="there is no setting 'column'"):
        stream(IDS, column="id", **service(double))  # type: ignore[call-arg] # a stream reads no files
    with pytest.raises(exporter.SettingsError, match="--sdkappid and --identifier must be given"):
        stream(IDS, base_url=double.address, secret_key=CANARY)
    wrong = service(double, secret_key="some-other-key")
    before = double.stats()["requests"]
    batches = stream(IDS, **wrong)
    for read in (lambda: batches.schema, lambda: next(batches)):
        with pytest.raises(exporter.ServiceRefusal) as refusal:
            read()
        assert refusal.value.code
    assert double.stats()["requests"] == before + 1
    with pytest.raises(exporter.ServiceRefusal):
        list(stream(IDS, **service(double, secret_key="some-other-key", attributes="city")))
    with pytest.raises(exporter.ServiceUnreachable, match="no connection could be made"):
        list(stream(IDS, **service(double, base_url="http://127.0.0.1:9", outage_max=0.005)))
    double.control(unknown_share=1.0)
    with pytest.raises(exporter.ServiceRefusal, match="the service knows 0 of 1,000 accounts"):
        list(stream(IDS, **service(double)))
    with pytest.raises(exporter.ServiceRefusal, match="the service knows 0 of 2 accounts"):
        list(stream(IDS[:2], **service(double, max_missing=0.5)))


def test_an_outage_in_mid_stream_changes_nothing(double: Double, caplog: pytest.LogCaptureFixture) -> None:
    """It waits, and goes on where it was."""
    calm = rows_of(stream(IDS, **service(double, shard_rows=100)))
    requests = double.stats()["requests"]
    double.control(outages=[f"http502:requests={requests + 5}-{requests + 1_000_000}"])

    def back(record: logging.LogRecord) -> bool:
        if record.getMessage().startswith("Paused"):
            double.control(outages=[])
        return True

    caplog.set_level(logging.INFO, "exporter")
    logging.getLogger("exporter").addFilter(back)
    try:
        assert rows_of(stream(IDS, **service(double, shard_rows=100))) == calm
    finally:
        logging.getLogger("exporter").removeFilter(back)
        double.control(outages=[])


def test_streams_one_after_the_other_keep_the_quota_together(make_double: Callable[..., Double]) -> None:
    """Each is short of the rate of a second: all of them together are refused nothing."""
    double = make_double("--rate", "20")
    wanted = service(double, rate=20, attributes="city")
    for first in range(0, 4_500, 1_500):
        ids = [f"user_{number:05d}" for number in range(first, first + 1_500)]
        assert stream(ids, **wanted).reader().read_all().num_rows > 1400
    stats = double.stats()
    assert (stats["requests"], stats["refused"]) == (45, 0)


PROGRAM = """
import os, signal, sys, threading
import exporter
before = signal.getsignal(signal.SIGINT)
ids = (f"user_{number:09d}" for number in range(10**9 if sys.argv[1] == "read" else 300))
batches = exporter.stream(ids, shard_rows=100, rate=1e6, attributes="city")
print(next(batches).num_rows > 90, os.listdir("."), os.listdir(os.environ["TMPDIR"]), flush=True)
if sys.argv[1] == "read":
    try:
        for batch in batches:
            pass
    except KeyboardInterrupt:
        print(threading.active_count(), signal.getsignal(signal.SIGINT) is before)
else:
    sys.stdin.read()
"""


@pytest.mark.parametrize("way", ["read", "leave"])
def test_the_process_ends_when_it_wants_to(double: Double, tmp_path: Path, way: str) -> None:
    """Left open, with all it may hold, it keeps no process from ending; an interrupt closes it; and nothing was written."""
    app = {"EXPORTER_SDKAPPID": "1400000000", "EXPORTER_IDENTIFIER": "administrator"}
    (tmp_path / "tmp").mkdir()
    (tmp_path / "cwd").mkdir()
    answered = double.stats()["answered"]
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, way],
        env=environment(EXPORTER_BASE_URL=double.address, TMPDIR=str(tmp_path / "tmp"), **app),
        cwd=tmp_path / "cwd",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == "True [] []\n"
        if way == "read":
            process.send_signal(signal.SIGINT)
        else:
            until(lambda: double.stats()["answered"] >= answered + 3)  # now it waits for its reader alone
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (out, err, process.returncode) == ("1 True\n" if way == "read" else "", "", 0)


def test_another_library_reads_it_as_it_is(double: Double, tmp_path: Path) -> None:
    """A reader of record batches: Arrow's writer takes it without a row in between."""
    batches = stream(IDS, **service(double, shard_rows=400))
    reader = batches.reader()
    with pq.ParquetWriter(tmp_path / "all.parquet", reader.schema) as writer:
        for batch in reader:
            writer.write_batch(batch)
    assert pq.read_table(tmp_path / "all.parquet").num_rows == batches.totals.rows > 1400
