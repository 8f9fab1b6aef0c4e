import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from exporter.simulator.breakage import BOMB_BYTES, gzip_bomb
from exporter.simulator.faults import hits
from exporter.simulator.people import ATTRIBUTE_NAMES, World, attributes_of, generate_ids
from exporter.simulator.server import GET_NAMES, Config, serve

Start = Callable[..., Awaitable[Any]]
IDS = list(generate_ids(100))


async def until(sim: Any, holds: Callable[[dict[str, int]], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds(await sim.get("/stats")):
            pass


async def test_a_batch_is_answered_with_what_the_world_says(start: Start) -> None:
    """Every asked account is in exactly one of UserAttrs and ErrorList, in another order than asked."""
    sim = await start(unknown_share=0.1)
    answer = await sim.ask(IDS)
    found = {
        account: attrs for account in IDS if (attrs := attributes_of(account, World(unknown_share=0.1))) is not None
    }
    assert (answer["ActionStatus"], answer["ErrorCode"]) == ("OK", 0)
    assert {entry["To_Account"]: entry["Attrs"] for entry in answer["UserAttrs"]} == found
    assert {entry["To_Account"] for entry in answer["ErrorList"]} == set(IDS) - set(found)
    assert [entry["To_Account"] for entry in answer["UserAttrs"]] != [account for account in IDS if account in found]


async def test_the_attribute_names_are_told(start: Start) -> None:
    """im_get_attr_name answers the ten names under their numbers."""
    sim = await start()
    answer = await sim.answer({}, GET_NAMES)
    assert tuple(answer["AttrNames"].values()) == ATTRIBUTE_NAMES


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"sdkappid": None}, 60012),
        ({"sdkappid": "1400000001"}, 70014),
        ({"identifier": "somebody"}, 70013),
        ({"usersig": None}, 70002),
        ({"usersig": "x*-_"}, 70003),
        ({"random": "4294967296"}, 60025),
        ({"contenttype": "xml"}, 60025),
    ],
)
async def test_a_wrong_query_is_refused_in_the_body(start: Start, query: dict[str, str | None], code: int) -> None:
    """HTTP status is 200 all the same."""
    sim = await start()
    answer = await sim.answer({"To_Account": ["a"]}, **query)
    assert (answer["ActionStatus"], answer["ErrorCode"]) == ("FAIL", code)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", 60003),
        (b"{", 90001),
        (b'{"To_Account":["\xff"]}', 90001),
        (b"[]", 90001),
        (b"{}", 90003),
        (b'{"To_Account":[1]}', 60015),
        (b" " * (1 << 21), 93000),
    ],
)
async def test_a_wrong_body_is_refused_in_the_body(start: Start, body: bytes, code: int) -> None:
    """Whatever is sent, the answer is JSON with a code."""
    sim = await start()
    assert (await sim.answer(body))["ErrorCode"] == code


async def test_other_paths_and_methods_have_their_codes(start: Start) -> None:
    """60009 for a path, 60002 for a method, both with HTTP 200; a stray path is counted."""
    sim = await start()
    assert (await sim.answer({}, "/v4/all_member_push/im_get_attrs"))["ErrorCode"] == 60009
    assert (await sim.get("/v4/all_member_push/im_get_attr"))["ErrorCode"] == 60002
    assert (await sim.get("/stats"))["elsewhere"] == 1


async def test_batch_max_can_be_lowered(start: Start) -> None:
    """One account more than the limit is 90018."""
    sim = await start(batch_max=2)
    assert [(await sim.ask(IDS[:count]))["ErrorCode"] for count in (2, 3)] == [0, 90018]


async def test_the_quota_refuses_with_60007_and_each_command_has_its_own(start: Start) -> None:
    """Five calls at once against a rate of three; the other command is not affected."""
    sim = await start(rate=3)
    answers = await asyncio.gather(*(sim.ask(["a"]) for _ in range(5)), *(sim.answer({}, GET_NAMES) for _ in range(3)))
    assert sorted(answer["ErrorCode"] for answer in answers) == [0] * 6 + [60007] * 2
    stats = await sim.get("/stats")
    assert (stats["requests"], stats["answered"], stats["refused"], stats["worst_second"]) == (8, 6, 2, 5)
    assert stats["codes"] == {"60007": 2}


