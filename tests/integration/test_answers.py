"""The client against the double over real HTTP: every malformed answer, every fault, every code of the table."""

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from exporter.api.codes import CODES
from exporter.errors import ServiceRefusal, Verdict
from exporter.output.manifest import Manifest
from exporter.progress import Progress
from exporter.simulator.faults import hits
from tests.conftest import Exporting, write_ids

IDS = [f"user_{number:05d}" for number in range(450)]

# Faults that must leave no trace: the answer is asked for again, or read right as it is.
HARMLESS = [
    "http502",
    "http:503",
    "http:408",
    "redirect",
    "reset",
    "cut",
    "cut_json",
    "html",
    "empty",
    "huge",
    "gzip_bomb",
    "deep",
    "duplicate",
    "conflict",
    "stranger",
    "reorder",
    "wrong_types:error_code",
    "wrong_types:user_attrs",
    "wrong_types:account",
    "wrong_types:attrs",
    "wrong_types:item",
    "null_user_attrs",
    "no_user_attrs",
    "error_list:91000",
]


OVERLONG = {"huge", "gzip_bomb"}


@pytest.mark.parametrize("fault", HARMLESS)
def test_a_fault_in_half_of_all_answers_changes_nothing(exporting: Exporting, fault: str) -> None:
    """Whatever half of the answers look like (of overlong ones a fifth), the export is the one of a calm service, and no account is given up."""
    rows = 4000 if fault in OVERLONG else 1500  # so many that none of them meets it once in 10,000 times
    ids = write_ids(exporting.folder / "ids.csv", [f"user_{number:05d}" for number in range(rows)])
    calm = exporting.run(ids)
    # What is too long is halved at once: an account alone would meet eight of them in a row every tenth time.
    exporting.double.control(faults={fault: 0.2 if fault in OVERLONG else 0.5})
    before = exporting.double.stats()["faults"].get(fault, 0)
    rough = exporting.run(ids)
    assert rough.rows == calm.rows
    assert rough.rejects == calm.rejects
    assert exporting.double.stats()["faults"][fault] > before


def test_a_service_that_hangs_is_asked_again(exporting: Exporting) -> None:
    """An answer that never comes costs one timeout, not the account."""
    seed = seed_of_one_fault("hang", 0.15, exporting.double.stats()["requests"])
    exporting.double.control(faults={"hang": 0.15}, seed=seed)
    made = exporting.run(IDS[:200], timeout_s=0.3)
    assert made.manifest["rejects_by_reason"].keys() <= {"unknown_account"}
    assert made.manifest["retries"] == 1


def test_values_that_are_no_strings_become_their_json_text(exporting: Exporting) -> None:
    """Numbers, booleans and nested values are kept as text; null is null."""
    exporting.double.control(faults={"non_string": 1.0}, unknown_share=0.0)
    made = exporting.run(["user_00001"])
    values = {value for row in made.rows for name, value in row.items() if name != "account_id"}
    assert values
    assert all(value is None or isinstance(value, str) for value in values)
    assert any(value in {"true", "false"} or (value or "").startswith(("{", "[")) for value in values)


def test_an_account_left_out_is_missing_and_not_asked_again(exporting: Exporting) -> None:
    """`missing` is an answer: it costs no call of its own."""
    exporting.double.control(faults={"missing": 1.0}, unknown_share=0.0)
    made = exporting.run(IDS[:100])
    assert made.manifest["rejects_by_reason"] == {"missing": 1}
    assert made.manifest["missing"] == 1
    assert made.manifest["requests"] == 1


@pytest.mark.parametrize("shown", ["absent", "error_list", "whole_call"])
def test_unknown_accounts_are_accounted_for_however_they_show(exporting: Exporting, shown: str) -> None:
    """Left out, listed, or failing the whole call: all others have rows, and each unknown one has its reason."""
    calm = exporting.run(IDS)
    exporting.double.control(unknown_as=shown)
    made = exporting.run(IDS)
    assert made.rows == calm.rows
    assert [row["account_id"] for row in made.rejects] == [row["account_id"] for row in calm.rejects]
    reason = {"absent": "missing", "error_list": "unknown_account", "whole_call": "refused"}[shown]
    assert {row["reason"] for row in made.rejects} == {reason}
    if shown != "absent":
        assert {row["code"] for row in made.rejects} == {70107}


@pytest.mark.parametrize("number", [1, 5, 50, 100])
def test_poison_costs_only_itself(exporting: Exporting, number: int) -> None:
    """So many of 100 accounts fail any call they are in: all others are exported, within 2n - 1 calls."""
    exporting.double.control(poison=IDS[:number], unknown_share=0.0)
    made = exporting.run(IDS[:100])
    assert made.accounts == IDS[number:100]
    assert {row["account_id"]: (row["reason"], row["code"]) for row in made.rejects} == dict.fromkeys(
        IDS[:number], ("refused", 90048)
    )
    assert made.manifest["requests"] <= 199


