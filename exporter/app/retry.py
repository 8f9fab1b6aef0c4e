"""A retry: the rejects worth it are asked again, and their shards made anew, as if the first answer had been this one.

The rest of the export is taken over as it is. It is journalled, resumed and published like any run; the old export stays
readable until the swap.
"""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exporter.api.client import Client
from exporter.app.export import published
from exporter.app.job import Job, Outcome, identity_of, reading_of, source_of
from exporter.app.run import Run
from exporter.app.service import make_client
from exporter.batching import Shard
from exporter.errors import InputError, OutputError, SettingsError
from exporter.flatten import Attributes
from exporter.model import NEVER_ASKED, Batch, Fetch, Reason, Reply
from exporter.output import folder, manifest
from exporter.output.facts import ShardFacts
from exporter.output.folder import Folder
from exporter.output.identity import STREAM
from exporter.output.left import Left
from exporter.output.manifest import Manifest
from exporter.output.rebuild import Rebuilder, some_accounts
from exporter.output.shards import ShardWriter
from exporter.progress import COUNTERS
from exporter.schema import Column
from exporter.source import Source

COUNTED = (*COUNTERS, "seconds", "paused_s")
WORTH_IT = (Reason.REFUSED, Reason.EXHAUSTED)


def before(out: Path) -> dict[str, object]:
    """Return the settings that a complete export was made with. Raises OutputError where there is none."""
    kept = dict(_complete(Folder(out)).settings)
    for name in ("overwrite", "restart"):
        kept.pop(name, None)
    return kept


async def retry(job: Job, reasons: Collection[str] = WORTH_IT) -> Outcome:
    """Ask again for the rejects of a complete export that have one of these reasons; publish it again.

    `job.inputs` may be empty: then the input is read from where the export found it. Raises an ExporterError.
    """
    wanted = _askable(reasons)
    _complete(Folder(job.out))
    client = make_client(job.settings, hide=job.hide)
    with folder.held(job.out) as place:
        place.finish_publishing()
        done = _complete(place)
        source = _source(job, done)
        _refuse_other_input(job, source, done)
        if (left := _begun(place, done, wanted)) is None:
            return Outcome(done, asked=False)
        async with client:
            run = Retry(job, source, place, client, left, before=Before(done, wanted))
            await run.carry()
            return Outcome(await published(run), asked=True)


def _askable(reasons: Collection[str]) -> tuple[Reason, ...]:
    known = {str(reason): reason for reason in Reason if reason not in NEVER_ASKED}
    if other := next((reason for reason in reasons if reason not in known), None):
        raise SettingsError(f"--reasons: {other!r} is no reason to ask again; there are {', '.join(known)}.")
    return tuple(sorted(known[reason] for reason in set(reasons)))


def _complete(place: Folder) -> Manifest:
    done = place.completed()
    if done is None:
        raise OutputError(f"{place.out} holds no complete export. `exporter status {place.out}` tells what lies there.")
    return done


def _source(job: Job, done: Manifest) -> Source:
    """Open the input where the export found it, or where the user says that it is now; under its old names."""
    inputs = job.inputs or [entry["path"] for entry in done.inputs]
    if "-" in inputs and not job.standard_input:
        raise InputError(f"the input was standard input: send it again, with `exporter retry {job.out} -`.")
    try:
        source = source_of(job, inputs)
    except InputError as error:
        if job.inputs:
            raise
        hint = f"Where it lies elsewhere now: `exporter retry {job.out} INPUT…`."
        raise InputError(f"{error} {hint}") from error
    if len(source.files) != len(done.inputs):
        raise InputError(f"the export was made of {len(done.inputs):,} files, and these are {len(source.files):,}.")
    named = [replace(file, name=entry["name"]) for file, entry in zip(source.files, done.inputs, strict=True)]
    return Source(named, reading_of(job.settings))


def _refuse_other_input(job: Job, source: Source, done: Manifest) -> None:
    """Refuse input or settings that the export was not made of; what comes through a pipe is held against its ids."""
    made = identity_of(job, source)
    was: Any = done.fingerprint_of["inputs"]
    made = replace(made, inputs=[old if new == STREAM else new for old, new in zip(was, made.inputs, strict=True)])
    if difference := made.difference(done.fingerprint_of):
        raise OutputError(
            f"{job.out} was made of something else: {difference}. Bring the same input back (exporter retry OUT INPUT…) and"
            " leave its settings as they were; for other input or settings, run a new export."
        )