@pytest.mark.parametrize(("unknown_as", "code"), [("absent", 0), ("error_list", 0), ("whole_call", 70107)])
async def test_unknown_accounts_show_as_configured(start: Start, unknown_as: str, code: int) -> None:
    """Absent, listed, or the whole call."""
    sim = await start(unknown_share=1, unknown_as=unknown_as)
    answer = await sim.ask(["a", "b"])
    assert answer["ErrorCode"] == code
    assert ("ErrorList" in answer) is (unknown_as == "error_list")


async def test_poison_fails_every_request_that_holds_it(start: Start) -> None:
    """An id and a beginning, with the chosen code; alone or among others."""
    sim = await start(poison=["bad", "evil*"], poison_code=90012)
    codes = [(await sim.ask(accounts))["ErrorCode"] for accounts in (["bad"], ["a", "evil1"], ["a", "b"])]
    assert codes == [90012, 90012, 0]


@pytest.mark.parametrize("status", [502, 503, 429])
async def test_any_http_status_can_be_had(start: Start, status: int) -> None:
    """A page of HTML with that status."""
    sim = await start(faults={f"http:{status}": 1, "http502": float(status == 502)})
    async with sim.post({"To_Account": ["a"]}) as response:
        assert response.status == status
        assert (await response.text()).startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("kind", "start_of_body"),
    [
        ("html", b"<!DOCTYPE html>"),
        ("empty", b""),
        ("deep", b'{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"UserAttrs":[[['),
    ],
)
async def test_a_body_that_is_no_answer_comes_with_status_200(start: Start, kind: str, start_of_body: bytes) -> None:
    """HTML, nothing, and JSON too deep to read."""
    sim = await start(faults={kind: 1})
    async with sim.post({"To_Account": ["a"]}) as response:
        body = await response.read()
    assert response.status == 200
    assert body.startswith(start_of_body)
    assert bool(body) is bool(start_of_body)