def seed_of_one_fault(fault: str, share: float, asked: int) -> int:
    """The first seed by which, of the eight requests after those asked, the second meets the fault, and no other."""
    coming = range(asked + 1, asked + 9)
    return next(
        seed
        for seed in itertools.count()
        if [number for number in coming if hits({fault: share}, seed, number)] == [asked + 2]
    )


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_is_obeyed(exporting: Exporting, code: int) -> None:
    """Fatal codes stop the run with one call and a remedy; codes of an account cost that one; the others pass by."""
    row = CODES[code]
    alone = ["user_00001"]
    if row.verdict is Verdict.FATAL:
        exporting.double.control(faults={f"code:{code}": 1.0})
        before = exporting.double.stats()["requests"]
        with pytest.raises(ServiceRefusal) as refusal:
            exporting.run(IDS)
        assert refusal.value.code == code
        assert str(code) in str(refusal.value)
        assert row.remedy in str(refusal.value)
        assert exporting.double.stats()["requests"] == before + 1
    elif row.verdict is Verdict.ACCOUNT:
        exporting.double.control(poison=alone, poison_code=code)
        made = exporting.run(IDS[:100])
        assert [(item["account_id"], item["code"]) for item in made.rejects if item["reason"] == "refused"] == [
            (alone[0], code)
        ]
    else:
        fault, asked = f"code:{code}", exporting.double.stats()["requests"]
        exporting.double.control(faults={fault: 0.15}, seed=seed_of_one_fault(fault, 0.15, asked))
        made = exporting.run(IDS[:200], in_flight=1)
        assert made.manifest["retries"] == (2 if row.verdict is Verdict.SPLIT else 1)
        assert made.manifest["rejects_by_reason"].keys() <= {"unknown_account"}
        assert len(made.rows) + len(made.rejects) == 200


def test_an_expired_usersig_is_renewed_once_and_the_run_goes_on(exporting: Exporting) -> None:
    """From a request on the old UserSig is refused: one renewal, at most one wasted call for each in flight."""
    exporting.double.control(expire_at_request=exporting.double.stats()["requests"] + 3)
    made = exporting.run(IDS, in_flight=2)
    assert made.manifest["rejects_by_reason"].keys() <= {"unknown_account"}
    assert 1 <= made.manifest["retries"] <= 2


def test_a_batch_limit_that_fell_is_obeyed(exporting: Exporting) -> None:
    """90018 halves the batch until it fits."""
    exporting.double.control(batch_max=30)
    made = exporting.run(IDS[:100])
    assert len(made.rows) + len(made.rejects) == 100
    assert made.manifest["requests"] == 1 + 2 + 4


def test_an_unknown_code_is_tried_three_times_and_then_bisected(exporting: Exporting) -> None:
    """A code of no table costs its accounts alone: 3 attempts for the batch, 2 a piece, 3 for one account."""
    exporting.double.control(poison=["user_00001"], poison_code=99999, unknown_share=0.0)
    made = exporting.run(IDS[:2])
    assert made.accounts == ["user_00000"]
    assert [(row["reason"], row["code"]) for row in made.rejects] == [("refused", 99999)]
    assert made.manifest["requests"] == 3 + 1 + 3


def test_an_unknown_signature_code_stops_a_run_that_has_no_answer_yet(exporting: Exporting) -> None:
    """70xxx that no table knows, before the first answer: the run is misconfigured, and stops after one repetition."""
    exporting.double.control(faults={"code:70032": 1.0})
    before = exporting.double.stats()["requests"]
    with pytest.raises(ServiceRefusal, match="70032"):
        exporting.run(IDS)
    assert exporting.double.stats()["requests"] == before + 2


def test_the_attribute_names_are_asked_for_first(exporting: Exporting) -> None:
    """`--attributes auto` gives every name of the app a column, also one that nobody has."""
    exporting.double.control(late_after=10**9)
    made = exporting.run(IDS[:100], attributes="auto")
    assert "late_attribute" in made.rows[0]
    assert {row["late_attribute"] for row in made.rows} == {None}
    exporting.double.control(late_after=40_000)


class Recording(Progress):
    """Progress that keeps the moment of every start."""

    def __init__(self) -> None:
        super().__init__(time.monotonic)
        self.starts: list[float] = []

    def started(self) -> None:
        """Count the start of an attempt."""
        self.starts.append(time.monotonic())
        super().started()


@pytest.mark.parametrize(("rate", "most"), [(100, 100), (37.5, 37), (400, 400)])
def test_no_rolling_second_has_more_starts_than_the_rate(exporting: Exporting, rate: float, most: int) -> None:
    """Retries and all: the start after the next `most` comes at least a second later, on any machine."""
    exporting.double.control(faults={"code:91000": 0.1}, latency_ms=[0.0, 30.0])
    progress = Recording()
    ids = write_ids(exporting.folder / "ids.csv", [f"user_{number:05d}" for number in range(250 * most)])
    exporting.manifest(ids, exporting.folder / "out", rate=rate, progress=progress)
    assert len(progress.starts) > 2 * most
    assert all(later - start >= 1.0 for start, later in zip(progress.starts, progress.starts[most:], strict=False))


def test_no_rolling_second_of_several_runs_has_more_starts_than_the_rate(exporting: Exporting) -> None:
    """Three runs of one app, each in a thread and an event loop of its own: their starts together keep to the one rate."""
    exporting.double.control(faults={"code:91000": 0.1}, latency_ms=[0.0, 30.0])
    ids = write_ids(exporting.folder / "ids.csv", [f"user_{number:05d}" for number in range(10_000)])
    progresses = [Recording() for _ in range(3)]

    def one(progress: Recording) -> Manifest:
        return exporting.manifest(ids, exporting.folder / f"out-{id(progress)}", rate=100, progress=progress)

    with ThreadPoolExecutor(3) as threads:
        made = list(threads.map(one, progresses))
    assert {each.input for each in made} == {10_000}
    starts = sorted(start for progress in progresses for start in progress.starts)
    assert len(starts) > 300
    assert all(later - start >= 1.0 for start, later in zip(starts, starts[100:], strict=False))
