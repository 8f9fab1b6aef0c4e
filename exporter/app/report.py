"""The report: made with every export, and made again from a complete one. No mistake in making it costs an export."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from exporter.api.codes import CODES
from exporter.errors import ExporterError, MachineError, OutputError, SettingsError
from exporter.output import files, folder, publish
from exporter.output.folder import Folder
from exporter.output.manifest import NAME, Manifest
from exporter.verify.claims import read_claims

if TYPE_CHECKING:
    from exporter.report.facts import Data

WHY_CHARS_MAX = 200

MEANINGS: Mapping[str, str] = {
    "no answer": "There was no readable answer in time: the connection, a timeout, or something between here and the service.",
    **{str(code): f"{row.meaning[:1].upper()}{row.meaning[1:]}." for code, row in CODES.items()},
}
"""What an error code of a series means."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown: the data as well as the run, or no ids; `stop` ends the reading of the data."""

    data: bool
    redact_ids: bool
    stop: threading.Event = field(default_factory=threading.Event)


def of_run(made: Manifest, stage: Path, wanted: Wanted, warn: Callable[[str], None]) -> bytes:
    """Make the page of a run whose files lie in a folder; where that fails, a page that says so.

    Once `stop` is set, what is returned is of no use.
    """
    from exporter.report.page import without_details

    told = _plain(made)
    try:
        return _page(told, stage, wanted)
    except Exception as error:  # noqa: BLE001 - a bug in a page must never cost the export that it is about
        why = str(error) if isinstance(error, ExporterError) else f"{type(error).__name__}: {error}"
        if not wanted.stop.is_set():
            warn(f"{publish.REPORT} could not be made ({why}); the export is not touched by this.")
        return without_details(told, "`exporter report OUT` tries again.")


def report(out: Path, *, to: Path | None = None, redact_ids: bool = False) -> Path:
    """Make the page of a complete export and its data, in the export or elsewhere; return where it lies.

    Raises OutputError where there is no complete export, SettingsError for a place that cannot be written to, and
    MachineError for a file that cannot be read or written.
    """
    wanted = Wanted(data=True, redact_ids=redact_ids)
    if to is None or to.resolve() == out.resolve() / publish.REPORT:  # its own page, by whichever name
        return _into(out, wanted)
    return _beside(out, to, wanted)


def _into(out: Path, wanted: Wanted) -> Path:
    """Put the page into the export, as its only writer."""
    if not Folder(out).is_publishing():
        _complete(Folder(out))  # where there is none, nothing is made or locked
    with folder.held(out) as place:
        place.finish_publishing()
        _complete(place)
        place.refuse_foreign_report()
        files.write_bytes(out / publish.REPORT, _page_of(out, wanted))
    return out / publish.REPORT


def _beside(out: Path, to: Path, wanted: Wanted) -> Path:
    """Put the page elsewhere: the export itself is only read."""
    made = _complete(Folder(out))
    _refuse_place(to, out)
    page = _page_of(out, wanted)
    if _complete(Folder(out)).finished_at != made.finished_at:
        raise OutputError(f"{out} was replaced while it was read. Make the report again.")
    files.write_bytes(to, page)
    return to


def _complete(place: Folder) -> Manifest:
    made = place.completed()
    if made is None:
        raise OutputError(
            f"{place.out} holds no complete export: {publish.SUCCESS} is not there. `exporter status {place.out}` tells how"
            " far it is; the command that began it goes on with it."
        )
    return made


def _refuse_place(to: Path, out: Path) -> None:
    """Refuse a place that is no file, or one of the export's own."""
    if to.exists() and not to.is_file():
        raise SettingsError(f"--to {to}: it is no file. Name the file that is to hold the report.")
    if not to.parent.is_dir():
        raise SettingsError(f"--to {to}: there is no folder {to.parent}. Make it, or name another place.")
    if to.resolve().is_relative_to(out.resolve()):
        raise SettingsError(
            f"--to {to} lies in the export. Leave --to out for {out / publish.REPORT}, or name another place."
        )


def _page_of(out: Path, wanted: Wanted) -> bytes:
    claims, wrong = read_claims(out)
    if wrong:
        raise OutputError(f"{out}: {wrong[0]} Restore it from a copy.")
    if claims.told["settings"].get("redact_ids") is True:  # as the run was told: nobody has to think of it again
        wanted = replace(wanted, redact_ids=True)
    try:
        return _page(claims.told, out, wanted)
    except MachineError as error:
        raise MachineError(
            f"{error} `exporter verify {out}` tells what else is damaged; restore it from a copy."
        ) from error
    except (LookupError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"[:WHY_CHARS_MAX]
        raise OutputError(f"{out / NAME} does not tell what a report needs ({why}). Restore it from a copy.") from error


def _plain(made: Manifest) -> dict[str, Any]:
    """Give a manifest as it is written down."""
    return dict(orjson.loads(made.to_json()))


def _page(told: Mapping[str, Any], place: Path, wanted: Wanted) -> bytes:
    from exporter.report.page import render

    data = _data(told, place, wanted) if wanted.data else None
    return render(told, MEANINGS, data, redact_ids=wanted.redact_ids)


def _data(told: Mapping[str, Any], place: Path, wanted: Wanted) -> "Data":
    from exporter.report.profile import Files, profile

    data, rejects = ([place / str(entry["file"]) for entry in told[name]] for name in ("shards", "reject_files"))
    return profile(told, Files(data, rejects, wanted.stop), redact_ids=wanted.redact_ids)