def _begun(place: Folder, done: Manifest, wanted: Sequence[Reason]) -> Left | None:
    """Go on with an unfinished retry, or begin one; None when there is nothing to ask. Raises OutputError."""
    unfinished = place.retrying()
    if unfinished is None and place.unfinished() is not None:
        raise OutputError(
            f"{place.out} holds an unfinished run. Finish it, or let it begin anew, with its own command."
        )
    if unfinished is not None:
        if unfinished != list(wanted):
            raise OutputError(
                f"{place.out} holds an unfinished retry: finish it first, --reasons {','.join(unfinished)}."
            )
        return place.resume()
    shards = manifest.facts_of(done)
    again = {facts.number for facts in shards if any(facts.rejects.get(reason) for reason in wanted)}
    return place.begin_again(done.fingerprint_of, shards, again, list(wanted)) if again else None


@dataclass(frozen=True)
class Before:
    """The export as it was, and the reasons of its rejects that are asked again."""

    made: Manifest
    reasons: Sequence[Reason]
    columns: Sequence[Column] = field(init=False)

    def __post_init__(self) -> None:
        columns = [Column(c["name"], c["attribute"], c["type"]) for c in self.made.schema if "attribute" in c]
        object.__setattr__(self, "columns", columns)

    @property
    def attributes(self) -> list[str]:
        """The attributes that every shard has a column for."""
        return [column.attribute for column in self.columns]

    def state(self) -> Mapping[str, object]:
        """What `Progress` goes on counting from."""
        made = self.made
        counts = {name: getattr(made, name) for name in COUNTED}
        return {**counts, "pace_min": made.rate_min or None, "series": made.series}


class Retry(Run):
    """A run over the shards that hold rejects worth it."""

    def __init__(  # noqa: PLR0913, PLR0917 - a run, and what was before
        self, job: Job, source: Source, place: Folder, client: Client, left: Left, before: Before
    ) -> None:
        super().__init__(job, source, place, client, replace(left, progress=left.progress or before.state()))
        self._before = before
        self._old = {facts.number: facts for facts in manifest.facts_of(before.made)}
        self._missing = self._old.keys() - left.done.keys()
        self._drops_duplicates = False  # they are dropped already
        self._suspects = True

    async def carry(self) -> None:
        """Ask again, and make every shard durable that has a new answer."""
        exactly = self._job.settings.attribute_names is not None
        await self.carry_planned(Attributes(self._before.attributes, exactly=exactly), None, self._rebuilding)

    def _rebuilding(self, writer: ShardWriter) -> Rebuilder:
        before = self._before
        self._rebuilder = Rebuilder(self._place.out, self._old, before.columns, before.reasons, writer)
        return self._rebuilder

    def _planned(self) -> Generator[list[Batch | Shard], None, None]:
        missing = set(self._missing)
        for events in super()._planned() if missing else ():
            yield [self._rebuilder.narrowed(event) if isinstance(event, Batch) else event for event in events]
            missing -= {event.number for event in events if isinstance(event, Shard)}
            if not missing:
                return  # what lies behind the last of them is as it was

    def _layered(self, call: Fetch, known: Sequence[str]) -> Fetch:
        ask = super()._layered(call, known)

        async def ask_if_any(accounts: Sequence[str]) -> Reply:
            return await ask(accounts) if accounts else Reply()

        return ask_if_any

    def _answered_before(self) -> list[str]:
        return some_accounts(self._place.out, list(self._old.values()))

    def _durable(self, facts: ShardFacts) -> None:
        super()._durable(self._rebuilder.completed(facts))

    def _manifest(self, columns: Sequence[Column], shards: Sequence[ShardFacts]) -> Manifest:
        was = self._before.made
        return replace(
            super()._manifest(columns, shards),
            inputs=was.inputs,
            # What the page may show is as the retry was told.
            settings={**was.settings, "redact_ids": self._job.settings.redact_ids},
            fingerprint=was.fingerprint,
            fingerprint_of=was.fingerprint_of,
            started_at=was.started_at,
        )
