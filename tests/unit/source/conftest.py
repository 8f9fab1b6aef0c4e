"""Ways to write an input and to read it to its end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from exporter.model import BadId
from exporter.source import Reading, open_source

Ids = list[str | BadId | None]


@dataclass
class Read:
    """What came out: the ids, the warnings, the shares."""

    ids: Ids
    warnings: list[str]
    shares: list[float | None]


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], str]:
    def written(name: str, data: bytes) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return str(path)

    return written


@pytest.fixture
def read() -> Callable[..., Read]:
    def all_of(*inputs: str, **reading: Any) -> Read:
        source = open_source(inputs, Reading(**reading))
        chunks = list(source.chunks())
        assert all(len(chunk.ids) <= 5_000 for chunk in chunks)
        ids = [each for chunk in chunks for each in chunk.ids]
        return Read(ids, source.warnings, [chunk.share for chunk in chunks])

    return all_of
