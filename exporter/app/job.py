"""What a run is told, and which export that is."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from exporter.batching import Planner
from exporter.output.facts import ShardFacts
from exporter.output.identity import STREAM, Identity
from exporter.output.manifest import Manifest
from exporter.progress import Progress
from exporter.settings import Settings
from exporter.source import InputFile, Reading, Source, StandardInput, fingerprint, open_source


@dataclass(frozen=True)
class Job:
    """One export: what to read, where to write, and who listens."""

    inputs: Sequence[str]
    out: Path
    settings: Settings
    progress: Progress
    standard_input: StandardInput | None = None
    warn: Callable[[str], None] = field(default=lambda _sentence: None)
    tell: Callable[[str], None] = field(default=lambda _sentence: None)
    hide: Callable[[str], None] = field(default=lambda _secret: None)
    on_begun: Callable[[str], None] = field(default=lambda _run_id: None)
    on_shard: Callable[[ShardFacts], None] = field(default=lambda _facts: None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A complete export. `asked` is False when it was complete before, and nothing was asked."""

    manifest: Manifest
    asked: bool


def inputs_of(source: Source) -> list[dict[str, str]]:
    """Name the input's files as the user did, and by a path that is found from anywhere; `-` is standard input."""
    return [{"name": file.name, "path": _absolute(file.path) if file.path else file.name} for file in source.files]


def _absolute(path: Path) -> str:
    # No path need be text, and a manifest has to be: what is not becomes U+FFFD.
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "replace")  # noqa: PTH100 - links stay


def reading_of(settings: Settings) -> Reading:
    """Say how the input is to be read."""
    return Reading(
        column=settings.column,
        header=not settings.no_header,
        delimiter=settings.delimiter,
        encoding=settings.encoding,
        allow_empty=settings.allow_empty,
    )


def source_of(job: Job, inputs: Sequence[str] | None = None) -> Source:
    """Open the job's input, or these. Raises InputError."""
    # Standard input reads as a file does, as far as anything here reads it.
    stream = cast("BinaryIO | None", job.standard_input)
    return open_source(inputs or job.inputs, reading_of(job.settings), standard_input=stream)


def planner_of(
    settings: Settings, *, first: int = 0, done: Mapping[int, str] | None = None, share: float | None = 0.0
) -> Planner:
    """Make what cuts the input into shards and batches; `first`, `done` and `share` as it says itself."""
    keep = settings.duplicates == "keep"
    return Planner(shard_rows=settings.shard_rows, strip=settings.strip, keep=keep, first=first, done=done, share=share)


def identity_of(job: Job, source: Source, *, read: bool = False) -> Identity:
    """Say which export this is; what comes from standard input is known only after it was `read`."""

    def content(file: InputFile) -> Mapping[str, object]:
        if file.path is None and read and job.standard_input:
            return job.standard_input.fingerprint()
        return STREAM if file.path is None or file.bytes is None else fingerprint(file.path)

    return Identity([content(file) for file in source.files], job.settings.shaping())
