"""What tests of the page share: manifests of any run, a page read back, and exports laid down without a run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exporter.flatten import ARROW_TYPES
from exporter.progress import LATENCY_NAMES, Point
from exporter.report.profile import REJECTS, Files

MEANINGS = {"91000": "The service failed inside.", "no answer": "There was no readable answer."}
VOID = {"meta"}


def point(at_s: float, **more: Any) -> dict[str, Any]:
    """One point of a series as a manifest has it."""
    return asdict(Point(**{"at_s": at_s, "width_s": 1.0, **more}))


def busy(number: int, *, width_s: float = 1.0) -> list[dict[str, Any]]:
    """Points of a run with answers, errors, slow-downs and an outage."""
    return [
        point(
            place * width_s,
            width_s=width_s,
            requests=90 + place % 9,
            answers=88,
            accounts=8_800,
            latency_s_sum=4.4,
            latency_s_max=0.3,
            latencies={LATENCY_NAMES[17]: 80, LATENCY_NAMES[20 + place % 5]: 8},
            errors={"91000": 2, "no answer": place % 3} if place % 2 else {},
            retries=2,
            slow_downs=int(place % 50 == 20),
            paused_s=width_s / 2 if 100 <= place < 110 else 0.0,
            pace=70.0 if place % 50 > 20 else 100.0,
        )
        for place in range(number)
        if not 100 < place < 109
    ]


def manifest(series: Sequence[Mapping[str, Any]] = (), **more: Any) -> dict[str, Any]:
    """Give the manifest of a run: two shards, some of everything, unless told otherwise."""
    shards = [
        {"file": f"data/part-{n:06d}.parquet", "rows": 40, "bytes": 1_234, "sha256": "0" * 64}
        | {"first_row": 50 * n + 1, "last_row": 50 * n + 50, "rejects": 5}
        for n in range(2)
    ]
    return {
        "format": 2,
        "exporter": "1.2.3",
        "inputs": [{"name": "ids.csv", "path": "/in/ids.csv"}],
        "input": 100,
        "rows": 80,
        "rejects": 10,
        "rejects_by_reason": {"missing": 6, "refused": 4},
        "duplicates": 7,
        "blank": 3,
        "missing": 6,
        "ids_with_outer_spaces": 2,
        "schema": [{"name": "account_id", "type": "text"}],
        "bad_values": {"level": 3},
        "ignored_attributes": {"nick": 4},
        "absent_attributes": ["gone"],
        "settings": {"rate": 100.0, "sdkappid": 1400000000, "identifier": "the-admin", "types": {"level": "int64"}},
        "fingerprint": "f" * 64,
        "fingerprint_of": {},
        "requests": 1_000,
        "retries": 20,
        "refusals": 5,
        "outages": 1,
        "paused_s": 5.0,
        "requests_per_s": 97.5,
        "slow_downs": 2,
        "rate_min": 70.0,
        "started_at": "2026-01-01T00:00:00.000+00:00",
        "finished_at": "2026-01-01T00:10:00.000+00:00",
        "seconds": max((row["at_s"] + row["width_s"] for row in series), default=0.3),
        "series": list(series),
        "shards": shards,
        "reject_files": [{"file": f"rejects/part-{n:06d}.parquet", "rows": 5, "bytes": 9} for n in range(2)],
        "bad_value_files": [],
        **more,
    }


@dataclass
class Element:
    """An element of a page: what stands in it, texts and elements."""

    name: str
    attributes: dict[str, str | None]
    content: list["Element | str"] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All text in it, styles aside."""
        return "".join(part if isinstance(part, str) else part.text for part in self.content if self.name != "style")

    def all(self, name: str = "") -> list["Element"]:
        """All elements in it, of a name where one is given."""
        below = [found for part in self.content if isinstance(part, Element) for found in (part, *part.all())]
        return [found for found in below if not name or found.name == name]

    def by_id(self, name: str) -> "Element":
        """The element with an id."""
        return next(found for found in self.all() if found.attributes.get("id") == name)


class Reader(HTMLParser):
    """Reads a page; every element must be closed where it should."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        made = Element(tag, dict(attrs))
        assert len(made.attributes) == len(attrs), "an attribute stands there twice"
        self.open[-1].content.append(made)
        if tag not in VOID:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        """Close one."""
        assert self.open.pop().name == tag

    def handle_data(self, data: str) -> None:
        """Take text."""
        self.open[-1].content.append(data)

    def handle_comment(self, data: str) -> None:
        """There is none."""
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data: str) -> None:
        """As little."""
        raise AssertionError(f"an instruction: {data}")


def read(page: bytes | str) -> Element:
    """Read a page back, with a parser that knows nothing of its maker."""
    reader = Reader()
    reader.feed(page if isinstance(page, str) else page.decode())
    reader.close()
    assert len(reader.open) == 1, "something is not closed"
    return reader.open[0]


Lay = Callable[..., tuple[dict[str, Any], Files]]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Lay down the data and rejects of an export, one file for each list of rows; return its manifest and files."""

    def laid(
        shards: Sequence[Sequence[Mapping[str, Any]]],
        types: Mapping[str, str],
        rejects: Sequence[Mapping[str, Any]] = (),
        *,
        group_rows: int = 3,
    ) -> tuple[dict[str, Any], Files]:
        fields = {"account_id": pa.string(), **{name: ARROW_TYPES[kind] for name, kind in types.items()}}
        data = []
        for number, rows in enumerate(shards):
            columns = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in fields.items()}
            data.append(tmp_path / f"data-{number}.parquet")
            pq.write_table(pa.table(columns), data[-1], row_group_size=group_rows)
        path = tmp_path / "rejects.parquet"
        pq.write_table(pa.Table.from_pylist(list(rejects), schema=pa.schema(list(REJECTS.items()))), path)
        reasons: dict[str, int] = {}
        for row in rejects:
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
        schema = [{"name": name, "type": kind, "attribute": name} for name, kind in types.items()]
        told = manifest(schema=[{"name": "account_id", "type": "text"}, *schema], rejects_by_reason=reasons)
        return told, Files(data, [path])

    return laid