async def test_a_cut_document_is_half_of_the_right_one(start: Start) -> None:
    """Whole HTTP, half the JSON."""
    sim = await start(faults={"cut_json": 1}, shuffle=False)
    async with sim.post({"To_Account": IDS}) as response:
        half = await response.read()
    await sim.control(faults={})
    async with sim.post({"To_Account": IDS}) as response:
        whole = await response.read()
    assert half == whole[: len(whole) // 2]


async def test_a_huge_answer_is_right_and_over_two_mebibytes(start: Start) -> None:
    """A client that takes it gets every account; a careful one stops reading."""
    sim = await start(faults={"huge": 1}, unknown_share=0)
    async with sim.post({"To_Account": IDS}) as response:
        body = await response.read()
    assert len(body) > 2 * 1024 * 1024
    assert len(json.loads(body)["UserAttrs"]) == 100


async def test_a_bomb_is_small_on_the_wire_and_200_mebibytes_unpacked(start: Start) -> None:
    """Content-Encoding says gzip, and nothing else warns."""
    sim = await start(faults={"gzip_bomb": 1})
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        sim.session, kept = session, sim.session
        async with sim.post({"To_Account": ["a"]}) as response:
            body = await response.read()
        sim.session = kept
    assert response.headers["Content-Encoding"] == "gzip"
    assert len(body) < 1024 * 1024
    assert body == gzip_bomb()
    assert BOMB_BYTES < len(gzip.decompress(body)) < BOMB_BYTES + 100


async def test_a_redirect_leads_elsewhere_and_following_it_is_seen(start: Start) -> None:
    """302 with a Location; the counter tells who follows."""
    sim = await start(faults={"redirect": 1})
    async with sim.post({"To_Account": ["a"]}) as response:
        assert (response.status, response.headers["Location"]) == (302, "/redirected")
    await sim.get(response.headers["Location"])
    assert (await sim.get("/stats"))["elsewhere"] == 1
    await sim.control(redirect_to="http://127.0.0.2:9/x")
    async with sim.post({"To_Account": ["a"]}) as response:
        assert response.headers["Location"] == "http://127.0.0.2:9/x"


async def test_a_reset_comes_in_the_middle_of_the_answer(start: Start) -> None:
    """The status line arrives, the body does not, and the kernel says reset."""
    sim = await start(faults={"reset": 1})
    with pytest.raises(aiohttp.ClientError) as caught:
        async with sim.post({"To_Account": IDS}) as response:
            await response.read()
    assert any(
        "reset" in str(error).lower() for error in (caught.value, caught.value.__cause__, caught.value.__context__)
    )


async def test_a_cut_body_ends_before_its_length(start: Start) -> None:
    """An orderly end of the connection, with less than Content-Length promised."""
    sim = await start(faults={"cut": 1})
    with pytest.raises(aiohttp.ClientPayloadError, match="ContentLengthError"):
        async with sim.post({"To_Account": IDS}) as response:
            await response.read()


async def test_a_hang_is_cut_off_at_its_limit(start: Start) -> None:
    """No byte of an answer; the connection is dropped in the end."""
    sim = await start(faults={"hang": 1}, hang_s_max=0.05)
    with pytest.raises(aiohttp.ClientError):
        await sim.ask(["a"])


async def test_a_client_that_leaves_a_hanging_request_is_let_go(start: Start) -> None:
    """The request is no longer in flight once its connection is gone."""
    sim = await start(faults={"hang": 1})
    call = asyncio.create_task(sim.ask(["a"]))
    await until(sim, lambda stats: stats["in_flight"] == 1)
    call.cancel()
    await until(sim, lambda stats: stats["in_flight"] == 0)


@pytest.mark.parametrize("kind", ["missing", "duplicate", "conflict", "stranger", "error_list:91000"])
async def test_shapes_reach_the_wire_and_are_counted(start: Start, kind: str) -> None:
    """One entry more or less than the 100 asked for."""
    sim = await start(faults={kind: 1}, unknown_share=0)
    answer = await sim.ask(IDS)
    assert len(answer["UserAttrs"]) in {99, 101}
    assert (await sim.get("/stats"))["faults"] == {kind: 1}


async def test_no_user_attrs_reaches_the_wire(start: Start) -> None:
    """OK, and nothing to read."""
    sim = await start(faults={"no_user_attrs": 1})
    assert await sim.ask(["a"]) == {"ActionStatus": "OK", "ErrorInfo": "", "ErrorCode": 0}


async def test_the_requests_that_fail_are_those_of_the_plan(start: Start) -> None:
    """Request number k meets what the seed says for k, and the counters agree."""
    faults = {"code:91000": 0.3}
    sim = await start(faults=faults, seed=7)
    codes = [(await sim.ask(["a"]))["ErrorCode"] for _ in range(40)]
    assert codes == [91000 if hits(faults, 7, number) else 0 for number in range(1, 41)]
    stats = await sim.get("/stats")
    assert stats["faults"] == {"code:91000": codes.count(91000)}
    assert stats["codes"] == {"91000": codes.count(91000)}


async def test_an_outage_covers_its_requests_alone(start: Start) -> None:
    """Requests 2 and 3 meet the gateway's page, 4 is refused a connection, 5 is answered."""
    sim = await start(outages=["http502:requests=2-3", "refuse:requests=4-4"])
    statuses = []
    for _ in range(5):
        try:
            async with sim.post({"To_Account": ["a"]}) as response:
                statuses.append(response.status)
        except aiohttp.ClientError:
            statuses.append(0)
    assert statuses == [200, 502, 502, 0, 200]
    assert (await sim.get("/stats"))["faults"] == {"outage:http502": 2, "outage:refuse": 1}


async def test_an_outage_by_seconds_can_begin_and_end_by_control(start: Start) -> None:
    """Everything fails in the window, and nothing after it was taken back."""
    sim = await start()
    await sim.control(outages=["http502:seconds=0-100000"])
    async with sim.post({"To_Account": ["a"]}) as response:
        assert response.status == 502
    await sim.control(outages=[])
    assert (await sim.ask(["a"]))["ErrorCode"] == 0


async def test_a_signature_expires_at_a_request_and_a_later_one_is_taken(
    start: Start, sign: Callable[..., str]
) -> None:
    """From request 3 on 70001, until the UserSig is of a later second."""
    sim = await start(expire_at_request=3)
    assert [(await sim.ask(["a"]))["ErrorCode"] for _ in range(4)] == [0, 0, 70001, 70001]
    sim.query["usersig"] = sign(at=int(time.time()) + 2)
    assert (await sim.ask(["a"]))["ErrorCode"] == 0


async def test_every_request_is_counted_once(start: Start) -> None:
    """Answered, refused with a code or broken: the three add up, whatever happens; ids and times are told."""
    sim = await start(faults={"html": 0.3, "code:91000": 0.3, "missing": 0.3}, rate=30, track_accounts=True)

    async def call() -> None:
        async with sim.post({"To_Account": ["a", "b"]}) as response:
            await response.read()

    await asyncio.gather(*(call() for _ in range(40)))
    stats = await sim.get("/stats")
    assert stats["requests"] == 40 == stats["answered"] + sum(stats["codes"].values()) + stats["broken"]
    assert min(stats["answered"], stats["broken"], stats["codes"]["91000"], stats["refused"]) > 0
    assert stats["accounts_asked"] == 2 * (40 - stats["refused"])
    assert await sim.get("/accounts") == {"a": stats["accounts_max"], "b": stats["accounts_max"]}
    assert stats["in_flight"] == 0 < stats["in_flight_max"] <= 40
    assert stats["first_at"] <= stats["last_at"] <= time.time()
    log = await sim.get("/log")
    assert len(log) == 40 - stats["refused"]
    assert max(line["in_flight"] for line in log) <= stats["in_flight_max"]


async def test_settings_change_in_mid_run_and_the_key_stays_hidden(start: Start) -> None:
    """The rate is replaced, a wrong name is refused with 400, and no secret is answered."""
    sim = await start(rate=1)
    status, settings = await sim.control(rate=2, faults={"html": 0})
    assert (status, settings["rate"], settings["faults"]) == (200, 2, {"html": 0})
    assert (await sim.control(speed=1))[0] == 400
    assert [(await sim.ask(["a"]))["ErrorCode"] for _ in range(3)] == [0, 0, 60007]
    assert "secret_key" not in await sim.get("/control")


async def test_nothing_that_can_be_read_holds_the_signature(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    """No query string in /log, /stats, /control or on the terminal."""
    sim = await start(faults={"reset": 0.3}, unknown_share=0)
    for _ in range(5):
        try:
            await sim.ask(["a"])
        except aiohttp.ClientError:
            continue
    told = json.dumps([await sim.get(path) for path in ("/log", "/stats", "/control", "/accounts")])
    output = capfd.readouterr()
    assert sim.query["usersig"] not in told + output.out + output.err


@pytest.mark.parametrize("settings", [{}, {"faults": {"hang": 1}}, {"latency_ms": (60_000.0, 60_000.0)}])
async def test_a_stop_leaves_no_task_behind(settings: dict[str, Any], start: Start) -> None:
    """Cancelled with requests in flight, the server ends the waits: late answers are sent, hanging requests dropped."""
    before = asyncio.all_tasks()
    sim = await start(**settings)
    calls = [asyncio.create_task(sim.ask(["a"])) for _ in range(3)]
    await until(sim, lambda stats: stats["requests"] == 3)
    sim.task.cancel()
    await asyncio.wait([sim.task])
    ends = await asyncio.gather(*calls, return_exceptions=True)
    await sim.session.close()
    assert sim.task.cancelled()
    assert [isinstance(end, aiohttp.ClientError) for end in ends] == ["faults" in settings] * 3
    assert asyncio.all_tasks() == before
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", sim.port)


async def test_a_port_in_use_is_an_error_at_once(start: Start) -> None:
    """serve() does not announce a port that it does not have."""
    sim = await start()
    with pytest.raises(OSError, match="address already in use"):
        await serve(Config(port=sim.port), lambda port: pytest.fail(f"port {port} was announced"))
